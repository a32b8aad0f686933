"""Which credentials are used, what they come to, and problems with unusable ones."""

import base64
import os
import ssl
import time
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from isthmus.kube import credentials
from isthmus.kube.credentials import CredentialsError, KubeCredentials

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


def problem_with(given: KubeCredentials) -> str:
    with pytest.raises(CredentialsError) as caught:
        given.load()
    return str(caught.value.problem)


def test_contexts(tmp_path: Path) -> None:
    """The current context is used unless the command line names another one."""
    file = kubeconfig(tmp_path / "config")
    assert KubeCredentials(file).load().server == "https://192.0.2.1:6443"
    assert KubeCredentials(file, "elsewhere").load().server == "https://192.0.2.2:6443"


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, then KUBECONFIG, then a pod's ServiceAccount, then the home directory."""
    kubeconfig(tmp_path / ".kube" / "config")
    assert KubeCredentials().load().server == "https://192.0.2.1:6443"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.9")
    assert KubeCredentials().in_cluster
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "other")))
    assert not KubeCredentials().in_cluster
    assert not KubeCredentials(tmp_path / "mine").in_cluster
    assert "no file" in problem_with(KubeCredentials(tmp_path / "mine"))


def test_without_any(tmp_path: Path) -> None:
    """The problem says where credentials are looked for."""
    text = problem_with(KubeCredentials())
    assert "there is no file ~/.kube/config" in text
    assert "--kubeconfig" in text


def test_a_user_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's numeric user has no entry in /etc/passwd, and HOME may be unset."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 65532)
    assert "there is no file ~/.kube/config" in problem_with(KubeCredentials())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "is not valid YAML in line 2: did not find expected"),
        ("", "is empty"),
        ("just a word", "is not a kubeconfig"),
        ("a: 1", "current-context is missing"),
        ("current-context: x", "there is no context 'x'"),
        ("{current-context: x, contexts: [1]}", "must be a list of named mappings"),
        (GOOD.replace("https://192.0.2.1:6443", "nonsense"), "'nonsense' is not a valid URL"),
        (GOOD.replace("cluster: c,", "cluster: missing,"), "there is no cluster 'missing'"),
        (GOOD.replace("token: t", "client-certificate: c.pem"), "c.pem: No such file"),
        (GOOD.replace("token: t", "auth-provider: {}"), "auth-provider is not supported"),
        (GOOD.replace("token: t", "exec: {}"), "exec is not supported; use a token"),
    ],
)
def test_a_broken_kubeconfig(tmp_path: Path, text: str, expected: str) -> None:
    """Whatever is wrong with it, it is a problem of one line."""
    file = kubeconfig(tmp_path / "config", text)
    found = problem_with(KubeCredentials(file))
    assert expected in found
    assert "\n" not in found


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    """Its name is in the problem."""
    file = kubeconfig(tmp_path / "config")
    assert "context = 'nope'" in problem_with(KubeCredentials(file, "nope"))


def test_a_pod_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """automountServiceAccountToken: false is a likely reason, so it is named."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.9")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", Path("/nowhere"))
    text = problem_with(KubeCredentials())
    assert text.startswith("ServiceAccount of this pod: ")
    assert "automountServiceAccountToken" in text


def access(path: Path, cluster: str = "", user: str = "token: t") -> credentials.Access:
    """What a kubeconfig with these entries comes to."""
    text = GOOD.replace('6443"}', f'6443"{cluster}}}', 1).replace("token: t", user)
    return KubeCredentials(kubeconfig(path / "config", text)).load()


def test_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several files in KUBECONFIG the first with an entry counts; missing ones are ignored."""
    first = kubeconfig(tmp_path / "first", "users: [{name: u, user: {token: first}}]")
    second = kubeconfig(tmp_path / "second")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    found = KubeCredentials().load()
    assert found.server == "https://192.0.2.1:6443"
    assert found.headers == {"Authorization": "Bearer first"}


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("token: t", "Bearer t"),
        ("{tokenFile: token, token: old}", "Bearer from file"),
        ("{}", None),
    ],
)
def test_what_authenticates(tmp_path: Path, user: str, expected: str | None) -> None:
    """A token, a file with one relative to the kubeconfig, or nothing."""
    (tmp_path / "token").write_text("from file\n")
    user = user.strip("{}")
    assert access(tmp_path, user=user).headers.get("Authorization") == expected


def test_files_that_rotate_are_read_again(tmp_path: Path) -> None:
    """Only a token in a file expires, and is then read again; a token as such does not."""
    (tmp_path / "token").write_text("t")
    assert access(tmp_path).expires == inf
    expires = access(tmp_path, user="tokenFile: token").expires
    assert expires <= time.monotonic() + credentials.TOKEN_FILE_LIFETIME


def test_trust(tmp_path: Path) -> None:
    """Certificates are checked unless the kubeconfig says otherwise."""
    assert access(tmp_path).tls.verify_mode is ssl.CERT_REQUIRED
    assert access(tmp_path, ", insecure-skip-tls-verify: true").tls.verify_mode is ssl.CERT_NONE
    assert access(tmp_path, ", tls-server-name: kubernetes").server_name == "kubernetes"


def test_client_certificates(tmp_path: Path) -> None:
    """Certificate and key are loaded from the kubeconfig, and refused if they do not match."""
    made = self_signed("jo")
    pair = {
        key: base64.b64encode(pem).decode()
        for key, pem in zip(("client-certificate-data", "client-key-data"), made, strict=True)
    }
    access(tmp_path, user=yaml.safe_dump(pair, default_flow_style=True).strip("{}\n"))
    pair["client-key-data"] = base64.b64encode(self_signed("al")[1]).decode()
    text = GOOD.replace("token: t", yaml.safe_dump(pair, default_flow_style=True).strip("{}\n"))
    found = problem_with(KubeCredentials(kubeconfig(tmp_path / "config", text)))
    assert "key values mismatch" in found.lower()


def self_signed(name: str) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2126, 1, 1, tzinfo=UTC)).sign(key, SHA256())
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def test_proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubeconfig's proxy counts before that of the environment, which has exceptions."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "")
    assert access(tmp_path).proxy == "http://proxy:3128"
    assert access(tmp_path, ', proxy-url: "http://own:1"').proxy == "http://own:1"
    monkeypatch.setenv("NO_PROXY", "192.0.2.1")
    assert access(tmp_path).proxy == ""
    text = GOOD.replace('6443"}', '6443", proxy-url: "socks5://own:1"}')
    found = problem_with(KubeCredentials(kubeconfig(tmp_path / "config", text)))
    assert "'socks5://own:1' is not the URL of an HTTP proxy" in found
