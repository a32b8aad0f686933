"""transit_switches."""
