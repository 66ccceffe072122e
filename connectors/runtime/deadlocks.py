"""Transactions that PostgreSQL ends so that another may go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

Result = TypeVar("Result")

DEADLOCK = "40P01"  # PostgreSQL, Appendix A, "deadlock_detected"
TRIES = 4


def despite_deadlocks(work: Callable[[], Result]) -> Result:
    """The result of a whole transaction, run again if it was ended because of a deadlock.

    Raises OperationalError, also after the fourth deadlock in a row.
    """
    for last in (False,) * (TRIES - 1) + (True,):
        try:
            return work()
        except OperationalError as error:
            if last or getattr(error.__cause__, "sqlstate", None) != DEADLOCK:
                raise
    raise AssertionError
