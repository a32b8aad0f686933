"""The IC databases: running their servers, Raft membership, administration, transit switches.

Entry points: `server.supervisor.serve` (`isthmus ic-db run`), the functions of `admin` (the other
verbs of `isthmus ic-db`) and of `transit_switches`. Layers, from the top: `server` and `admin`;
`raft` and `transit_switches`; `local`; `errors`. Imported by `isthmus.authz` and the command line.
"""
