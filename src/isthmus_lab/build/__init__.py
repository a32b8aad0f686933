"""Build and remove labs: network, daemons, certificates, API servers.

Entry points: `starter.Starter`, `removal.remove`, `removal.find`, `requirements.check`. The module
`node_agent` runs as a process of its own. Imported by `lab` and the modules above it.
"""
