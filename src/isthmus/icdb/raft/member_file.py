"""Reads `--member-file`. Called by the command line."""

from pathlib import Path

import yaml

from isthmus.icdb.raft.membership import MemberInput, read_member_file
from isthmus.model.problems import Problem, Subject


def load_member_file(file: Path) -> tuple[MemberInput, list[Problem]]:
    """Read a YAML file with `members`, `address` and `founder`.

    Returns:
        its contents, and what is wrong with them.
    """
    try:
        contents = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).replace("\n", " ")
        subject = Subject("IC databases", "--member-file", str(file))
        remedy = "give a YAML file that this user may read"
        return MemberInput(), [subject.problem(f"cannot be read: {reason}", remedy)]
    return read_member_file(str(file), contents)
