"""The IC databases' servers: what to run (pure), and running it.

`plan`, `transit`, `members`, `environment` and `founding` are values and functions of values;
`rpc`, `peers`, `process`, `storage`, `cluster_files`, `tending` and `supervisor` touch the system.
`isthmus ic-db run` calls `supervisor.serve`.
"""
