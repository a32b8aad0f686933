"""Objects of an API server, by kind: create, change, delete and watch them as an administrator.

Used by the lab and its tests, on the client that Isthmus itself uses. The server can be in a
network namespace.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from isthmus.kube.client import Client
from isthmus.kube.credentials import CredentialsError, KubeCredentials
from isthmus.kube.errors import ApiError as ClientError
from isthmus.model.problems import Subject
from isthmus_lab.errors import LabError
from isthmus_lab.system import netns
from isthmus_lab.waiting import wait_until

Object = Mapping[str, Any]
"""An object of Kubernetes, as its JSON."""

_LIMIT_S = 30.0
"""For an answer: tens of times what it takes on a busy machine."""

_WATCH_S = 600
"""After which the server is asked to end a watch."""

_MERGE_PATCH = "application/merge-patch+json"


class ApiRequestError(LabError):
    """The API server refused a request, or cannot be reached.

    Args:
        path: what was requested.
        status: the HTTP status, e.g. 404; 0 without an answer.
        message: the server's words, or what happened to the connection.
    """

    def __init__(self, path: str, status: int, message: str) -> None:
        text = f"{message} (status {status})" if status else message
        remedy = "correct the object or the role of the user" if status else "start the API server"
        super().__init__(Subject(f"API server, {path}").problem(text, remedy))
        self.status = status


@dataclass(frozen=True, slots=True)
class ResourcePath:
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
        kubeconfig: written by `KubeServer`; read at the first request.
        network: the network namespace that the server is reached from; None is our own.
    """

    kubeconfig: Path
    network: str | None = None
    _client: Client | None = None
    _paths: dict[tuple[str, str], ResourcePath] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Make a request and return the JSON of its answer.

        Raises:
            ApiRequestError: the server refuses, or cannot be reached.
        """
        with self._connected(path) as client:
            return client.call(method, path, None, body, content=content_type, answer=_LIMIT_S)

    def watch(self, path: str, fields: str = "") -> Iterator[tuple[str, Object]]:
        """The events of a collection (ADDED, MODIFIED, DELETED): first of all existing objects.

        Args:
            path: of the collection.
            fields: limits it, e.g. "metadata.name=n1".

        Raises:
            ApiRequestError: the server refuses, or the connection breaks.
        """
        query = {"watch": "true", "timeoutSeconds": str(_WATCH_S)}
        if fields:
            query["fieldSelector"] = fields
        with self._connected(path) as client:
            stream = client.watch(path, query, _WATCH_S + _LIMIT_S)
        try:
            with _as_lab_error(path):
                yield from stream
        finally:
            stream.release()

    def is_ready(self) -> bool:
        """Whether the server accepts requests."""
        with self._connected("/readyz") as client:
            return client.is_ready()

    def get(self, kind: str, name: str, namespace: str = "", api_version: str = "") -> Any:
        """An object. Raises: ApiRequestError, with status 404 if there is none."""
        found = self.resource_path(api_version or _API_VERSIONS[kind], kind)
        return self.request("GET", found.of(namespace, name))

    def apply(self, manifest: Object) -> Any:
        """Create or replace an object. Raises: ApiRequestError."""
        found = self.resource_path(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "default" if found.namespaced else "")
        try:
            return self.request("POST", found.of(namespace), manifest)
        except ApiRequestError as error:
            if error.status != 409:
                raise
        path = found.of(namespace, metadata["name"])
        version = self.request("GET", path)["metadata"]["resourceVersion"]
        known = {**manifest, "metadata": {**metadata, "resourceVersion": version}}
        return self.request("PUT", path, known)

    def apply_files(self, files: Iterable[Path]) -> None:
        """Create or replace what is in YAML files, and wait until new kinds are served.

        Raises: ApiRequestError; LabError, if a new kind is not served in time.
        """
        for file in files:
            for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
                if manifest:
                    self.apply(manifest)
                    self._wait_until_served(manifest)

    def merge(self, kind: str, name: str, patch: Object, namespace: str = "") -> Any:
        """Change parts of an object; None removes a key. Raises: ApiRequestError."""
        path = self.resource_path(_API_VERSIONS[kind], kind).of(namespace, name)
        return self.request("PATCH", path, patch, _MERGE_PATCH)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, if it is there. Raises: ApiRequestError."""
        path = self.resource_path(_API_VERSIONS[kind], kind).of(namespace, name)
        try:
            self.request("DELETE", path)
        except ApiRequestError as error:
            if error.status != 404:
                raise

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a ServiceAccount, good for a month. Raises: ApiRequestError."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"spec": {"expirationSeconds": 30 * 24 * 3600}}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **spec}
        token: str = self.request("POST", path, body)["status"]["token"]
        return token

    def resource_path(self, api_version: str, kind: str) -> ResourcePath:
        """Where requests for a kind go, according to the server. Raises: ApiRequestError."""
        if (api_version, kind) not in self._paths:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            for one in self.request("GET", path)["resources"]:
                if "/" not in one["name"]:
                    found = ResourcePath(path, one["name"], one["namespaced"])
                    self._paths[api_version, one["kind"]] = found
        if (api_version, kind) not in self._paths:
            raise ApiRequestError(api_version, 404, f"the server does not know the kind {kind}")
        return self._paths[api_version, kind]

    def _wait_until_served(self, manifest: Object) -> None:
        if manifest["kind"] != "CustomResourceDefinition":
            return
        spec = manifest["spec"]
        version, kind = f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"]

        def served() -> bool:
            try:
                self.request("GET", self.resource_path(version, kind).of(""))
            except ApiRequestError:
                return False
            return True

        wait_until(served, _LIMIT_S, f"{kind} to be served")

    @contextmanager
    def _connected(self, path: str) -> Iterator[Client]:
        """The client, with the calling thread in the network of the server."""
        with _as_lab_error(path), netns.inside(self.network):
            if self._client is None:
                self._client = Client(KubeCredentials(self.kubeconfig))
            yield self._client


@contextmanager
def _as_lab_error(path: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise ApiRequestError(path, error.failure.status, error.failure.message) from error
    except CredentialsError as error:
        raise LabError(error.problem) from error


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
