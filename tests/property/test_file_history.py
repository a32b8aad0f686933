"""Random lives of one manifest file: nothing is given up that the file may still mean to say."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus.manifests.documents import read_documents
from isthmus.manifests.file_history import QUIET, SETTLE, ManifestFile

DOCUMENT = "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {name: %s}\n---\n"
WHOLE = "".join(DOCUMENT % name for name in "abc")
CONTENTS = st.one_of(
    st.none(),
    st.lists(st.sampled_from("abc")).map(lambda names: "".join(DOCUMENT % n for n in names)),
    st.integers(0, len(WHOLE)).map(lambda size: WHOLE[:size]),
    st.sampled_from(["kind: [\n", DOCUMENT.replace("Subnet", "Subnets") % "a"]),
)
LIVES = st.lists(
    st.tuples(CONTENTS, st.sampled_from([QUIET / 2, QUIET, SETTLE / 2, SETTLE])), max_size=12
)


def names(content: str | None) -> set[str]:
    """The objects in a file's content."""
    manifests = read_documents("f.yaml", (content or "").encode()).manifests
    return {key.name for key in manifests}


@given(life=LIVES)
def test_an_object_goes_only_when_the_file_has_settled_without_it(
    life: list[tuple[str | None, float]],
) -> None:
    """Whatever is in force stays so until the file was fine without it for the settle time."""
    file, now, written = ManifestFile("f.yaml"), 0.0, b""
    previous: str | None = ""
    unchanged = 0.0
    for number, (content, seconds) in enumerate(life):
        # A file that is written again has changed; one that stays away has not.
        unchanged = seconds + (unchanged if content is previous is None else 0.0)
        previous = content
        written = (content or "").encode()
        file.seen(None if content is None else (number,), now)
        before = {key.name for key in file.in_force}
        file.advance(lambda written=written: written, now)  # type: ignore[misc]
        assert before <= {key.name for key in file.in_force}, "a change alone takes nothing away"
        now += seconds
        file.advance(lambda written=written: written, now)  # type: ignore[misc]
        held = {key.name for key in file.in_force}
        found = read_documents("f.yaml", written)
        good = content is None or not (found.problems or (found.empty and before))
        if unchanged < SETTLE or not good:
            assert before <= held
        else:
            assert held == names(content)
        assert file.due() > now or held == names(content) or not good


@given(content=CONTENTS)
def test_a_settled_file_asks_for_nothing(content: str | None) -> None:
    """Once a file has settled it need not be looked at until it changes."""
    file = ManifestFile("f.yaml")
    file.seen(None if content is None else (1,), 0.0)
    for now in (0.0, QUIET, SETTLE, SETTLE + QUIET):
        file.advance((content or "").encode, now)
    assert content is None or file.due() == float("inf")
