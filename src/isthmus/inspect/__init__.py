"""What operators look at, computed from the databases."""
