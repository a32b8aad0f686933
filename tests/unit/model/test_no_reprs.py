"""Neither Python's representations nor its texts of exceptions appear in messages."""

import ast
from pathlib import Path

import isthmus


def test_messages_quote_values_without_repr() -> None:
    """`quoted` also makes control characters harmless, in one way everywhere."""
    package = Path(isthmus.__file__).parent
    found = [file.name for file in package.rglob("*.py") if "!r}" in file.read_text("utf-8")]
    assert found == []


OWN = {
    "BoundExceededError",
    "CommandError",
    "CommandFailedError",
    "DamagedError",
    "IcDbError",
    "NotYetError",
    "OneShotError",
    "RefusedError",
    "RpcError",
    "ToolError",
    "UnusableError",
}
"""Exceptions whose text is ours, or was made presentable by `foreign_line`."""

METHODS = {"debug", "info", "warning", "error"}


def test_texts_of_exceptions_reach_people_through_failure_text_only() -> None:
    """Neither messages nor logs contain Python's or the operating system's raw texts."""
    package = Path(isthmus.__file__).parent
    files = [file for file in package.rglob("*.py") if file.name != "text.py"]
    found = [f"{file.relative_to(package)}:{line}" for file in files for line in raw_texts(file)]
    assert found == []


def raw_texts(file: Path) -> list[int]:
    """The lines of a file that show the text of an exception of someone else."""
    tree = ast.parse(file.read_text("utf-8"))
    lines: list[int] = []
    for scope in ast.walk(tree):
        names = foreign_exceptions(scope)
        uses = (node for node in ast.walk(scope) if isinstance(node, ast.expr))
        lines += [use.lineno for use in uses if names and shows(use, names)]
    return lines


def foreign_exceptions(scope: ast.AST) -> set[str]:
    """The names of the exceptions of someone else in an `except` clause or in a function."""
    named: list[tuple[str, ast.expr | None]] = []
    if isinstance(scope, ast.ExceptHandler) and scope.name:
        named = [(scope.name, scope.type)]
    elif isinstance(scope, ast.FunctionDef):
        named = [(argument.arg, argument.annotation) for argument in scope.args.args]
    return {name for name, kind in named if kind is not None and is_foreign(kind)}


def is_foreign(kind: ast.expr) -> bool:
    """Whether a type is, or contains, an exception that is not ours."""
    kinds = {node.id for node in ast.walk(kind) if isinstance(node, ast.Name)}
    return any(name.endswith(("Error", "Exception")) for name in kinds - OWN)


def shows(use: ast.expr, names: set[str]) -> bool:
    """Whether an expression is the text of one of the exceptions."""
    if isinstance(use, ast.Attribute):
        return use.attr == "strerror" and is_one(use.value, names)
    if isinstance(use, ast.FormattedValue):
        return is_one(use.value, names)
    if not isinstance(use, ast.Call):
        return False
    logs = isinstance(use.func, ast.Attribute) and use.func.attr in METHODS
    text = isinstance(use.func, ast.Name) and use.func.id in {"str", "repr"}
    return (logs or text) and any(is_one(argument, names) for argument in use.args)


def is_one(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is one of the names."""
    return isinstance(node, ast.Name) and node.id in names
