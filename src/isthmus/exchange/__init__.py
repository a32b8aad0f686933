"""The interconnection engine: what `ovn-ic` does, as reconcilers. Pure."""
