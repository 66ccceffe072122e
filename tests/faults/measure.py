"""Times, from the inbox's own record of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.model import Row


def longest_stall(rows: Sequence[Row]) -> tuple[float, float]:
    """The longest time in which events waited and none came to its end: (seconds, since when)."""
    ended = sorted((r.finished, r.received) for r in rows if r.finished is not None)
    longest, oldest = (0.0, 0.0), float("inf")
    # From the back, so that of what was not ended yet the oldest is known.
    befores = [ended[0][1], *(finished for finished, _ in ended)] if ended else []
    for before, (finished, received) in zip(befores[-2::-1], ended[::-1], strict=True):
        oldest = min(oldest, received)
        began = max(before, oldest)
        longest = max(longest, (finished - began, began))
    return longest


def waits(rows: Sequence[Row], chosen: Callable[[Row], bool]) -> list[float]:
    """Seconds from acceptance to the outcome, in rising order."""
    return sorted(r.finished - r.received for r in rows if r.finished is not None and chosen(r))


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def slowest(rows: Sequence[Row], count: int = 3) -> list[str]:
    """The events that waited longest, for a person."""
    ended = [(r.finished - r.received, r) for r in rows if r.finished is not None]
    ended.sort(key=lambda pair: -pair[0])
    return [
        f"{r.event_id} {r.state} after {seconds:.1f} s, {r.attempts} attempts {r.error_code}".strip()
        for seconds, r in ended[:count]
    ]
