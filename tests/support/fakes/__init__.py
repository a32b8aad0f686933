"""Fakes for tests without servers: OVSDB in memory, and zones that share IC databases.

Entry points: `fleet.Fleet` (zones with an exchange engine), `fleet.ControlledFleet` (with a
controller as well), `ovsdb.FakeDatabase`.
"""
