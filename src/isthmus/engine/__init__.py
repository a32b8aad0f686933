"""Keyed, level-triggered reconciliation over rows in memory. Pure: no clock, socket or domain.

Entry points: `engine.Engine` runs the reconcilers; `view.View` holds the rows;
`reconciler.Reconciler`, `reconciler.DerivedState` and `reconciler.Edge` are what the packages
above implement and wire. Imports `isthmus.model` only; any layer above may import it.
"""
