"""Tables and trees as plain text."""

from isthmus.inspect.layout import table, tree


def test_columns_are_aligned_and_never_cut() -> None:
    """Each row is one line with all of its cells, whatever their length."""
    rule = "a sentence that says why something was refused " * 5
    lines = list(table(("ZONE", "RULE"), [("az1", rule.strip()), ("", "x")]))
    assert lines == ["ZONE  RULE", f"az1   {rule.strip()}", "      x"]


def test_branches_hang_below_their_parents() -> None:
    """The last branch closes its parent's line."""
    lines = list(tree(("a", [("b", [("c", [])]), ("d", [("e", [])])])))
    assert lines == ["a", "├── b", "│   └── c", "└── d", "    └── e"]
