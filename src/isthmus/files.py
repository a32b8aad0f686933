"""Files that others write, read within a bound.

Called by everything that reads such a file whole: manifests, kubeconfigs, tokens, keys and
certificates. Invariant: no more of a file than its bound gets into memory, however it grows.
"""

import errno
from pathlib import Path

from isthmus.model.bounds import Bound
from isthmus.model.text import counted


def read_file(path: Path, bound: Bound) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or exceeds the bound.
    """
    with path.open("rb") as file:
        content = file.read(bound.most + 1)
    if len(content) > bound.most:
        reason = f"it is larger than {counted(bound.most, bound.unit)}"
        raise OSError(errno.EFBIG, reason, str(path))
    return content
