"""The faults of `ovs.vlog` for which `isthmus.daemon.vlog` exists (decision 16).

If one of these tests fails, a new version of the package may have made our module unnecessary.
"""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, ovs.vlog
log = ovs.vlog.Vlog("reconnect")
ovs.vlog.Vlog.init(sys.argv[1])
log.info("first")
ovs.vlog.Vlog.set_levels_from_string("any:off")
log.emer("second")
print(ovs.vlog.Vlog.set_levels_from_string("PATTERN:file:%p %m"))
print(ovs.vlog.Vlog.set_levels_from_string("reconnect"), ovs.vlog.Vlog.get_levels())
"""


def test_ovs_vlog_differs_from_ovs(tmp_path: Path) -> None:
    """Its lines have another form, "off" is not off, and documented specifications fail."""
    file = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={"OVS_SYSLOG_METHOD": "null"},
    )
    first, second = file.read_text().splitlines()
    assert first.split("|", 1)[1] == "  0  | reconnect | INFO | first"  # OVS: 00001|reconnect|…
    assert "second" in second
    answers = done.stdout.splitlines()
    assert answers[0] == 'no destination, level, or module "pattern"'
    assert answers[1].startswith("None")
    assert not any("dbg" in answer for answer in answers), "a module alone means dbg"
