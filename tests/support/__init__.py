"""What tests share: a fake OVSDB that earns trust in tests/contract, and waiting for states."""
