"""Times, from the inbox's own record of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.model import Row


def longest_stall(rows: Sequence[Row]) -> float:
    """The longest time, in seconds, in which events waited and none came to its end."""
    ended = sorted((r.finished, r.received) for r in rows if r.finished is not None)
    if not ended:
        return 0.0
    longest, oldest = 0.0, float("inf")
    # From the back, so that of what was not ended yet the oldest is known.
    for (before, _), (finished, received) in zip(reversed(ended[:-1]), reversed(ended[1:]), strict=True):
        oldest = min(oldest, received)
        longest = max(longest, finished - max(before, oldest))
    return max(longest, ended[0][0] - min(r for _, r in ended))


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
