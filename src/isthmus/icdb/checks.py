"""Whether database files are sound and fit together, without a server.

Called by `isthmus ic-db check`. Reads files only; those of running servers too, since servers
append and rename, and never change what is written.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.icdb.client_tool import ToolError, tool
from isthmus.icdb.cluster_status import STANDALONE, Place
from isthmus.icdb.maintenance import older
from isthmus.model.problems import Problem


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that has been looked at.

    Args:
        database: which it should hold.
        file: where it is.
        model: "clustered" or "standalone"; empty if that cannot be told.
        schema: its schema's version; empty if unknown, as before a member has joined.
        cid, sid: cluster and server; empty if it stands alone or has not joined.
        problems: what is wrong.
    """

    database: str
    file: str
    model: str = ""
    schema: str = ""
    cid: str = ""
    sid: str = ""
    problems: tuple[Problem, ...] = ()


def check(place: Place, others: Sequence[Path] = ()) -> Checked:
    """Look at a member's file.

    Args:
        place: whose; `schema` is what the file's is compared with.
        others: files of other members, copied here, to be checked together with it.
    """
    file = place.file
    if not file.exists() or not file.stat().st_size:
        message, remedy = "does not exist, or is empty", "give the --data-dir of `ic-db run`"
        return _failed(place, "", message, remedy)
    try:
        name = tool("db-name", file)
        if name != place.database:
            message = f"holds the database {name}, not {place.database}"
            return _failed(place, "", message, "move the file to where it belongs")
        model = STANDALONE if _is(file, "standalone") else "clustered"
    except ToolError as error:
        return _damaged(place, "", error)
    try:
        if model == STANDALONE:
            return _standalone(place)
        return _clustered(place, others)
    except ToolError as error:
        return _damaged(place, model, error)


def _standalone(place: Place) -> Checked:
    tool("query", place.file, json.dumps([place.database]))
    version = tool("db-version", place.file)
    return Checked(
        place.database, str(place.file), STANDALONE, version, problems=_schema(place, version)
    )


def _clustered(place: Place, others: Sequence[Path]) -> Checked:
    tool("check-cluster", place.file, *others)
    cids = {file: _optional("db-cid", file) for file in (place.file, *others)}
    own = cids[place.file]
    problems = tuple(
        Problem(
            object=f"database {place.database}",
            key="file",
            value=str(file),
            message=f"is of cluster {cid}, not of {own}",
            remedy="find out which cluster has the data; remove the other's members",
        )
        for file, cid in cids.items()
        if cid != own
    )
    return Checked(
        database=place.database,
        file=str(place.file),
        model="clustered",
        cid=own,
        sid=_optional("db-sid", place.file),
        problems=problems,
    )


def _schema(place: Place, version: str) -> tuple[Problem, ...]:
    installed = tool("schema-version", place.schema)
    if not older(installed, version):
        return ()
    return (
        Problem(
            object=f"database {place.database}",
            key="schema",
            value=version,
            message=f"is newer than the installed one, {installed}",
            remedy="install the OVN that made it, or a later one",
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


def _damaged(place: Place, model: str, error: ToolError) -> Checked:
    remedy = (
        "let this member leave and join again; its data are with the others"
        if model == "clustered"
        else "restore it from a backup"
    )
    return _failed(place, model, f"is damaged: {error}", remedy)


def _failed(place: Place, model: str, message: str, remedy: str) -> Checked:
    problem = Problem(f"database {place.database}", "file", str(place.file), message, remedy)
    return Checked(place.database, str(place.file), model, problems=(problem,))
