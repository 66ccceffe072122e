"""Ages and states as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from observability.display import ago, duration, lag_badge

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.004, "0.1 s"),
        (12.9, "12 s"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (4 * 86400 + 3 * 3600 + 59, "4 d 3 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_keeps_the_exact_time_on_hover() -> None:
    html = ago(NOW - timedelta(seconds=12), NOW)
    assert "12 s ago" in html
    assert 'title="2026-03-01 11:59:48.000 UTC"' in html
    assert "just now" in ago(NOW, NOW)
    assert "in 1 min" in ago(NOW + timedelta(minutes=1), NOW)


@pytest.mark.parametrize(
    ("lag", "tone", "text"),
    [(None, "quiet", "never read"), (80, "good", "1 min"), (90, "warn", "1 min"),
     (101, "bad", "stale")],
)  # fmt: skip
def test_a_lag_is_judged_by_its_objective(lag: float | None, tone: str, text: str) -> None:
    html = lag_badge(lag, 100)
    assert f"hw-{tone}" in html
    assert text in html
