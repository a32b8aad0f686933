"""Administration of running members: the verbs of `isthmus ic-db` other than `run`.

Entry points: `status.database_status`, `membership_changes`, `backup`, `schema_upgrade` and
`file_check.check`; each function handles one database. Imports `icdb.raft` and `icdb.local`;
imported by the command line only.
"""
