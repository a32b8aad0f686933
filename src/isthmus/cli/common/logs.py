"""Logging of long-running verbs: one line per event on standard error, with times in UTC.

Called once by each of these verbs, before anything is logged. Invariant: no value in a record can
start a line of its own or control the terminal.
"""

import logging
import time
from typing import Any

from isthmus.model.text import indented, printable


class _LineFormatter(logging.Formatter):
    """Makes messages and tracebacks printable."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return indented(super().formatException(ei))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send log records of at least this level to standard error."""
    formatter = _LineFormatter(
        "%(asctime)s.%(msecs)03dZ|%(name)s|%(levelname)s|%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
