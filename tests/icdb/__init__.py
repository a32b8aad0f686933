"""Long runs against the IC databases, and what they have found (RESULTS.md)."""
