"""The authorizing proxy: serves clients of the IC databases and refuses what a zone may not write.

Called by `isthmus ic-db authz`. Clients connect by TLS; the common name in their certificate is
their zone. `rules` decides on every transaction. Invariant: it fails closed. While the contents of
a database are not complete, no zone's writes are passed on.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.authz.audit_log import FILE_NAME, AuditLog
from isthmus.authz.authorizer import Authorizer
from isthmus.authz.database_state import COLUMNS, DatabaseState
from isthmus.authz.follower import DatabaseFollower
from isthmus.authz.limits.answers import AnswerTurns
from isthmus.authz.limits.rates import Rate, ZoneTraffic
from isthmus.authz.listener import (
    TlsListener,
    enable_keepalive,
    is_operator,
    peer_of,
    serve_until_cancelled,
)
from isthmus.authz.request import AuthorizationPolicy, JsonOperation, RefusedError
from isthmus.authz.session import ClientSession, refusal
from isthmus.authz.status import SOCKET, open_control_socket
from isthmus.model.bounds import (
    PROXY,
    ZONE_CHANGES,
    ZONE_CHARACTERS,
    ZONE_CONNECTIONS,
    ZONE_REQUESTS,
    BoundExceededError,
)
from isthmus.model.text import failure_text, quoted
from isthmus.ovsdb.json_stream import encode
from isthmus.pki.files import TlsFiles

_SERVER_SOCKETS = ("ovn_ic_nb_db.sock", "ovn_ic_sb_db.sock")

_READY_LIMIT = 3.0
"""Seconds that a write waits until the databases' contents are complete."""

_REPLICATION_LAG = 0.5
"""Seconds after which a refused transaction is checked again in a cluster: rows that a zone wrote
to one member take a moment to reach the others."""

_SAVE_DELAY = 0.1
"""Seconds from a refusal until the audit log is written."""

_log = logging.getLogger(__name__)


