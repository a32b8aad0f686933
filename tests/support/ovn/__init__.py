"""Real OVN servers and daemons without a data path, for integration tests."""
