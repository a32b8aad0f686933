"""Certificates of the IC databases: made, looked at, and kept in files.

Called by `isthmus.cli.pki`, by what serves the IC databases and by what connects to them.
"""
