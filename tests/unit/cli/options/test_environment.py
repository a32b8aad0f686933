"""Environment variables that stand for options, as the TLS overlay sets them."""

import pytest

from isthmus.cli import main
from isthmus.cli.options.environment import PRIVATE_KEY


def test_tls_files_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key named by the variable is taken as if given by its option: the rest is asked for."""
    monkeypatch.setenv(PRIVATE_KEY, "/run/tls/key")
    monkeypatch.setattr("sys.argv", ["isthmus", "show"])
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == 1
    assert "--certificate: is missing" in capsys.readouterr().err
