"""The status of this cluster: conditions, problems, and the state of zones, gateways and routes.

Entry points: `cluster_state.ClusterStateReader.read`, `conditions.assess`, `report.sections`. The
daemon, `isthmus.inspect` and `isthmus.kube` import this package; the reconcilers do not.
"""
