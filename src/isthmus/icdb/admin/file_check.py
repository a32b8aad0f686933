"""Whether database files are valid, and consistent with those of other members.

Called by `isthmus ic-db check`. Reads files only, also those of running servers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_file import (
    RESTORE,
    DatabaseModel,
    Records,
    check_standalone,
    checked_records,
    is_empty,
    read_records,
)
from isthmus.icdb.local.database_server import LocalServer
from isthmus.icdb.local.ovsdb_tools import ToolError, ovsdb_tool
from isthmus.icdb.raft.cluster_files import FileState, MemberRecords, check_member
from isthmus.model.problems import Problem

_MISMATCH = (
    "copy the files again; if that does not help, make a backup on the member whose data are right,"
    " and restore it into a new cluster"
)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A database file and the result of its check.

    Args:
        database: the database that it should hold.
        file: its path.
        model: "clustered" or "standalone"; empty if it cannot be read.
        schema: the schema's version; empty if it is clustered.
        cid, sid: cluster and server; empty if it stands alone or has not joined.
        problems: what is wrong with it.
        copies: what is wrong with the copies of other members' files, or between them and it.
    """

    database: str
    file: str
    model: str = ""
    schema: str = ""
    cid: str = ""
    sid: str = ""
    problems: tuple[Problem, ...] = ()
    copies: tuple[Problem, ...] = ()


def check(server: LocalServer, copies: Sequence[Path] = ()) -> CheckedFile:
    """Check a server's file, and if it is valid, directories with copies of the others' with it."""
    own = _check_alone(server)
    if own.problems or not copies:
        return own
    others = [replace(server, files=replace(server.files, data_dir=copy)) for copy in copies]
    problems = [problem for other in others for problem in _check_alone(other).problems]
    if not problems:
        problems = _check_together([server, *others])
    return replace(own, copies=tuple(problems))


def _check_alone(server: LocalServer) -> CheckedFile:
    checked = CheckedFile(server.database, str(server.database_file))
    try:
        return _valid(server, checked)
    except IcDbError as error:
        return replace(checked, problems=error.problems)
    except PermissionError:
        remedy = "run this command as the file's owner"
        problem = server.file_subject.problem("cannot be read by this user", remedy)
        return replace(checked, problems=(problem,))


def _valid(server: LocalServer, checked: CheckedFile) -> CheckedFile:
    """The result for a valid file.

    Raises:
        IcDbError, PermissionError: it is not valid, or cannot be read.
    """
    if is_empty(server):
        remedy = "give the --data-dir of `isthmus ic-db run`"
        raise IcDbError(server.file_subject.problem("does not exist, or is empty", remedy))
    records = checked_records(server, RESTORE)
    checked = replace(checked, model=str(records.model))
    if records.model is DatabaseModel.STANDALONE:
        check_standalone(server)
        return replace(checked, schema=ovsdb_tool("db-version", server.database_file))
    member = MemberRecords(records)
    check_member(server, member)
    if member.state is FileState.NOT_ADMITTED:
        message = "was interrupted while being admitted, and holds no data yet"
        remedy = "start `isthmus ic-db run`, which lets it join again"
        raise IcDbError(server.file_subject.problem(message, remedy))
    return replace(checked, cid=member.cid, sid=member.sid)


def _check_together(servers: Sequence[LocalServer]) -> list[Problem]:
    """The verdict of `ovsdb-tool check-cluster` on valid files of several members."""
    files = [server.database_file for server in servers]
    all_records = list(map(read_records, files))
    if all(len(records.contents) == 1 for records in all_records):
        return []  # nothing to compare; check-cluster would say that "all logs are empty"
    with TemporaryDirectory() as directory:
        # check-cluster does not accept an incomplete last record.
        complete = [
            _without_torn_record(file, records, Path(directory, str(number)))
            for number, (file, records) in enumerate(zip(files, all_records, strict=True))
        ]
        try:
            ovsdb_tool("check-cluster", *complete)
        except ToolError as error:
            text = str(error)
            for checked, file in zip(complete, files, strict=True):
                text = text.replace(str(checked), str(file))
            message = f"does not match {', '.join(map(str, files[1:]))}: {text}"
            return [servers[0].file_subject.problem(message, _MISMATCH)]
    return []


def _without_torn_record(file: Path, records: Records, copy: Path) -> Path:
    """A file, or a copy of its complete records if there is more."""
    if not records.torn:
        return file
    copy.write_bytes(file.read_bytes()[: records.size])
    return copy
