"""OVSDB sessions: replicas, transactions, locks. The only importer of the `ovs` package."""
