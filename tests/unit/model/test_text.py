"""Text from outside, made safe to print."""

import pytest

from isthmus.model.problems import Subject
from isthmus.model.text import printable, quoted

HOSTILE = "az1\x1b[2J\r\nerror: \x9b31m\u202e\udc80"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("az-1 可用区", "az-1 可用区"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m\x07\x7f\x9b", r"\x1b[31m\x07\x7f\x9b"),
        ("\u202eabc\u2028\xa0", r"\u202eabc\u2028\xa0"),
        ("\udc80", r"\udc80"),
    ],
    ids=["ordinary", "line breaks", "terminal controls", "bidirectional", "surrogate"],
)
def test_printable(text: str, shown: str) -> None:
    """Characters that are not printable become escapes, and all others stay."""
    assert printable(text) == shown


def test_quoted() -> None:
    """A quote within a value cannot end the value."""
    assert quoted("it's") == r"'it\'s'"


def test_a_problem_is_one_printable_line() -> None:
    """Whatever its parts hold, a problem prints as one line without terminal controls."""
    problem = Subject(HOSTILE, HOSTILE, HOSTILE).problem(HOSTILE, HOSTILE)
    assert str(problem).isprintable()


def test_a_problem_names_object_key_and_value() -> None:
    """A problem without a key or a value leaves out their punctuation."""
    whole = Subject("TS ts", "subnet", "10.0.0.0/33").problem("is bad", "fix it")
    assert str(whole) == "TS ts: subnet = '10.0.0.0/33': is bad; fix it"
    assert str(Subject("TS ts").problem("is bad", "fix it")) == "TS ts: is bad; fix it"
