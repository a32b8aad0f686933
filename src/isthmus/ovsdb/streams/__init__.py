"""Connections to OVSDB servers by `tcp:` and `ssl:`, host names, and private Unix sockets."""
