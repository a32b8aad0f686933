"""The declarations of indexes and parent relations."""

from pathlib import Path

import isthmus
from isthmus.model import indexes
from isthmus.model.indexes import ChildrenOf
from isthmus.model.rows import ROW_TYPES


def test_all_indexes_are_declared_in_one_module() -> None:
    """No other module of the source declares an index."""
    root = Path(isthmus.__file__).parent
    declaring = {path.name for path in root.rglob("*.py") if " = IndexOf(" in path.read_text()}
    assert declaring == {"indexes.py"}


def test_every_relation_has_a_declaration() -> None:
    """The declared relations are exactly the columns of `Row.CHILDREN`."""
    declared = {
        (value.parent, value.column)
        for value in vars(indexes).values()
        if isinstance(value, ChildrenOf)
    }
    assert declared == {(kind, column) for kind in ROW_TYPES for column in kind.CHILDREN}
