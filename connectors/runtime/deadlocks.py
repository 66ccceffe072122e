"""Transactions that PostgreSQL ends so that another may go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

Result = TypeVar("Result")

#: PostgreSQL, Appendix A: "deadlock_detected", "serialization_failure".
GIVEN_WAY = frozenset({"40P01", "40001"})
TRIES = 4


def despite_deadlocks(work: Callable[[], Result]) -> Result:
    """The result of a whole transaction, run again if it was ended so that another may go on.

    Raises OperationalError, also after the fourth time in a row.
    """
    for last in (False,) * (TRIES - 1) + (True,):
        try:
            return work()
        except OperationalError as error:
            if last or not gave_way(error):
                raise
    raise AssertionError


def gave_way(error: BaseException) -> bool:
    """Whether the transaction was ended so that another may go on."""
    return getattr(error.__cause__, "sqlstate", None) in GIVEN_WAY
