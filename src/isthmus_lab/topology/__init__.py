"""The topology of a lab: file format, checks, and the plan derived from it. No I/O but one file.

Entry points: `loader.load`, `loader.extend`, `planner.make_plan`, `layout.Layout`. Imports nothing
of the lab except `errors`; all other parts of the lab may import it.
"""
