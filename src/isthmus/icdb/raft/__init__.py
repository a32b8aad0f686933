"""One member of the Raft clusters of the IC databases: bootstrap, join, replacement.

Entry points: `membership.parse_membership` (who is a member), `cluster_files.prepare_member` (the
file that a member starts with), `member_loop.MemberLoop` (what it does from then on) and
`status_parser.parse_raft_status`. Imports `icdb.local`; imported by `icdb.server`, `icdb.admin` and
the command line.
"""
