"""Forward the `ovs` package's log messages to Python's logging.

The package logs through `ovs.vlog`, which discards messages unless it is initialized, and has
faults when it is (docs/decisions/0016-ovs-python-library.md). Called once by `isthmus ovn-ic`; each
module of the package becomes the logger "ovs.MODULE".
"""

import logging
from typing import Any

import ovs.daemon
import ovs.jsonrpc
import ovs.poller
import ovs.reconnect
import ovs.stream
import ovs.vlog

_LEVELS = {
    "EMER": logging.CRITICAL,
    "ERR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DBG": logging.DEBUG,
}


def forward_to_logging() -> list[str]:
    """Start forwarding.

    Returns:
        The names of the package's modules, and of those modules whose role Isthmus has taken over.
    """
    vlog = ovs.vlog.Vlog

    def forward(self: Any, level: str, message: str, **_more: Any) -> None:
        logging.getLogger(f"ovs.{_name(self.name)}").log(_LEVELS[level], "%s", message)

    def enabled(self: Any, level: str) -> bool:
        return logging.getLogger(f"ovs.{_name(self.name)}").isEnabledFor(_LEVELS[level.upper()])

    vlog._Vlog__log = forward  # noqa: SLF001 - the package offers no hook
    vlog._Vlog__is_enabled = enabled  # noqa: SLF001 - as above
    known = [_name(name) for name in vlog._Vlog__mfl]  # noqa: SLF001 - as above
    return [*known, "stream_ssl", "unixctl"]


def _name(module: str) -> str:
    return module.replace("-", "_")
