"""Text from outside, made safe to print."""

import errno
import json
import ssl

import pytest

from isthmus.model.problems import Subject
from isthmus.model.text import failure_text, foreign_line, printable, quoted

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


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "No such file or directory"),
        (OSError("[Errno 5] a text without a number"), "a text without a number"),
        (ssl.SSLError(1, "[SSL: WRONG] wrong version (_ssl.c:1006)"), "wrong version"),
        (TimeoutError(), "no answer in time"),
        (EOFError(), "no reason is given"),
        (KeyError("taken"), "it has no taken"),
        (TypeError("'int' object is not subscriptable"), "it does not have the right structure"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
        (ValueError("a\x1b[2Jb\nclass 'X'"), r"a\x1b[2Jb"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_texts_of_exceptions_are_in_plain_words(error: Exception, text: str) -> None:
    """Without numbers, classes, file names and control characters, in one line."""
    assert failure_text(error) == text


def test_bytes_and_json_are_in_plain_words() -> None:
    """Errors that only a decoder can make."""
    with pytest.raises(UnicodeError) as decoding:
        b"\xff".decode()
    assert failure_text(decoding.value) == "it is not UTF-8 text"
    with pytest.raises(ValueError, match="char 0") as parsing:
        json.loads("")
    assert failure_text(parsing.value) == "Expecting value: line 1 column 1"


def test_a_tool_that_finds_the_disk_full() -> None:
    """Its file names and its wording do not hide the cause."""
    text = "I/O error: /x/ovn_ic_nb_db.db: write failed (No space left on device)"
    assert foreign_line(text) == "the disk is full"
    assert foreign_line("syntax error\nin line 2") == "syntax error"
