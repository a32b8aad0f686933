"""Values only: rows, operations, changes, prefixes and problems. Imports nothing of ours."""
