"""Problems that an operator has to fix, in one form for the log, `status` and conditions."""

from dataclasses import dataclass

from isthmus.model.reasons import Reason
from isthmus.model.text import printable, quoted


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something an operator has to fix; made by `Subject.problem`.

    Args:
        object: what it concerns, e.g. "ConfigMap kube-system/ovn-ic-config" or "TS ts".
        key: the field within the object, e.g. "data.ic-nb-port"; empty for the whole object.
        value: the bad value as found, as text; empty if there is none.
        message: what is wrong and what follows from it, one sentence without a full stop.
        remedy: what to do about it, one imperative sentence without a full stop.
        reason: the kind of problem, for programs.
    """

    object: str
    key: str
    value: str
    message: str
    remedy: str
    reason: Reason = Reason.OTHER

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for problems that differ in details of the message alone, e.g. days left."""
        return self.object, self.key, self.value, self.remedy, self.reason

    @property
    def where(self) -> str:
        """The object, the key and the value, safe to print: `OBJECT: KEY = 'VALUE'`."""
        where = printable(f"{self.object}: {self.key}" if self.key else self.object)
        return f"{where} = {quoted(self.value)}" if self.value else where

    def __str__(self) -> str:
        return f"{self.where}: {printable(self.message)}; {printable(self.remedy)}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What problems are about, see `Problem`; `problem` builds one."""

    object: str
    key: str = ""
    value: str = ""

    def problem(self, message: str, remedy: str, reason: Reason = Reason.OTHER) -> Problem:
        """A problem of this subject; the arguments are those of `Problem`."""
        return Problem(self.object, self.key, self.value, message, remedy, reason)
