"""Logging of long-running verbs: one line per event on standard error, times in UTC.

Called once by each verb that serves, before anything is logged.
"""

import logging
import time


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send log records of `level` and above to standard error."""
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ|%(name)s|%(levelname)s|%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
