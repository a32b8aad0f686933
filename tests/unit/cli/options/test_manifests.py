"""The flags for the source of manifests."""

from pathlib import Path

import pytest

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.manifests import manifest_source
from isthmus.controller.inputs.inputs import CONFIG_MAP

DIRECTORY, FILE = Path("/manifests"), Path("/kubeconfig")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, False, None, ""), "needs --manifests or --kubernetes"),
        ((DIRECTORY, True, None, ""), "--manifests = '/manifests': cannot be combined"),
        ((DIRECTORY, False, FILE, ""), "--kubeconfig = '/kubeconfig': has no effect without"),
        ((DIRECTORY, False, None, "x"), "--context = 'x': has no effect without --kubernetes"),
        ((None, True, FILE, ""), "there is no file /kubeconfig"),
    ],
)
def test_contradicting_options_are_refused(
    given: tuple[Path | None, bool, Path | None, str], expected: str
) -> None:
    """The error names the option, before anything is connected."""
    with pytest.raises(CommandError) as caught:
        manifest_source(*given, CONFIG_MAP)
    assert expected in str(caught.value)


def test_a_directory_needs_no_client() -> None:
    """A directory of manifests does not load the Kubernetes library."""
    source, client = manifest_source(DIRECTORY, False, None, "", CONFIG_MAP)
    source.close()
    assert client is None
