"""The histories of bad edits with real servers, whose results must be those of the fake ones."""

import os
from collections.abc import Iterator

import pytest

from isthmus.model.rows import Database
from support.harm.histories import check
from support.harm.world import World
from support.ovn.real_database import RealDatabase
from support.ovn.servers import Servers

pytestmark = pytest.mark.ovn

FIRST = int(os.environ.get("HARM_SEED", "0"))
Databases = dict[tuple[Database, str], RealDatabase]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The databases of two zones, and those that they share."""
    directory, found = tmp_path_factory.mktemp("harm"), Databases()
    places = {"": (Database.IC_NB, Database.IC_SB)}
    places |= dict.fromkeys(("az1", "az2"), (Database.NB, Database.SB))
    servers = {name: Servers(directory / (name or "ic")) for name in places}
    try:
        for name, kinds in places.items():
            servers[name].serve(*kinds)
            found |= {(kind, name): RealDatabase(kind, servers[name]) for kind in kinds}
        yield found
    finally:
        for database in found.values():
            database.session.close()
        for each in servers.values():
            each.stop_all()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 20))
def test_no_working_path_is_lost(seed: int, databases: Databases) -> None:
    """With real servers, too, no path is lost that nothing means to close."""
    for database in databases.values():
        database.clear()
    check(World(seed, lambda kind, zone: databases[kind, zone]), seed)
