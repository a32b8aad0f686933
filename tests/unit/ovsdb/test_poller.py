"""The poller."""

import os
import time
from math import inf

from isthmus.ovsdb.poller import Poller


def test_without_a_time_only_events_wake() -> None:
    """Infinity sets no timer."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"!")
    poller = Poller()
    poller.wake_in(inf)
    poller.wait_readable(read_end)
    began = time.monotonic()
    poller.block()
    assert time.monotonic() - began < 5
    os.close(read_end)
    os.close(write_end)
