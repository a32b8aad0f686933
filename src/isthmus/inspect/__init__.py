"""Answers to operators' questions, computed from the databases or from a running engine.

Each module computes one answer as values, which are the JSON of `-o json`, or renders one as text:
`topology.topology`, `routes.routes`, `explain.explain`, `status_text.status_text`,
`engine_text.report_text`, `clear_text.weaknesses`; `layout` draws tables and trees. Pure. Imported
by the command line and by the daemon's control commands; imports `exchange` and the layers below.
"""
