"""Where `isthmus ovn-ic` creates its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("option", ["--pidfile", "--unixctl=RUN/ovn-ic.ctl"])
def test_a_run_directory_of_others_is_refused(tmp_path: Path, option: str) -> None:
    """Another user could put a link in the place of the file."""
    tmp_path.chmod(0o1777)
    program = str(Path(sys.executable).with_name("isthmus"))
    command = [program, "ovn-ic", option.replace("RUN", str(tmp_path))]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60,
        env=os.environ | {"OVN_RUNDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "other users can write to the directory" in done.stderr
    assert f"error: command ovn-ic: {option.partition('=')[0]}" in done.stderr
    assert list(tmp_path.iterdir()) == []
