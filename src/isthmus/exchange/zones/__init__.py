"""Availability zones: ours, its registration and heartbeat, and the removal of dead ones.

Entry points: `own_zone.OwnZone` and `own_zone.ZoneReconciler`, on which `topology` and `routes`
build; `prune.zones` and `take_over.take_over` for commands. Imports no other part of `exchange`.
"""
