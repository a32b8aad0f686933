"""The IC databases' servers: what to run (pure), and running it.

`plan` and `transit` are values and functions of values; `rpc`, `tools`, `process`, `storage` and
`supervisor` touch the system. `isthmus ic-db run` calls `supervisor.serve`.
"""
