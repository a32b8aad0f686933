"""Level-triggered, keyed reconciliation: the view, the reconcilers, the engine. Pure."""
