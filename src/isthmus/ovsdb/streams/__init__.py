"""Connections to OVSDB servers by `tcp:` and `ssl:`, and the resolution of host names for them."""
