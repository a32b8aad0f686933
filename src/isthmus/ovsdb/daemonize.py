"""Become a daemon like those of OVS: background, pidfile, monitor, user.

Called by `isthmus ovn-ic` before it opens anything, since it forks. A thin layer over `ovs.daemon`,
whose settings are module globals: one daemon per process.
"""

import grp
import os
import pwd
from dataclasses import dataclass

import ovs.daemon
import ovs.dirs
import ovs.util

RESTART_STATUS = int(ovs.daemon.RESTART_EXIT_CODE)
"""The exit status after which the monitor restarts the daemon, as after a crash."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """How to run (ovs-vswitchd(8), "Daemon Options").

    Args:
        program: the name for pidfile, log and monitor.
        run_dir: the directory of relative names.
        pidfile: its name; "" is PROGRAM.pid, None creates no pidfile.
        overwrite_pidfile: replace a pidfile that is in use.
        detach: run in the background; the parent process exits when `complete` is called.
        monitor: restart the daemon when a signal such as SIGSEGV kills it.
        chdir: change to "/" when detaching, so that no file system stays in use.
        user: USER[:GROUP] to run as; empty for the current user.
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
        """Switch to the user permanently. Call it before creating files that the user must own.

        Raises:
            LookupError: the user or group does not exist.
            PermissionError: only root can switch to another user.
        """
        if not self.user:
            return
        user, _, group = self.user.partition(":")
        try:
            entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
            gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
        except KeyError as error:
            raise LookupError(f"{self.user}: no such user or group") from error
        os.initgroups(entry.pw_name, gid)
        os.setgid(gid)
        os.setuid(entry.pw_uid)

    def start(self) -> None:
        """Fork as configured; returns in the process that does the work.

        Raises:
            SystemExit: in the parent process, when the daemon is ready or has failed; also if the
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
        """Signal the parent process that the daemon is ready, and close the terminal."""
        ovs.daemon.daemonize_complete()
