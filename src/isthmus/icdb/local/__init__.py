"""The database servers of this host as values, their files, and OVSDB's command-line tools.

Entry points: `database_server.DatabaseServer` (file names, addresses, command lines),
`database_file.read_records` and `database_file.prepare_database`, `ovsdb_tools.ovsdb_tool`,
`blocker_log.BlockerLog`. Imported by `icdb.raft`, `icdb.server`, `icdb.admin` and the command line;
imports none of them.
"""
