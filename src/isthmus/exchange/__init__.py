"""The interconnection engine: what `ovn-ic` does, as reconcilers. Pure.

Entry points: `wiring.exchange` and `wiring.observer` put its parts together; `zones.prune` and
`zones.take_over` plan what operators do to zones. Imports `isthmus.engine` and `isthmus.model`.
`authz`, `icdb`, `inspect`, `daemon` and `cli` may import it; `controller` may not.
"""
