"""The error that the IC databases cannot be served or changed until an operator fixes something."""

from isthmus.model.problems import Problem


class IcDbError(Exception):
    """Something cannot be done; the problems, at least one, are why, and what to do."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
