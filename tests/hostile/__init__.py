"""Seeded attacks on a live fleet with packets: `python -m hostile.run`."""
