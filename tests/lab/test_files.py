"""Manifest files that are moved, deleted and restored, with real packets: what counts as leaving.

tests/unit/manifests tests how files are read; these tests check that traffic is not affected.
"""

import pytest

from support.lab.joined import Joined

pytestmark = pytest.mark.lab


def port_row(joined: Joined) -> str:
    """The UUID of az1's router port; another one means that az1 has left in the meantime."""
    return joined.cluster("az1").nbctl("get", "Logical_Router_Port", "az1-ts", "_uuid")


def test_a_file_that_an_editor_replaces(joined: Joined) -> None:
    """A file that is moved away or deleted and restored within a moment causes no change."""
    manifests = joined.cluster("az1").manifests
    file = manifests.path("ConfigMap", "ovn-ic-config")
    backup, before = file.with_name(f"{file.name}~"), port_row(joined)
    for number in range(20):
        text = file.read_text()
        file.rename(backup)
        if number % 2:
            backup.unlink()
        assert joined.all_answer()
        file.write_text(text)
        backup.unlink(missing_ok=True)
    manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    joined.wait_for_learned("az2", 1)
    assert port_row(joined) == before


def test_a_file_that_stays_away_and_comes_back(joined: Joined) -> None:
    """A deleted ConfigMap makes the cluster leave, its return makes it join again."""
    file = joined.cluster("az1").manifests.path("ConfigMap", "ovn-ic-config")
    text, running = file.read_text(), joined.daemon("az1")
    file.unlink()
    joined.wait(lambda: "az1" not in joined.ic_sb(), "az1 to leave")
    joined.wait_for_silence()
    file.write_text(text)
    joined.wait_for_all()
    assert joined.daemon("az1") == running


def test_an_emptied_file_is_not_a_deleted_one(joined: Joined) -> None:
    """A failed writer leaves an empty file: it is reported, and traffic continues."""
    handle, before = joined.cluster("az1"), port_row(joined)
    file = handle.manifests.path("ConfigMap", "ovn-ic-config")
    text, since = file.read_text(), len(handle.isthmus_log())
    file.write_text("")
    fault = f"file {file.name}: is empty"
    joined.wait(lambda: fault in handle.isthmus_log()[since:], "a report")
    assert joined.all_answer()
    file.write_text(text)
    joined.wait(lambda: f"resolved: {fault}" in handle.isthmus_log()[since:], "it to be resolved")
    assert port_row(joined) == before


def test_the_whole_directory_vanishes(joined: Joined) -> None:
    """An unreadable directory does not mean leaving: traffic continues, later changes work."""
    handle, before = joined.cluster("az1"), port_row(joined)
    directory = handle.manifests.directory
    aside = directory.with_name("aside")
    since = len(handle.isthmus_log())
    directory.rename(aside)
    try:
        fault = f"directory {directory}: cannot be read"
        joined.wait(lambda: fault in handle.isthmus_log()[since:], "a report")
        assert joined.all_answer()
        assert port_row(joined) == before
    finally:
        aside.rename(directory)
    joined.wait(lambda: f"resolved: {fault}" in handle.isthmus_log()[since:], "it to be resolved")
    handle.manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    joined.wait_for_learned("az2", 1)
    assert port_row(joined) == before
