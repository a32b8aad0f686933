"""The engine's report and explanations as plain text, alike over the control socket and on the
command line. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from isthmus.engine.report import EngineReport, ReconcilerReport
from isthmus.inspect.explain import Explanation, Reason, Verdict


def report_text(report: EngineReport) -> str:
    """An engine's report: a table of what was done, then what is waiting."""
    return "\n".join(_report(report))


def explanation_text(explanation: Explanation) -> str:
    """An explanation: one paragraph per direction."""
    return "\n".join(_explanation(explanation))


def _report(report: EngineReport) -> Iterator[str]:
    yield "settled" if report.settled else "working"
    yield f"recomputes: {report.recomputes}, last because of: {report.last_recompute or 'none'}"
    for flight in report.in_flight:
        yield f"in flight to {flight.database}: {flight.comment} ({flight.operations} operations)"
    yield ""
    headings = ("KIND", "WRITES", "HANDLED", "OPERATIONS", "SECONDS", "LAST REASON")
    yield from _table([headings, *map(_row, report.reconcilers)])
    for reconciler in report.reconcilers:
        yield from _waiting(reconciler)


def _row(report: ReconcilerReport) -> tuple[str, ...]:
    writes = report.writes or "-"
    counts = (str(report.handled), str(report.operations), f"{report.seconds:.3f}")
    return (report.name, writes, *counts, report.last_reason or "-")


def _waiting(report: ReconcilerReport) -> Iterator[str]:
    if report.dirty:
        why = "; ".join(report.waits_for) or "its turn"
        yield f"{report.name}: {report.dirty} keys wait for {why}"
    if report.put_off:
        yield f"{report.name}: {report.put_off} keys were refused by the server; tried again later"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _explanation(explanation: Explanation) -> Iterator[str]:
    yield f"{explanation.prefix}, as seen by {explanation.zone or 'a cluster that takes no part'}"
    yield from _direction("to other zones", explanation.advertising)
    yield from _direction("from other zones", explanation.learning)
    for remark in explanation.remarks:
        yield f"note: {remark}"


def _direction(title: str, reasons: Iterable[Reason]) -> Iterator[str]:
    found = tuple(reasons)
    if found:
        yield f"{title}:"
    for reason in found:
        via = f" via {reason.nexthop}" if reason.nexthop else ""
        table = f" in route table {reason.route_table}" if reason.route_table else ""
        who = f"{reason.origin} route of {reason.zone}, {reason.source}"
        yield f"  {reason.prefix}{via}{table} on {reason.transit_switch} ({who})"
        yield f"    router {reason.router}, port {reason.port}: {_verdict(reason)}"


def _verdict(reason: Reason) -> str:
    if reason.verdict is Verdict.REFUSED:
        return f"refused: {reason.rule}"
    return f"{reason.verdict}, {reason.rule}"
