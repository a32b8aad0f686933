"""Benchmarks of Isthmus next to `ovn-ic`, in one run. Not part of the tests."""
