"""Random bad edits of a joined fleet, and an independent model of the paths that must stay.

Entry points: `world.World`, `histories.check`.
"""
