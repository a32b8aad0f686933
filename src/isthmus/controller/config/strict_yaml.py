"""YAML as Kubernetes reads it, within bounds: the only place that parses YAML.

Used for manifests (`isthmus.manifests`), for the values of the ConfigMap that are YAML, and for
what `isthmus.kube` reads. Duplicate keys in a mapping are errors. Invariant: text from outside
neither crashes libyaml, whose composer recurses in C, nor takes more time or memory than its
length explains: an alias counts as all that it stands for.
"""

from collections.abc import Callable, Hashable
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from isthmus.controller.config.suggestions import shortened
from isthmus.model.bounds import YAML_DEPTH, YAML_NUMBER, YAML_VALUES, Bound, BoundExceededError
from isthmus.model.text import failure_text, quoted

_Constructor = Callable[[Any, Any], Any]

_STRING = "tag:yaml.org,2002:str"
_NUMBERS = [f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")]
_WRONG_TAG = (ArithmeticError, AttributeError, LookupError, TypeError)
"""What PyYAML raises for a value that is explicitly given a tag, such as `!!timestamp x`."""

_ENDS = frozenset({yaml.SequenceEndEvent, yaml.MappingEndEvent})
_STARTS = frozenset(
    {yaml.AliasEvent, yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent}
)


class YamlTextError(ValueError):
    """A text is not valid YAML, or exceeds a bound.

    Args:
        where: "line 3"; empty if it is not known.
        reason: what is wrong.
        alias: whether an alias (`*name`) is at fault.
    """

    def __init__(self, where: str, reason: str, *, alias: bool = False) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where, self.reason, self.alias = where, reason, alias


def load_yaml(text: str | bytes, most: Bound = YAML_VALUES) -> Any:
    """The value of one document; None for no document.

    Args:
        text: the document; bytes must be UTF-8.
        most: bounds the number of values.

    Raises:
        YamlTextError: it is not valid, exceeds a bound, or holds several documents.
    """
    documents = load_documents(text, most)
    if len(documents) > 1:
        raise YamlTextError("", "it has more than one document")
    return documents[0] if documents else None


def load_documents(text: str | bytes, most: Bound = YAML_VALUES) -> list[Any]:
    """The values of all documents; errors as `load_yaml` raises them."""
    loader = None
    try:
        text = text.decode() if isinstance(text, bytes) else text
        if "*" in text:
            _check_aliases(text, most)
        loader = _Loader(text, most)
        documents = []
        while loader.check_data():
            documents.append(loader.get_data())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else ""
        alias = "alias" in (getattr(error, "context", None) or "")
        reason = getattr(error, "problem", None) or failure_text(error)
        raise YamlTextError(where, reason, alias=alias) from error
    except _WRONG_TAG as error:
        reason = "a value does not fit its tag (!!int, !!bool, !!timestamp and the like)"
        raise YamlTextError("", reason) from error
    else:
        return documents
    finally:
        if loader is not None:
            loader.dispose()


def _check_aliases(text: str, most: Bound) -> None:
    """Raise `ComposerError` for aliases that stand for too much, or for themselves.

    libyaml's events come without recursion. The pass is not free, so only a text that may have
    aliases gets it.
    """
    loader = _Loader(text, most)
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    values = 0
    try:
        while not loader.check_event(yaml.StreamEndEvent):
            event: Any = loader.get_event()
            kind = type(event)
            if kind in _ENDS:
                anchor, before = opened.pop()
                if anchor is not None:
                    sizes[anchor] = values - before
                continue
            if kind not in _STARTS:
                continue
            values += 1
            if kind is yaml.AliasEvent:
                if any(anchor == event.anchor for anchor, _ in opened):
                    raise ComposerError(None, None, "an alias contains itself", event.start_mark)
                values += sizes.get(event.anchor, 0)
            elif kind is yaml.ScalarEvent:
                if event.anchor is not None:
                    sizes[event.anchor] = 0
            else:
                opened.append((event.anchor, values))
            _check(most, values, event.start_mark)
            _check(YAML_DEPTH, len(opened), event.start_mark)
    finally:
        loader.dispose()


def _check(bound: Bound, found: int, mark: Any) -> None:
    """Raise `ComposerError` for a number above a bound."""
    if found > bound.most:
        reason = str(BoundExceededError(bound, found, bound.most))
        raise ComposerError(None, None, reason, mark)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, within bounds, which also rejects duplicate keys.

    Args:
        text: the documents.
        most: bounds the number of values, without those that aliases stand for.
    """

    def __init__(self, text: str, most: Bound) -> None:
        super().__init__(text)
        self._most, self._values, self._depth = most, 0, 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Count a value before it is composed: the composer calls this for each, libyaml's too."""
        self._values += 1
        self._depth += 1
        if self._values > self._most.most or self._depth > YAML_DEPTH.most:
            mark = getattr(current_node, "start_mark", None)
            _check(self._most, self._values, mark)
            _check(YAML_DEPTH, self._depth, mark)

    def ascend_resolver(self) -> None:
        """Note that a value has been composed."""
        self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; strings, of which most of a manifest consists, are ready made."""
        if node.tag == _STRING and type(node) is yaml.ScalarNode:
            return node.value
        return super().construct_object(node, deep=deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, or raise `ConstructorError` for a duplicate key."""
        names = {key.value for key, _ in node.value if type(key) is yaml.ScalarNode}
        if len(names) != len(node.value):
            _check_keys(node)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                reason = f"duplicate key {quoted(shortened(key.value))}"
                raise ConstructorError(None, None, reason, key.start_mark)
            seen.add(key.value)


def _bounded(construct: _Constructor) -> _Constructor:
    """The constructor of a kind of numbers, for those that Python does not take long to read."""

    def bounded(loader: Any, node: Any) -> Any:
        if len(node.value) > YAML_NUMBER.most:
            reason = f"a number is longer than {YAML_NUMBER.most} characters"
            raise ConstructorError(None, None, reason, node.start_mark)
        return construct(loader, node)

    return bounded


for _tag in _NUMBERS:
    _Loader.add_constructor(_tag, _bounded(_Loader.yaml_constructors[_tag]))
