"""ovs_patches."""
