"""Servers that lie or break."""
