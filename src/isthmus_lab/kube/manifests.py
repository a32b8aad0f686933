"""The objects of a cluster as manifest files, in place of an API server.

Written by the code that builds labs, by tests and the demo; read by `isthmus run`. Each file has
one object. Files are replaced atomically (rename), so readers never see a partial one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Manifests:
    """A directory of manifests.

    Args:
        directory: an existing directory.
    """

    directory: Path

    def path(self, kind: str, name: str) -> Path:
        """The file of an object."""
        return self.directory / f"{kind.lower()}-{name}.yaml"

    def exists(self, kind: str, name: str) -> bool:
        """Whether an object exists."""
        return self.path(kind, name).exists()

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object. Raises: FileNotFoundError."""
        found: dict[str, Any] = yaml.safe_load(self.path(kind, name).read_text(encoding="utf-8"))
        return found

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object."""
        text = yaml.safe_dump(dict(manifest), sort_keys=False)
        self.write(self.path(manifest["kind"], manifest["metadata"]["name"]).name, text)

    def merge(self, kind: str, name: str, part: str, values: Mapping[str, Any]) -> None:
        """Change some keys of an object; None removes a key.

        Args:
            kind: e.g. "Subnet".
            name: the object's name.
            part: "spec" or "data".
            values: keys and their new values.
        """
        manifest = self.get(kind, name)
        merged = {**manifest.get(part, {}), **values}
        manifest[part] = {key: value for key, value in merged.items() if value is not None}
        self.apply(manifest)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object if it exists."""
        self.path(kind, name).unlink(missing_ok=True)

    def write(self, file: str, text: str) -> None:
        """Write a file with any text, valid or not."""
        # Isthmus reads *.yaml, so the temporary name must not match.
        temporary = self.directory / f".{file}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.directory / file)
