"""What the `ovs` package says about connections, as records of Python's logging.

The package logs to objects of its own, and to nobody unless its own set-up is used. Called once by
daemons that log as OVS does; each of its modules becomes the logger "ovs.MODULE".
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
    """Have the package's messages logged.

    Returns:
        The names of its modules, and of those with which this package speaks for it.
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
