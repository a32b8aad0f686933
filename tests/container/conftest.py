"""The image that the tests of this directory share; building it takes minutes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containerfile import Build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Build]]:
    """The root directory of the image."""
    directory = tmp_path_factory.mktemp("image")
    build = Build(directory)
    yield build.run(), build
    shutil.rmtree(directory)
