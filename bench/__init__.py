"""Benchmarks: Isthmus and `ovn-ic` side by side in one run. Never part of the tests."""
