"""The composition root: the parts of a daemon, and the one loop that runs them.

Entry points: `service.engine_alone` and `service.controller_and_engine`, which return a
`loop.Loop`. Only the command line and the lab import this package.
"""
