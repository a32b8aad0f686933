"""ovn_ic."""
