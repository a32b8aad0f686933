"""The verb `isthmus lab`, described without importing it; an entry point for `isthmus.cli.main`."""

from isthmus.cli.main import Verb

VERB = Verb(
    "lab",
    "isthmus_lab.cli:app",
    "Run real clusters on this machine, to try Isthmus on.",
    extra="lab",
)
