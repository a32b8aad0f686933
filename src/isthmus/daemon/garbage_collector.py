"""The cyclic garbage collector, tuned for a process with many rows and few reference cycles.

Called by the composition root. Reference counting frees rows, changes and operations. With default
settings, the collector traverses all of them repeatedly while a large update is decoded
(docs/decisions/0009-cost-of-a-start.md).
"""

import gc

YOUNG = 100_000
"""Objects allocated minus freed until the youngest are collected: some 10 MiB of rows."""

GENERATIONS = 20
"""Collections of one generation until the next older one is collected as well."""


def collect_rarely() -> None:
    """Let the collector run less often, so that its cost is negligible."""
    gc.set_threshold(YOUNG, GENERATIONS, GENERATIONS)
