"""Random kills, partitions and restarts of a cluster of IC databases under a stream of writes."""
