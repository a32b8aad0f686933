"""A client of an API server, as small as the lab and its tests need it.

Used to create and edit objects as an administrator would, independent of the client that Isthmus
itself has, so that neither hides a fault of the other. It can work in a network namespace.
"""

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from isthmus.model.problems import Subject
from isthmus_lab.errors import LabError, lab_error
from isthmus_lab.system import netns
from isthmus_lab.waiting import wait_until

Object = Mapping[str, Any]
"""An object of Kubernetes, as its JSON."""

_LIMIT_S = 30.0
"""For an answer: tens of times what it takes on a busy machine."""

_MERGE_PATCH = "application/merge-patch+json"


class ApiError(LabError):
    """The API server refused a request.

    Args:
        path: what was asked for.
        status: the HTTP status, e.g. 404.
        reason: what the server said.
    """

    def __init__(self, path: str, status: int, reason: str) -> None:
        remedy = "mend the object, or the role of who asked"
        super().__init__(
            Subject(f"API server, {path}").problem(f"{reason} (status {status})", remedy)
        )
        self.status = status


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests for a kind go.

    Args:
        path: e.g. "/api/v1".
        plural: e.g. "configmaps".
        namespaced: whether its objects are in namespaces.
    """

    path: str
    plural: str
    namespaced: bool

    def of(self, namespace: str, name: str = "") -> str:
        """The path of a collection, or of one object."""
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.path}{within}/{self.plural}{f'/{name}' if name else ''}"


@dataclass(slots=True)
class KubeApi:
    """An API server, as the user of a kubeconfig.

    Args:
        kubeconfig: written by `KubeServer`.
        namespace: the network namespace that the server is reached from; None is our own.
    """

    kubeconfig: Path
    network: str | None = None
    _places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Make a request.

        Returns:
            The answer's JSON, or its text if it has none.

        Raises:
            ApiError: the server refuses.
            OSError: it cannot be reached.
        """
        with self._response(method, path, body, content_type) as response:
            text = response.read().decode()
            is_json = "json" in (response.getheader("Content-Type") or "")
            answer = json.loads(text) if is_json else text
        if response.status >= 400:
            message = answer.get("message", text) if isinstance(answer, dict) else text
            raise ApiError(path, response.status, message.strip())
        return answer

    def watch(self, path: str, fields: str = "") -> Iterator[tuple[str, Object]]:
        """The events of a collection (ADDED, MODIFIED, DELETED): first of all that is there.

        Args:
            path: of the collection.
            fields: limits it, e.g. "metadata.name=n1".

        Raises:
            ApiError: the server refuses.
            OSError: it cannot be reached.
        """
        selector = f"&fieldSelector={quote(fields)}" if fields else ""
        with self._response("GET", f"{path}?watch=true{selector}") as response:
            if response.status >= 400:
                raise ApiError(path, response.status, response.read().decode())
            for line in response:
                event = json.loads(line)
                yield event["type"], event["object"]

    def is_ready(self) -> bool:
        """Whether it serves requests."""
        try:
            return bool(self.request("GET", "/readyz") == "ok")
        except (ApiError, OSError, HTTPException):
            return False

    def get(self, kind: str, name: str, namespace: str = "", api_version: str = "") -> Any:
        """An object. Raises: ApiError, with status 404 if there is none."""
        place = self.place(api_version or _API_VERSIONS[kind], kind)
        return self.request("GET", place.of(namespace, name))

    def apply(self, manifest: Object) -> Any:
        """Create or replace an object. Raises: ApiError."""
        place = self.place(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "default" if place.namespaced else "")
        try:
            return self.request("POST", place.of(namespace), manifest)
        except ApiError as error:
            if error.status != 409:
                raise
        path = place.of(namespace, metadata["name"])
        version = self.request("GET", path)["metadata"]["resourceVersion"]
        known = {**manifest, "metadata": {**metadata, "resourceVersion": version}}
        return self.request("PUT", path, known)

    def apply_files(self, files: Iterable[Path]) -> None:
        """Create or replace what is in YAML files, and wait until new kinds are served.

        Raises: ApiError; LabError, if a new kind is not served in time.
        """
        for file in files:
            for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
                if manifest:
                    self.apply(manifest)
                    self._wait_until_served(manifest)

    def merge(self, kind: str, name: str, patch: Object, namespace: str = "") -> Any:
        """Change parts of an object; None removes a key. Raises: ApiError."""
        path = self.place(_API_VERSIONS[kind], kind).of(namespace, name)
        return self.request("PATCH", path, patch, _MERGE_PATCH)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, if it is there. Raises: ApiError."""
        path = self.place(_API_VERSIONS[kind], kind).of(namespace, name)
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a ServiceAccount, good for a month. Raises: ApiError."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"spec": {"expirationSeconds": 30 * 24 * 3600}}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **spec}
        token: str = self.request("POST", path, body)["status"]["token"]
        return token

    def place(self, api_version: str, kind: str) -> Place:
        """Where requests for a kind go, as the server says. Raises: ApiError."""
        if (api_version, kind) not in self._places:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            for one in self.request("GET", path)["resources"]:
                if "/" not in one["name"]:
                    place = Place(path, one["name"], one["namespaced"])
                    self._places[api_version, one["kind"]] = place
        if (api_version, kind) not in self._places:
            raise ApiError(api_version, 404, f"the server does not know the kind {kind}")
        return self._places[api_version, kind]

    def _wait_until_served(self, manifest: Object) -> None:
        if manifest["kind"] != "CustomResourceDefinition":
            return
        spec = manifest["spec"]
        version, kind = f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"]

        def served() -> bool:
            try:
                self.request("GET", self.place(version, kind).of(""))
            except ApiError:
                return False
            return True

        wait_until(served, _LIMIT_S, f"{kind} to be served")

    @contextmanager
    def _response(
        self, method: str, path: str, body: Object | None = None, content_type: str = ""
    ) -> Iterator[HTTPResponse]:
        connection, headers = self._connection()
        try:
            with netns.inside(self.network):
                connection.connect()
            # A watch may be silent for as long as it likes.
            connection.sock.settimeout(None if "watch=true" in path else _LIMIT_S)
            if body is not None:
                headers["Content-Type"] = content_type
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def _connection(self) -> tuple[HTTPSConnection, dict[str, str]]:
        config = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urlsplit(cluster["server"])
        if server.hostname is None:
            raise lab_error(f"kubeconfig {self.kubeconfig}", "names no server", "make the lab anew")
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        if "client-key" in user:
            context.load_cert_chain(user["client-certificate"], user["client-key"])
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        connection = HTTPSConnection(
            server.hostname, server.port, timeout=_LIMIT_S, context=context
        )
        return connection, headers


_API_VERSIONS = {
    "ConfigMap": "v1",
    "Event": "events.k8s.io/v1",
    "Namespace": "v1",
    "Node": "v1",
    "ServiceAccount": "v1",
    "Subnet": "kubeovn.io/v1",
    "Vpc": "kubeovn.io/v1",
}
"""Of the kinds that are looked up by kind alone."""
