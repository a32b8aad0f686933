"""What is raised when the IC databases cannot be served until people mend something."""

from isthmus.model.problems import Problem


class IcDbError(Exception):
    """The databases cannot be served.

    Args:
        problems: at least one.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
