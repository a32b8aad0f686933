"""The audit log of the authorizing proxy."""

from pathlib import Path

from isthmus.authz.audit_log import LOG_LIMIT, MAX_TABLES, AuditLog, read
from isthmus.authz.request import RefusedError


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    """The counts, by table as well, and the latest refusal are kept in the file."""
    log = AuditLog(tmp_path / "refusals.json")
    for table in ("Route", "Route", "Gateway"):
        log.add(RefusedError("az3", "insert", table, f"is wrong in {table}"), 1000.0)
    log.save()
    again = AuditLog(tmp_path / "refusals.json")
    again.add(RefusedError("az3", "delete", "Route", "it belongs to another zone"), 2000.0)
    again.save()
    kept = read(tmp_path / "refusals.json")["az3"]
    assert (kept.count, kept.operation, kept.table, kept.at) == (4, "delete", "Route", 2000.0)
    assert kept.tables == {"Route": 3, "Gateway": 1}
    assert read(tmp_path / "none.json") == {}


def test_a_zone_cannot_flood_the_log(tmp_path: Path) -> None:
    """Repetitions are logged once a minute, others up to a limit; all are counted."""
    log = AuditLog(tmp_path / "refusals.json")
    same = [log.add(RefusedError("az3", "insert", "Route", "x"), 0.0) for _ in range(5)]
    assert same == [True, False, False, False, False]
    differ = [log.add(RefusedError("az3", "insert", "Route", str(n)), 1.0) for n in range(50)]
    assert differ.count(True) == LOG_LIMIT - 1
    assert log.add(RefusedError("az4", "insert", "Route", "x"), 1.0)
    assert log.add(RefusedError("az3", "insert", "Route", "x"), 61.0)
    assert log.zones["az3"].count == 56


def test_invented_table_names_do_not_fill_the_file(tmp_path: Path) -> None:
    """Beyond the number of tables that the schemas have, they are counted together."""
    log = AuditLog(tmp_path / "refused.json")
    for number in range(1000):
        log.add(RefusedError("az2", "insert", f"table {number}", ""), 0.0)
    tables = log.zones["az2"].tables
    assert len(tables) == MAX_TABLES + 1
    assert sum(tables.values()) == 1000
