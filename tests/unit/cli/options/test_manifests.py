"""Manifests come from exactly one place."""

from pathlib import Path

import pytest

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.manifests import Origin

DIRECTORY, FILE = Path("/manifests"), Path("/kubeconfig")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin(None, False, None, ""), "neither --manifests nor --kubernetes is given"),
        (Origin(DIRECTORY, True, None, ""), "--manifests = '/manifests': is given with"),
        (Origin(DIRECTORY, False, FILE, ""), "--kubeconfig = '/kubeconfig': is given without"),
        (Origin(DIRECTORY, False, None, "x"), "--context = 'x': is given without --kubernetes"),
        (Origin(None, True, FILE, ""), "there is no file /kubeconfig"),
    ],
)
def test_what_contradicts_itself_is_named(origin: Origin, expected: str) -> None:
    """With the option and what to do, before anything is connected."""
    with pytest.raises(CommandError) as caught:
        origin.client()
    assert expected in str(caught.value)


def test_a_directory_needs_no_client() -> None:
    """Whoever has no Kubernetes does not load its library."""
    assert Origin(DIRECTORY, False, None, "").client() is None
