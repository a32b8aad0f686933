"""The cyclic garbage collector, set for a process that holds many rows and makes few cycles.

Called by the composition root. Rows, changes and operations die by reference counting; the
collector, at its default settings, walks all of them again and again while a large update is
decoded (docs/decisions/0009-cost-of-a-start.md).
"""

import gc

YOUNG = 100_000
"""Objects made, less those gone, until the youngest are looked at: some 10 MiB of rows."""

GENERATIONS = 20
"""Collections of one generation until the next older one is looked at as well."""


def collect_rarely() -> None:
    """Have the collector run less often, so that what it costs does not count beside the work."""
    gc.set_threshold(YOUNG, GENERATIONS, GENERATIONS)
