"""Random kills, partitions and restarts of IC database members while clients write."""
