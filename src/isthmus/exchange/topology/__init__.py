"""Gateways, transit switches, transit routers, their ports and tunnel keys.

Entry points: one reconciler per kind of row, which `exchange.wiring` puts together. Imports `zones`
of `exchange`; `routes` may import it.
"""
