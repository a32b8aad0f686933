"""Values: rows, operations, changes, prefixes, rules, problems. Pure, and without I/O.

Entry points: `rows` (one dataclass per table), `indexes` (every index over the rows),
`operations`, `changes`, `prefixes`, `problems`. Imports nothing of ours; every layer may import it.
"""
