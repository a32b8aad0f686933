"""`isthmus ic-db run`: both servers as child processes, supervised in the foreground.

Entry points: `plan.Plan` (what to run; pure), `supervisor.serve` (runs it) and
`kube_ovn_env.transit_switches`. Imports `icdb.raft`, `icdb.transit_switches` and `icdb.local`;
imported by `isthmus.authz` and the command line.
"""
