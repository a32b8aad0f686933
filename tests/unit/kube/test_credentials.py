"""Credentials that cannot be used are named, with where they were looked for."""

from pathlib import Path

import pytest

from isthmus.kube.credentials import Credentials, CredentialsError

GOOD = """
apiVersion: v1
kind: Config
current-context: here
contexts:
  - {name: here, context: {cluster: c, user: u}}
  - {name: elsewhere, context: {cluster: other, user: u}}
clusters:
  - {name: c, cluster: {server: "https://192.0.2.1:6443"}}
  - {name: other, cluster: {server: "https://192.0.2.2:6443"}}
users:
  - {name: u, user: {token: t}}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but those that a test writes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def kubeconfig(path: Path, text: str = GOOD) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def told(credentials: Credentials) -> str:
    with pytest.raises(CredentialsError) as caught:
        credentials.load()
    return str(caught.value.problem)


def test_contexts(tmp_path: Path) -> None:
    """The current context counts unless another one is named."""
    file = kubeconfig(tmp_path / "config")
    assert Credentials(file).load().host == "https://192.0.2.1:6443"
    assert Credentials(file, "elsewhere").load().host == "https://192.0.2.2:6443"


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, then KUBECONFIG, then a pod's ServiceAccount, then the home directory."""
    kubeconfig(tmp_path / ".kube" / "config")
    assert Credentials().load().host == "https://192.0.2.1:6443"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.9")
    assert Credentials().in_cluster
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "other")))
    assert not Credentials().in_cluster
    assert not Credentials(tmp_path / "mine").in_cluster
    assert "no file" in told(Credentials(tmp_path / "mine"))


def test_without_any(tmp_path: Path) -> None:
    """It is said where credentials may be given."""
    text = told(Credentials())
    assert "there is no file ~/.kube/config" in text
    assert "--kubeconfig" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "while parsing"),
        ("", "file is empty"),
        ("just a word", "cannot be used"),
        ("current-context: x", "cannot be used"),
        (GOOD.replace("https://192.0.2.1:6443", "nonsense"), "'nonsense' is no URL"),
        (GOOD.replace("cluster: c,", "cluster: missing,"), "missing"),
    ],
)
def test_a_broken_kubeconfig(tmp_path: Path, text: str, expected: str) -> None:
    """Whatever is wrong with it, it is a problem of one line."""
    file = kubeconfig(tmp_path / "config", text)
    found = told(Credentials(file))
    assert expected in found
    assert "\n" not in found


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    """Its name is in the problem."""
    file = kubeconfig(tmp_path / "config")
    assert "context = 'nope'" in told(Credentials(file, "nope"))


def test_a_pod_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """automountServiceAccountToken: false is a likely reason, so it is named."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.9")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", "/nowhere")
    text = told(Credentials())
    assert text.startswith("ServiceAccount of this pod: ")
    assert "automountServiceAccountToken" in text
