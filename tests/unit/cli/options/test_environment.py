"""Environment variables in place of options, as the TLS overlay sets them."""

import pytest

from isthmus.cli import main
from isthmus.cli.options.environment import PRIVATE_KEY


def test_tls_files_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key from the environment counts as its option, so that the certificate is required."""
    monkeypatch.setenv(PRIVATE_KEY, "/run/tls/key")
    monkeypatch.setattr("sys.argv", ["isthmus", "show"])
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == 1
    assert "--certificate: is not given" in capsys.readouterr().err
