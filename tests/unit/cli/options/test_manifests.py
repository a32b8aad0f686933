"""The flags for the source of manifests."""

from pathlib import Path

import pytest

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.manifests import Origin

DIRECTORY, FILE = Path("/manifests"), Path("/kubeconfig")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin(None, False, None, ""), "needs --manifests or --kubernetes"),
        (Origin(DIRECTORY, True, None, ""), "--manifests = '/manifests': cannot be combined"),
        (Origin(DIRECTORY, False, FILE, ""), "--kubeconfig = '/kubeconfig': has no effect without"),
        (
            Origin(DIRECTORY, False, None, "x"),
            "--context = 'x': has no effect without --kubernetes",
        ),
        (Origin(None, True, FILE, ""), "there is no file /kubeconfig"),
    ],
)
def test_contradicting_options_are_refused(origin: Origin, expected: str) -> None:
    """The error names the option, before anything is connected."""
    with pytest.raises(CommandError) as caught:
        origin.client()
    assert expected in str(caught.value)


def test_a_directory_needs_no_client() -> None:
    """A directory of manifests does not load the Kubernetes library."""
    assert Origin(DIRECTORY, False, None, "").client() is None
