"""Ownership rules are applied to the records that are there: by a worker, page by page.

What there is to do stands in `catalog.rule_changes` and `catalog.due`; nobody has a claim for longer
than a page's transaction, so a worker that dies leaves nothing to be taken up but the next page.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from catalog import rule_changes
from catalog.due import MERGED_AT_ONCE, merge_due
from connectors.runtime import wake
from connectors.runtime.deadlocks import despite_deadlocks


def apply_rules(deadline: float, stopping: Callable[[], bool] = wake.stopping) -> bool:
    """Work until nothing is left or the deadline; whether something is left."""
    despite_deadlocks(rule_changes.plan_windows)
    while monotonic() < deadline and not stopping():
        worked = despite_deadlocks(rule_changes.work)
        due, _ = despite_deadlocks(merge_due)
        if worked or due:
            wake.CHANGES.ring()
        if not worked and due < MERGED_AT_ONCE:
            return False
    return True
