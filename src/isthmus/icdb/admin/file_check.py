"""Whether database files are sound and fit together, without a server.

Called by `isthmus ic-db check`. Reads files only; those of running servers too, since servers
append and rename, and never change what is written. Invariant: what is wrong with a copy of another
member's file is never said of this member's.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus.icdb.admin.membership_changes import older
from isthmus.icdb.admin.server_control import Place
from isthmus.icdb.admin.status import STANDALONE
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.ovsdb_tools import ToolError, tool
from isthmus.icdb.raft.cluster_files import was_never_admitted
from isthmus.icdb.server.plan import Files, Server
from isthmus.icdb.server.preflight import judge_damage
from isthmus.model.problems import Problem, Subject

CLUSTERED = "clustered"

_BEGINS = {STANDALONE: b"OVSDB JSON ", CLUSTERED: b"OVSDB CLUSTER "}
"""How the line before each record begins, by model (ovsdb(5))."""

_NO_RECORDS = "all logs are empty"
"""What `ovsdb-tool` says of files that have their first record alone, as right after founding."""

_OWNER = "run this as the file's owner; or, if that is not who is to have it, chown it"
_AGAIN = "copy it again; if that is no better, run `isthmus ic-db check` on its member's host"
_ANOTHER = "give a copy of another member's file"
_BY_ITSELF = "check each by itself, without copies"
_DIFFER = (
    "copy the files again; if that is no better, make a backup on the member whose data are right,"
    " and restore it into a new cluster"
)
_MEND = {
    CLUSTERED: "move it away and start again: this member is filled by the others, if a majority of"
    " them runs; otherwise restore a backup (`isthmus ic-db restore`)",
    STANDALONE: "move it away, start again, and restore a backup (`isthmus ic-db restore`)",
    "": "move it away and start again: the others fill it if there are any; otherwise restore a"
    " backup (`isthmus ic-db restore`)",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that has been looked at.

    Args:
        database: which it should hold.
        file: where it is.
        model: "clustered" or "standalone"; empty if that cannot be told.
        schema: its schema's version; empty if unknown, as before a member has joined.
        cid, sid: cluster and server; empty if it stands alone or has not joined.
        problems: what is wrong with it.
        copies: what is wrong with the others' copies, or between them and it.
    """

    database: str
    file: str
    model: str = ""
    schema: str = ""
    cid: str = ""
    sid: str = ""
    problems: tuple[Problem, ...] = ()
    copies: tuple[Problem, ...] = ()


def check(place: Place, copies: Sequence[Path] = ()) -> Checked:
    """Look at a member's file, and at copies of others'.

    Args:
        place: whose; `schema` is what the file's is compared with.
        copies: directories with files of other members, to be checked together with it, if it is
            sound itself.
    """
    own = _alone(place)
    if own.problems:
        return own
    places = [replace(place, data_dir=directory) for directory in copies]
    others = [_copied(other) for other in places]
    found = [
        problem
        for number, other in enumerate(others)
        for problem in other.problems or _misfit(other, [own, *others[:number]])
    ]
    return replace(own, copies=tuple(found or _together(place, [other.file for other in places])))


