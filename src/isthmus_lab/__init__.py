"""Real clusters in network namespaces on one machine, for tests, demos and experiments.

Entry points: `lab.Lab` (build, change, inspect and remove a lab), `cli.app` (`isthmus lab …`).
Nothing in `isthmus` imports this package; `isthmus` finds `cli.app` as a plug-in.
"""
