"""The composition root: the loop that joins sessions, sources and the engine."""
