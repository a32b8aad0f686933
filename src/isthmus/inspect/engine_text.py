"""The engine's report and explanations as plain text. Pure.

Called by the daemon's control commands, and by `isthmus engine explain` without a daemon.
"""

from collections.abc import Iterable, Iterator

from isthmus.engine.report import EngineReport, ReconcilerReport
from isthmus.inspect.explain import Explanation, RouteVerdict, Verdict
from isthmus.inspect.layout import table
from isthmus.model.text import counted, printable_lines


def report_text(report: EngineReport) -> str:
    """The report: what each reconciler has done, then what is waiting."""
    return printable_lines(_report(report))


def explanation_text(explanation: Explanation) -> str:
    """The explanation: one paragraph for each direction."""
    return printable_lines(_explanation(explanation))


def _report(report: EngineReport) -> Iterator[str]:
    yield "settled" if report.settled else "working"
    yield f"recomputes: {report.recomputes}, last reason: {report.last_recompute or 'none'}"
    for flight in report.in_flight:
        operations = counted(flight.operations, "operation")
        yield f"in flight to {flight.database}: {flight.comment} ({operations})"
    yield ""
    headings = ("KIND", "WRITES", "HANDLED", "OPERATIONS", "SECONDS", "LAST REASON")
    yield from table(headings, map(_row, report.reconcilers))
    for reconciler in report.reconcilers:
        yield from _waiting(reconciler)


def _row(report: ReconcilerReport) -> tuple[str, ...]:
    writes = report.writes or "-"
    counts = (str(report.handled), str(report.operations), f"{report.seconds:.3f}")
    return (report.name, writes, *counts, report.last_reason or "-")


def _waiting(report: ReconcilerReport) -> Iterator[str]:
    if report.dirty:
        cause = "; ".join(report.waits_for) or "the next turn"
        yield f"{report.name}: {counted(report.dirty, 'key')} waiting for {cause}"
    if report.put_off:
        keys = counted(report.put_off, "key")
        yield f"{report.name}: {keys} refused by the server, to be retried"
    if report.held:
        yield f"{report.name}: {counted(report.held, 'key')} held back to keep paths that work"


def _explanation(explanation: Explanation) -> Iterator[str]:
    viewer = explanation.zone or "a cluster that does not take part"
    yield f"{explanation.prefix}, as seen by {viewer}"
    yield from _direction("to other zones", explanation.advertising)
    yield from _direction("from other zones", explanation.learning)
    for remark in explanation.remarks:
        yield f"note: {remark}"


def _direction(title: str, decisions: Iterable[RouteVerdict]) -> Iterator[str]:
    found = tuple(decisions)
    if found:
        yield f"{title}:"
    for decision in found:
        via = f" via {decision.nexthop}" if decision.nexthop else ""
        table = f" in route table {decision.route_table}" if decision.route_table else ""
        origin = f"{decision.origin} route of {decision.zone}, {decision.source}"
        yield f"  {decision.prefix}{via}{table} on {decision.transit_switch} ({origin})"
        yield f"    router {decision.router}, port {decision.port}: {_verdict(decision)}"


def _verdict(decision: RouteVerdict) -> str:
    if decision.verdict is Verdict.REFUSED:
        return f"refused: {decision.rule}"
    return f"{decision.verdict}, {decision.rule}"
