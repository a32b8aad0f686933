"""The directory source: changes, errors and deletion, with time as an argument."""

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.manifests.directory import RESCAN_OFTEN, DirectorySource
from isthmus.manifests.file_history import QUIET, SETTLE

SUBNET = "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {name: %s}\nspec: {cidrBlock: %s}\n"


class Reader:
    """A source on a directory, with a clock that the test sets."""

    def __init__(self, path: Path) -> None:
        self.source = DirectorySource(path)
        self.now = 1000.0
        self.last = Snapshot({})

    def after(self, seconds: float) -> dict[str, str]:
        """Subnets and their CIDRs after some time in which the source is polled when due."""
        end = self.now + seconds
        while self.now <= end:
            self.last = self.source.poll(self.now) or self.last
            due = self.source.next_wakeup()
            assert due > self.now or due == self.now, "a source must not ask for the past"
            self.now = min(max(due, self.now + 0.01), end + 0.001)
        return {key.name: m.body["spec"]["cidrBlock"] for key, m in self.last.objects.items()}

    def seen(self) -> dict[str, str]:
        """Subnets as soon as the last change can have been read."""
        self.source._next = self.now  # what a notification does
        return self.after(QUIET + 0.02)

    @property
    def problems(self) -> str:
        """The problems."""
        return "\n".join(map(str, self.last.problems))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory with one Subnet in it."""
    (tmp_path / "a.yaml").write_text(SUBNET % ("a", "10.1.0.0/16"))
    return tmp_path


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    """A reader that has read the Subnet."""
    reader = Reader(path)
    assert reader.after(0) == {"a": "10.1.0.0/16"}
    assert reader.last.complete
    yield reader
    reader.source.close()


def test_changes_and_new_files(path: Path, reader: Reader) -> None:
    """A changed file and a new one take effect at once."""
    (path / "a.yaml").write_text(SUBNET % ("a", "10.2.0.0/16"))
    (path / "b.yml").write_text(SUBNET % ("b", "10.3.0.0/16"))
    assert reader.seen() == {"a": "10.2.0.0/16", "b": "10.3.0.0/16"}


def test_nothing_new_is_nothing(path: Path, reader: Reader) -> None:
    """Without a change there is no snapshot."""
    reader.source._next = reader.now
    assert reader.source.poll(reader.now) is None


def test_a_file_that_vanishes_is_missed_before_it_is_given_up(path: Path, reader: Reader) -> None:
    """The objects of a deleted file stay in force for the settle time, with a problem."""
    (path / "a.yaml").unlink()
    assert reader.seen() == {"a": "10.1.0.0/16"}
    assert "file a.yaml: does not exist any more; restore it" in reader.problems
    assert reader.after(SETTLE - 0.2) == {"a": "10.1.0.0/16"}
    assert reader.after(0.2) == {}
    assert reader.problems == ""


def test_a_file_that_comes_back_in_time(path: Path, reader: Reader) -> None:
    """A file that an editor replaces keeps its objects."""
    (path / "a.yaml").rename(path / "a.yaml~")
    assert reader.seen() == {"a": "10.1.0.0/16"}
    (path / "a.yaml").write_text(SUBNET % ("a", "10.1.0.0/16"))
    assert reader.seen() == {"a": "10.1.0.0/16"}
    assert reader.after(2 * SETTLE) == {"a": "10.1.0.0/16"}
    assert reader.problems == ""


def test_an_object_taken_out_of_a_file(path: Path, reader: Reader) -> None:
    """An object removed from a file is deleted after the settle time."""
    both = SUBNET % ("a", "10.1.0.0/16") + "---\n" + SUBNET % ("b", "10.2.0.0/16")
    (path / "a.yaml").write_text(both)
    assert reader.seen().keys() == {"a", "b"}
    (path / "a.yaml").write_text("# a moved\n---\n" + SUBNET % ("b", "10.2.0.0/16"))
    assert reader.seen().keys() == {"a", "b"}
    assert reader.after(SETTLE).keys() == {"b"}


def test_an_object_moved_to_another_file_is_no_duplicate(path: Path, reader: Reader) -> None:
    """The new file counts at once, and there is no problem with the old one."""
    (path / "b.yaml").write_text(SUBNET % ("a", "10.9.0.0/16"))
    (path / "a.yaml").unlink()
    assert reader.seen() == {"a": "10.9.0.0/16"}
    assert "is given in" not in reader.problems
    assert reader.after(SETTLE) == {"a": "10.9.0.0/16"}


def test_a_file_is_read_when_its_writer_has_finished(path: Path, reader: Reader) -> None:
    """A file that is written in pieces is not read in between."""
    whole = SUBNET % ("a", "10.7.0.0/16")
    for size in range(0, len(whole), 7):
        (path / "a.yaml").write_text(whole[:size])
        reader.source._next = reader.now
        assert reader.after(QUIET / 2) == {"a": "10.1.0.0/16"}
    (path / "a.yaml").write_text(whole)
    assert reader.seen() == {"a": "10.7.0.0/16"}
    assert reader.problems == ""


@pytest.mark.parametrize("content", ["", "\n", "---\n", "# Subnets\n"])
def test_an_empty_file_keeps_what_it_held(content: str, path: Path, reader: Reader) -> None:
    """A failed writer leaves an empty file; only deleting the file deletes its objects."""
    (path / "a.yaml").write_text(content)
    assert reader.after(SETTLE + 6) == {"a": "10.1.0.0/16"}
    assert reader.problems.startswith("file a.yaml: is empty, so the objects that it held stay")
    (path / "a.yaml").unlink()
    assert reader.after(SETTLE + 6) == {}
    assert reader.problems == ""


def test_a_directory_that_loses_all_files_at_once_keeps_them(path: Path, reader: Reader) -> None:
    """A directory that is no longer mounted looks empty; a single file may be deleted."""
    (path / "b.yaml").write_text(SUBNET % ("b", "10.2.0.0/16"))
    both = reader.after(SETTLE + 6)
    for file in path.iterdir():
        file.unlink()
    assert reader.after(SETTLE + 6) == both
    assert "lost all its files at once" in reader.problems
    (path / "a.yaml").write_text(SUBNET % ("a", "10.1.0.0/16"))
    assert reader.after(SETTLE + 6) == {"a": "10.1.0.0/16"}
    assert reader.problems == ""


def test_a_broken_file_keeps_what_it_held(path: Path, reader: Reader) -> None:
    """A file with an error is reported with its line, and works again once it is corrected."""
    (path / "a.yaml").write_text("kind: Subnet\nspec: {\n")
    assert reader.seen() == {"a": "10.1.0.0/16"}
    assert reader.after(10 * SETTLE) == {"a": "10.1.0.0/16"}
    assert "file a.yaml: line 3: is not valid YAML" in reader.problems
    assert reader.last.complete
    (path / "a.yaml").write_text(SUBNET % ("a", "10.8.0.0/16"))
    assert reader.seen() == {"a": "10.8.0.0/16"}
    assert reader.problems == ""


def test_a_misspelt_object_is_not_a_deleted_one(path: Path, reader: Reader) -> None:
    """While a file has a problem, none of its objects counts as deleted."""
    (path / "a.yaml").write_text((SUBNET % ("a", "10.1.0.0/16")).replace("Subnet", "Subnets"))
    assert reader.after(10 * SETTLE) == {"a": "10.1.0.0/16"}
    assert "and kind: Subnet" in reader.problems


def test_a_file_never_read_makes_the_snapshot_incomplete(path: Path, reader: Reader) -> None:
    """A file that was never valid makes the snapshot incomplete."""
    (path / "b.yaml").write_text("kind: {\n")
    reader.seen()
    assert not reader.last.complete
    (path / "b.yaml").write_text(SUBNET % ("b", "10.2.0.0/16"))
    reader.seen()
    assert reader.last.complete


def test_duplicates(path: Path, reader: Reader) -> None:
    """The first file by name counts; the problem names both."""
    (path / "b.yaml").write_text(SUBNET % ("a", "10.9.0.0/16"))
    assert reader.seen() == {"a": "10.1.0.0/16"}
    assert "Subnet a: is given in both a.yaml and b.yaml" in reader.problems


def test_the_directory_vanishes_and_comes_back(path: Path, reader: Reader) -> None:
    """A missing directory changes nothing; a new one in its place is read and watched."""
    path.rename(path.with_name("away"))
    reader.source._next = reader.now
    assert reader.after(20) == {"a": "10.1.0.0/16"}
    assert f"directory {path}: cannot be read: No such file or directory" in reader.problems
    path.mkdir()
    (path / "a.yaml").write_text(SUBNET % ("a", "10.5.0.0/16"))
    assert reader.after(RESCAN_OFTEN + 1) == {"a": "10.5.0.0/16"}
    assert reader.problems == ""


def test_a_directory_that_does_not_exist_yet(tmp_path: Path) -> None:
    """A missing directory is reported, and is read when it appears."""
    reader = Reader(tmp_path / "later")
    assert reader.after(0) == {}
    before = reader.last
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.yaml").write_text(SUBNET % ("a", "10.5.0.0/16"))
    assert reader.after(RESCAN_OFTEN + 1) == {"a": "10.5.0.0/16"}
    assert (before.complete, reader.last.complete) == (False, True)
    reader.source.close()


def test_a_mounted_config_map(tmp_path: Path) -> None:
    """The kubelet's swap of the `..data` link counts as one change of content."""
    for version, cidr in (("..1", "10.1.0.0/16"), ("..2", "10.2.0.0/16")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(SUBNET % ("a", cidr))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    reader = Reader(tmp_path)
    assert reader.after(0) == {"a": "10.1.0.0/16"}
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert reader.seen() == {"a": "10.2.0.0/16"}
    assert reader.problems == ""
    reader.source.close()


def test_what_is_no_manifest(path: Path, reader: Reader) -> None:
    """Hidden files, backups, directories and pipes are not read."""
    for name in (".a.yaml", "#a.yaml#", "b.yaml~", "c.txt"):
        (path / name).write_text("kind: {\n")
    (path / "d.yaml").mkdir()
    os.mkfifo(path / "e.yaml")
    assert reader.seen() == {"a": "10.1.0.0/16"}
    assert reader.problems == ""


def test_a_dangling_link_is_an_unreadable_file(path: Path, reader: Reader) -> None:
    """A dangling link is reported, and the objects of its former target stay in force."""
    (path / "a.yaml").unlink()
    (path / "a.yaml").symlink_to("nowhere")
    reader.source._next = reader.now
    assert reader.after(5 * SETTLE) == {"a": "10.1.0.0/16"}
    assert "file a.yaml: cannot be read: No such file or directory" in reader.problems
    (path / "a.yaml").unlink()
    assert reader.after(2 * SETTLE) == {}


def test_a_change_wakes_the_poll_loop(tmp_path: Path) -> None:
    """The file descriptor becomes readable soon after a change, and only then."""
    source = DirectorySource(tmp_path)
    try:
        source.poll(time.monotonic())
        # The watch says once when it is set up.
        assert select.select([source.fileno()], [], [], 10)[0]
        source.poll(time.monotonic())
        (tmp_path / "a.yaml").write_text(SUBNET % ("a", "10.1.0.0/16"))
        assert select.select([source.fileno()], [], [], 10)[0]
        started = time.monotonic()
        assert source.poll(started) is None
        assert source.next_wakeup() <= started + QUIET
        snapshot = source.poll(started + QUIET)
        assert snapshot is not None
        assert len(snapshot.objects) == 1
    finally:
        source.close()
