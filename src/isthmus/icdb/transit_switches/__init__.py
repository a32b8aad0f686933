"""Transit switches as rows of IC-NB: parsing, adding, removing. Pure.

Entry points: `spec.parse_transit_switches`, `spec.plan_creation`, `changes.addition` and
`changes.removal`. Imported by `icdb.server` and the command line; imports nothing else of `icdb`.
"""
