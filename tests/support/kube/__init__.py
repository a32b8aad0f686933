"""A real API server for tests: the server, a faulty proxy before it, roles, and a source."""
