"""The verb `isthmus lab`, described without importing it; an entry point for `isthmus.cli.main`."""

from isthmus.cli.main import Verb

VERB = Verb(
    "lab",
    "isthmus_lab.cli:app",
    "Run test clusters with real daemons on this machine.",
    extra="lab",
)
