"""Coverage-guided fuzzing of everything that parses input, and what it has found (RESULTS.md)."""
