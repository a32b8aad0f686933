"""The command `isthmus`: help, versions, extensions and errors."""

import errno
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints, version
from pathlib import Path

import pytest
import typer

from isthmus.cli import main as frame
from isthmus.cli.common.errors import CommandError
from isthmus.model.problems import Problem

PROBLEM = Problem("ConfigMap kube-system/ovn-ic-config", "data.az-name", "a b", "is bad", "fix it")

group = typer.Typer(help="A group with verbs of its own.")

LAZY = frame.Verb("lazy", "test_group:group", "A group that help does not import.")


@group.command()
def fine() -> None:
    """Say something."""
    typer.echo("said")


@group.command()
def failing() -> None:
    """Fail as verbs do."""
    raise CommandError(PROBLEM)


@group.command()
def interrupted() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


@group.command()
def buggy() -> None:
    """Have a bug."""
    raise ZeroDivisionError


@group.command()
def filling() -> None:
    """Fill the disk."""
    raise OSError(errno.ENOSPC, "No space left on device", "/tmp/x")


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setitem(sys.modules, "test_group", sys.modules[__name__])
    found = EntryPoints(
        (
            EntryPoint("extra", "test_group:group", frame.EXTENSIONS),
            EntryPoint("lazy", "test_group:LAZY", frame.EXTENSIONS),
            EntryPoint("gone", "no_such_module:app", frame.EXTENSIONS),
        )
    )
    monkeypatch.setattr(frame, "_extensions", lambda: found)
    monkeypatch.setattr(sys, "argv", ["isthmus", *args])
    with pytest.raises(SystemExit) as stopped:
        frame.main()
    return stopped.value.code if isinstance(stopped.value.code, int) else -1


def test_help_names_extensions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Help lists the verbs of other packages, and names the one that cannot be imported."""
    assert run(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert "A group that help does not import." in out
    assert "A group with verbs of its own." in out
    assert "cannot be loaded: No module named 'no_such_module'" in " ".join(out.split())


def test_runs_an_extension(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verb of an extension runs, whether the entry point is the verb or describes it."""
    assert run(monkeypatch, "extra", "fine") == 0
    assert run(monkeypatch, "lazy", "fine") == 0
    assert capsys.readouterr().out == "said\n" * 2


def test_a_problem_is_printed_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error names object, key, value and remedy, on standard error."""
    assert run(monkeypatch, "extra", "failing") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: ConfigMap kube-system/ovn-ic-config: data.az-name = 'a b': is bad\n"
        "  remedy: fix it\n"
    )


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the status that shells expect."""
    assert run(monkeypatch, "extra", "interrupted") == 130


def test_a_bug_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is not caught."""
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, "extra", "buggy")


def test_a_full_disk_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a verb does not expect one, e.g. for temporary files."""
    assert run(monkeypatch, "extra", "filling") == 1
    assert "file /tmp/x: cannot be written: the disk is full" in capsys.readouterr().err


def test_a_broken_extension_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of a verb that cannot be imported names the verb and its module."""
    assert run(monkeypatch, "gone") == 1
    assert "command gone: no_such_module:app: cannot be loaded" in capsys.readouterr().err


def test_missing_libraries_of_a_verb_are_named() -> None:
    """A verb whose libraries are an extra of the package says how to install them."""
    with pytest.raises(CommandError) as caught:
        frame.load(frame.Verb("lab", "no_such_module:app", "A lab.", extra="lab"))
    assert "pip install 'isthmus[lab]'" in str(caught.value)


def test_a_misspelt_verb_gets_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt verb is wrong usage, and the error suggests the nearest verb."""
    assert run(monkeypatch, "extar") == 2
    assert "Did you mean 'extra'?" in capsys.readouterr().err


def test_half_a_certificate_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A private key without a certificate is refused before the verb runs."""
    assert run(monkeypatch, "--private-key=key.pem", "extra", "fine") == 1
    out, err = capsys.readouterr()
    assert "--certificate: is not given" in err
    assert not out


def test_help_imports_no_verb() -> None:
    """`isthmus --help` stays quick: the modules of verbs are not imported."""
    code = (
        "import sys; from isthmus.cli import main as f\n"
        "sys.argv = ['isthmus', '--help']\n"
        "try: f.main()\n"
        "except SystemExit: pass\n"
        "verbs = {v.target.split(':')[0] for v in f.VERBS} | {'isthmus_lab.cli'}\n"
        "bad = (verbs | {'rich', 'ovs', 'pydantic'}) & set(sys.modules)\n"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_help_of_a_light_verb_imports_no_library() -> None:
    """`isthmus status --help` starts quickly: it imports no library but typer."""
    code = (
        "import sys; from isthmus.cli.main import main\n"
        "sys.argv = ['isthmus', 'status', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "bad = {'rich', 'ovs', 'pydantic', 'isthmus.model.rows'} & set(sys.modules)\n"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("variables", [{}, {"ISTHMUS_CA_CERT": ""}], ids=["direct", "group"])
def test_help_is_the_same_with_tls_options(variables: dict[str, str]) -> None:
    """A verb called without options before it has the help that it has below the group."""
    program = str(Path(sys.executable).with_name("isthmus"))
    for arguments in (["zone", "prune", "-h"], ["zone", "--help"]):
        done = subprocess.run(
            [program, *arguments],
            env={**os.environ, **variables},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.startswith(f"Usage: isthmus {' '.join(arguments[:-1])} [OPTIONS]")


def test_former_names_are_accepted() -> None:
    """Verbs and flags that were renamed still have their former names; help hides the verbs."""
    zone, ic_db_run = (frame.load(verb) for verb in frame.VERBS if verb.name in {"zone", "ic-db"})
    assert zone.commands["forget"].hidden
    assert not zone.commands["prune"].hidden
    flags = {flag for parameter in ic_db_run.commands["run"].params for flag in parameter.opts}
    assert {"--prune-zones-after", "--forget-zones-after"} <= flags


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version of the installed package."""
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"isthmus {version('isthmus')}\n"