class AuthorizingProxy:
    """Serves clients of both databases.

    Args:
        run_dir: that of `isthmus ic-db run`, with the servers' sockets; the proxy's control socket
            and audit log are there as well.
        ports: for clients of IC-NB and IC-SB.
        policy: the operator's.
        operators: names in certificates that may write everything, in addition to the members and
            operators of `isthmus pki`.
    """

    def __init__(
        self,
        run_dir: Path,
        ports: tuple[int, int],
        policy: AuthorizationPolicy,
        operators: frozenset[str],
    ) -> None:
        self._ports, self._policy, self._operators = ports, policy, operators
        self._audit_log, self._socket = AuditLog(run_dir / FILE_NAME), run_dir / SOCKET
        state = DatabaseState()
        self._authorizer = Authorizer(state, policy, self._require_ready, self._refused)
        self._followers = [
            DatabaseFollower(database, run_dir / socket, state, self._authorizer)
            for database, socket in zip(COLUMNS, _SERVER_SOCKETS, strict=True)
        ]
        self._clients: set[asyncio.Task[None]] = set()
        self._connections: Counter[str] = Counter()
        self._traffic: dict[str, ZoneTraffic] = {}
        self._turns = AnswerTurns()
        self._pending_save: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        """Whether the contents of both databases are complete."""
        return all(follower.ready.is_set() for follower in self._followers)

    async def until_ready(self) -> None:
        """Wait until the contents of both databases are complete."""
        while not self.ready:
            await asyncio.gather(*(follower.ready.wait() for follower in self._followers))

    async def serve(self, listen: str, files: TlsFiles, end: Callable[[], object]) -> None:
        """Serve until cancelled.

        Args:
            listen: the IP address.
            files: read again when they change.
            end: called on the control command `exit`.

        Raises:
            OSError: a port is in use, or a file cannot be read.
        """
        following = [asyncio.create_task(follower.run()) for follower in self._followers]
        with ExitStack() as stack:
            try:
                listeners = tuple(
                    stack.enter_context(
                        closing(TlsListener(listen, port, partial(self._accept, follower)))
                    )
                    for port, follower in zip(self._ports, self._followers, strict=True)
                )
                control = await open_control_socket(self._socket, self._status, end)
                stack.enter_context(closing(control))
                stack.callback(self._socket.unlink, missing_ok=True)
                await serve_until_cancelled(listeners, files)
            finally:
                tasks = [*following, *self._clients]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if self._pending_save is not None:
                    self._pending_save.cancel()
                    self._save()

    def _status(self) -> Mapping[str, Any]:
        clients = {name: number for name, number in self._connections.items() if number}
        used = {
            zone: {ZONE_CONNECTIONS.name: number} | self._authorizer.quotas.used(zone)
            for zone, number in clients.items()
        }
        quotas = {
            zone: {
                bound.name: [numbers[bound.name], self._policy.limit(zone, bound).most]
                for bound in PROXY
                if bound.name in numbers
            }
            for zone, numbers in used.items()
        }
        return {"ready": self.ready, "clients": clients, "quotas": quotas}

    def _accept(
        self, database: DatabaseFollower, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # A task of our own: asyncio logs an error when its stream server's task is cancelled.
        task = asyncio.create_task(self._admit(database, reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _admit(
        self, database: DatabaseFollower, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = peer_of(writer.get_extra_info("peercert") or {})
        zone, unrestricted = peer.name, is_operator(peer) or peer.name in self._operators
        try:
            if not zone:
                raise RefusedError(zone, "connect", "", "its certificate has no name")
            if not unrestricted:
                limit = self._policy.limit(zone, ZONE_CONNECTIONS)
                limit.check(self._connections[zone] + 1)
        except (BoundExceededError, RefusedError) as error:
            if isinstance(error, BoundExceededError):
                error = RefusedError.exceeding(error, zone, "connect")
            self._refused(error)
            writer.write(encode(refusal(None, str(error))))
            writer.close()
            return
        session = ClientSession(
            database.database,
            database.socket,
            zone,
            unrestricted,
            writer,
            self._policy,
            self._traffic_of(zone),
            self._turns,
            self._authorize,
            self._refused,
        )
        self._connections[zone] += 1
        try:
            enable_keepalive(writer)
            await session.serve(reader)
        except (OSError, ValueError) as error:
            _log.debug(
                "%s: connection of %s closed: %s",
                database.database,
                quoted(zone),
                failure_text(error),
            )
        finally:
            self._connections[zone] -= 1
            writer.close()

    def _traffic_of(self, zone: str) -> ZoneTraffic:
        if zone not in self._traffic:
            bounds = (ZONE_CHARACTERS, ZONE_REQUESTS, ZONE_CHANGES)
            characters, requests, changes = (Rate(self._policy.limit(zone, one)) for one in bounds)
            self._traffic[zone] = ZoneTraffic(characters, requests, changes)
        return self._traffic[zone]

    async def _authorize(self, operations: list[Any], zone: str) -> list[JsonOperation]:
        """The operations to pass on for a zone.

        A refused transaction is checked again once everything committed has arrived here, since it
        may concern rows that were written a moment ago.
        """
        try:
            return await self._check(operations, zone)
        except RefusedError:
            for follower in self._followers:
                await follower.caught_up()
        try:
            return await self._check(operations, zone)
        except RefusedError:
            if not any(follower.clustered for follower in self._followers):
                raise
            await asyncio.sleep(_REPLICATION_LAG)
        return await self._check(operations, zone)

    async def _check(self, operations: list[Any], zone: str) -> list[JsonOperation]:
        if not self.ready:
            try:
                await asyncio.wait_for(self.until_ready(), _READY_LIMIT)
            except TimeoutError:
                raise ConnectionResetError("the databases' contents are not complete") from None
        return await self._authorizer.check(operations, zone)

    def _require_ready(self) -> None:
        if not self.ready:
            raise ConnectionResetError("a database was lost during the check")

    def _refused(self, refused: RefusedError) -> None:
        if self._audit_log.add(refused, time.time()):
            _log.warning("refused: %s", refused)
        if self._pending_save is None:
            loop = asyncio.get_running_loop()
            self._pending_save = loop.call_later(_SAVE_DELAY, self._save)

    def _save(self) -> None:
        self._pending_save = None
        try:
            self._audit_log.save()
        except OSError as error:
            _log.error("cannot write %s: %s", self._audit_log.file, failure_text(error))
