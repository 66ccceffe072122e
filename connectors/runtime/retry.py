"""When a failed attempt is tried again.

Waits are drawn evenly between nothing and the scheduled wait ("full jitter"), so that what failed
together does not come back together (AWS Architecture Blog, "Exponential Backoff and Jitter").
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

#: Waits after the first, second, … failed attempt, in seconds: eight attempts in seventeen hours.
DEFAULT_WAITS = (5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0, 43200.0)

_random = random.Random()  # noqa: S311 (jitter, no secret)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits in seconds; one more attempt than there are waits."""

    waits: Sequence[float] = DEFAULT_WAITS

    @property
    def attempts(self) -> int:
        """How often a message is tried before it is a dead letter."""
        return len(self.waits) + 1

    def wait(self, attempts: int, retry_after: float | None = None) -> float | None:
        """Seconds until the next attempt, after `attempts` failed ones; None: there is none left.

        What the upstream asked for (`Retry-After`) is never undercut.
        """
        if attempts >= self.attempts:
            return None
        drawn = _random.uniform(0.0, float(self.waits[max(0, attempts - 1)]))
        return drawn if retry_after is None else max(drawn, retry_after)


DEFAULT = RetryPolicy()


def policy(waits: Sequence[float] | None) -> RetryPolicy:
    """The policy of a stream or subscriber: its own waits, or the default where it has none."""
    return RetryPolicy(tuple(waits)) if waits else DEFAULT
