"""Faults that people must mend, in one form for the log, `status` and conditions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something an operator must know.

    Args:
        object: what it is about, e.g. "ConfigMap kube-system/ovn-ic-config" or "TS ts".
        key: the field within the object, e.g. "data.ic-nb-port"; empty if the whole object.
        value: the bad value as found, as text; empty if there is none.
        message: what is wrong, one sentence without a full stop.
        remedy: what to do about it, one imperative sentence without a full stop.
        reason: the kind of fault for programs, in CamelCase as Kubernetes' conditions have it,
            e.g. "OverlappingPrefix"; empty for those that never get into a condition.
    """

    object: str
    key: str
    value: str
    message: str
    remedy: str
    reason: str = ""

    def __str__(self) -> str:
        where = f"{self.object}: {self.key}" if self.key else self.object
        value = f" = {self.value!r}" if self.value else ""
        return f"{where}{value}: {self.message}; {self.remedy}"