def whole(content: bytes) -> bytes:
    """A database file without what follows its last complete record.

    A record is two lines: length and checksum, then JSON.
    """
    *lines, _ = content.split(b"\n")
    return b"".join(line + b"\n" for line in lines[: len(lines) // 2 * 2])


def _alone(place: Place) -> Checked:
    unusable = _unusable(place)
    if unusable is not None:
        return Checked(place.database, str(place.file), problems=(unusable,))
    model = _model(place.file)
    try:
        name = tool("db-name", place.file)
    except ToolError as error:
        return _failed(place, model, f"is damaged: {error}", _MEND[model])
    if name != place.database:
        message = f"holds the database {name}, not {place.database}"
        return _failed(place, "", message, "move the file to where it belongs")
    return _standalone(place) if model == STANDALONE else _member(place)


def _standalone(place: Place) -> Checked:
    version = _optional("db-version", place.file)
    damage = _damage(place, STANDALONE, "query", place.file, json.dumps([place.database]))
    problems = (*damage, *_schema(place, version))
    return Checked(place.database, str(place.file), STANDALONE, version, problems=problems)


def _member(place: Place) -> Checked:
    if was_never_admitted(_server(place)):
        message = "was ended while it was being admitted, and holds nothing yet"
        remedy = "start `isthmus ic-db run`, which has it join anew"
        return _failed(place, CLUSTERED, message, remedy)
    return Checked(
        database=place.database,
        file=str(place.file),
        model=CLUSTERED,
        cid=_optional("db-cid", place.file),
        sid=_optional("db-sid", place.file),
        problems=_damage(place, CLUSTERED, "check-cluster", place.file),
    )


def _unusable(place: Place) -> Problem | None:
    """Why a file cannot be looked at; of one that may not be read, tools say that it is damaged."""
    try:
        empty = not place.file.stat().st_size
    except PermissionError:
        return _bad(place, "cannot be read by this user", _OWNER)
    except OSError:
        empty = True
    if empty:
        return _bad(place, "does not exist, or is empty", "give the --data-dir of `ic-db run`")
    if not os.access(place.file, os.R_OK, effective_ids=True):
        return _bad(place, "cannot be read by this user", _OWNER)
    return None


def _model(file: Path) -> str:
    for model in _BEGINS:
        if _is(file, model):
            return model
    # Its head is damaged, but not what begins the later records.
    content = file.read_bytes()
    return next((model for model, begins in _BEGINS.items() if begins in content), "")


def _damage(place: Place, model: str, *reading: str | Path) -> tuple[Problem, ...]:
    """What is wrong with the records, as `ic-db run` judges it.

    Args:
        place, model: whose file, and what it is.
        reading: the arguments with which `ovsdb-tool` reads all of it.
    """
    try:
        tool(*reading)
    except ToolError as error:
        if str(error) == _NO_RECORDS:
            return ()
        try:
            judge_damage(_server(place), str(error), _MEND[model])
        except IcDbError as judged:
            return judged.problems
    return ()


def _copied(place: Place) -> Checked:
    """A copy, looked at alone; what is wrong may be wrong with the copy only."""
    checked = _alone(place)
    problems = tuple(
        problem if problem.remedy == _OWNER else replace(problem, remedy=_AGAIN)
        for problem in checked.problems
    )
    return replace(checked, problems=problems)


def _misfit(copy: Checked, before: Sequence[Checked]) -> tuple[Problem, ...]:
    """Why a sound copy cannot be checked together with this member's file and other copies.

    Args:
        copy: the copy.
        before: this member's file, then those copies that have been looked at.
    """
    own = before[0]
    same = [other.file for other in before if copy.sid and copy.sid == other.sid]
    if own.model == STANDALONE:
        message, remedy = f"has nothing in common with {own.file}, which stands alone", _BY_ITSELF
    elif copy.model == STANDALONE:
        message, remedy = "stands alone, and is of no member of a cluster", _ANOTHER
    elif same:
        whose = "this member itself" if same[0] == own.file else f"the same member as {same[0]}"
        message, remedy = f"is of {whose}", _ANOTHER
    elif own.cid and copy.cid and copy.cid != own.cid:
        message = f"is of cluster {copy.cid}, not of {own.cid}"
        remedy = f"{_ANOTHER}; or find out which cluster has the data, remove the other's members"
    else:
        return ()
    return (Subject(f"database {copy.database}", "file", copy.file).problem(message, remedy),)


def _together(place: Place, copies: Sequence[Path]) -> Sequence[Problem]:
    """Where the histories in sound files differ: first with each copy, then between copies."""
    found = []
    for copy in copies:
        differing = _differing([place.file, copy])
        if differing:
            message = f"does not fit {place.file}: {differing}"
            found.append(
                Subject(f"database {place.database}", "file", str(copy)).problem(message, _DIFFER)
            )
    if found or len(copies) < 2:
        return found
    differing = _differing([place.file, *copies])
    message = f"the copies do not fit together: {differing}"
    return [Subject(f"database {place.database}").problem(message, _DIFFER)] if differing else []


def _complete(file: Path, at: Path) -> Path:
    """The file, or what it has but for an incomplete last record, made elsewhere."""
    content = file.read_bytes()
    if content == whole(content):
        return file
    at.write_bytes(whole(content))
    return at


def _differing(files: Sequence[Path]) -> str:
    """How files differ in what they should have in common; empty if they do not."""
    with TemporaryDirectory() as directory:
        named = {
            str(_complete(file, Path(directory, str(number)))): file
            for number, file in enumerate(files)
        }
        try:
            tool("check-cluster", *named)
        except ToolError as error:
            said = str(error)
            for name, file in named.items():
                said = said.replace(name, str(file))
            return "" if said == _NO_RECORDS else said
    return ""


def _schema(place: Place, version: str) -> tuple[Problem, ...]:
    try:
        installed = tool("schema-version", place.schema)
    except ToolError as error:
        message = f"has no schema to compare the file's with: {error}"
        remedy = "give the directory of OVN's schemas"
        directory = str(place.schema_dir)
        return (
            Subject(f"database {place.database}", "--schema-dir", directory).problem(
                message, remedy
            ),
        )
    if not older(installed, version):
        return ()
    return (
        Subject(f"database {place.database}", "schema", version).problem(
            f"is newer than the installed one, {installed}",
            "install the OVN that made it, or a later one",
        ),
    )


def _is(file: Path, model: str) -> bool:
    try:
        tool(f"db-is-{model}", file)
    except ToolError:
        return False
    return True


def _optional(question: str, file: Path) -> str:
    try:
        return tool(question, file)
    except ToolError:
        return ""


def _failed(place: Place, model: str, message: str, remedy: str) -> Checked:
    problems = (_bad(place, message, remedy),)
    return Checked(place.database, str(place.file), model, problems=problems)


def _bad(place: Place, message: str, remedy: str) -> Problem:
    return Subject(f"database {place.database}", "file", str(place.file)).problem(message, remedy)


def _server(place: Place) -> Server:
    """The server whose file it is; nothing else about it counts."""
    files = Files(place.data_dir, place.run_dir, place.schema_dir)
    nowhere = IPv4Address("127.0.0.1")
    return Server(place.database, place.short, place.port, nowhere, files, raft_port=place.port)
