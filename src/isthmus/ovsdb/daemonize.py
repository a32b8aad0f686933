"""Becoming a daemon as those of OVS do: background, pidfile, monitor, user.

Called by the command line before anything else is opened, since it forks. A thin layer over
`ovs.daemon`, which keeps its settings in globals of the module: one daemon per process.
"""

import grp
import os
import pwd
from dataclasses import dataclass

import ovs.daemon
import ovs.dirs
import ovs.util

RESTART_STATUS = int(ovs.daemon.RESTART_EXIT_CODE)
"""The exit status that has the monitor start the daemon again, as after a crash."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """How to run (ovs-vswitchd(8), "Daemon Options").

    Args:
        program: gives its name to pidfile, log and monitor.
        run_dir: where relative names are looked up.
        pidfile: its name; "" is PROGRAM.pid, None is none.
        overwrite_pidfile: replace one that is in use.
        detach: go to the background; the starter returns when `complete` is called.
        monitor: start again when killed by a signal that means a fault.
        chdir: when detaching, go to "/" and hold no file system.
        user: USER[:GROUP] to become, or empty.
    """

    program: str
    run_dir: str
    pidfile: str | None = None
    overwrite_pidfile: bool = False
    detach: bool = False
    monitor: bool = False
    chdir: bool = True
    user: str = ""

    def become_user(self) -> None:
        """Become the user, for good; before files are made that are to be that user's.

        Raises:
            LookupError: the user or group does not exist.
            PermissionError: only root can become another user.
        """
        if self.user:
            _become(self.user)

    def start(self) -> None:
        """Fork as asked; returns in the process that is to work.

        Raises:
            SystemExit: in the starter, when the daemon is ready or has failed; also if the
                pidfile is in use.
        """
        ovs.util.PROGRAM_NAME = self.program
        ovs.dirs.RUNDIR = self.run_dir
        if self.pidfile is not None:
            ovs.daemon.set_pidfile(self.pidfile)
        if self.overwrite_pidfile:
            ovs.daemon.ignore_existing_pidfile()
        if self.detach:
            ovs.daemon.set_detach()
        if self.monitor:
            ovs.daemon.set_monitor()
        if not self.chdir:
            ovs.daemon.set_no_chdir()
        ovs.daemon.daemonize_start()

    @staticmethod
    def complete() -> None:
        """Tell the starter that the daemon is ready, and let go of its terminal."""
        ovs.daemon.daemonize_complete()


def _become(name: str) -> None:
    user, _, group = name.partition(":")
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError as error:
        raise LookupError(f"{name}: no such user or group") from error
    os.initgroups(entry.pw_name, gid)
    os.setgid(gid)
    os.setuid(entry.pw_uid)
