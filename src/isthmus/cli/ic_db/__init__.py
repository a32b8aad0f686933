"""`isthmus ic-db`: running and operating the interconnection databases.

Entry point: `run.app`, with which the other modules register their verbs. `options` has the options
that verbs share. Imported by `isthmus.cli.main` only.
"""
