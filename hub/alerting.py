"""What this floor has to say of trouble: operations of our own API that fail."""

from __future__ import annotations

from hub.usage.counting import METRIC
from hub.usage.middleware import ERRORS
from observability.alerts import AlertRule
from observability.refusals import OURSELVES
from observability.signals import Signal

#: A refusal (4xx) is the caller's, and no trouble of ours.
OPERATIONS = f"""
SELECT '{OURSELVES}', '', s.labels ->> 'operation', w.minutes,
    COALESCE(sum(m.count) FILTER (WHERE s.labels ->> 'outcome' <> '{ERRORS[0]}'), 0)::bigint,
    COALESCE(sum(m.count) FILTER (WHERE s.labels ->> 'outcome' = '{ERRORS[0]}'), 0)::bigint,
    'answers of 5xx', ''
FROM unnest(%(minutes)s::int[]) AS w (minutes)
JOIN observability_series s ON s.name = '{METRIC}'
JOIN observability_measurement m ON m.series_id = s.id AND m.step = 60
    AND m.at > now() - w.minutes * interval '1 minute'
WHERE EXISTS (SELECT FROM observability_series e WHERE e.name = '{METRIC}'
              AND e.labels ->> 'outcome' = '{ERRORS[0]}'
              AND e.labels ->> 'operation' = s.labels ->> 'operation')
GROUP BY 3, 4"""  # noqa: S608 (our own constants)

SIGNALS = (
    Signal("operations_failing", "fails", "times what is allowed", OPERATIONS, 20, ratio=True),
)
RULES = (
    AlertRule(
        slug="operations_failing", title="An operation of the API fails", signal="operations_failing",
        severity="page", objective=0.99, windows=[[60, 5, 14.4], [360, 30, 6]], minimum=20,
        explained_by=["posts", "workers_restarting"], runbook="runbooks/operations-failing.md",
    ),
)  # fmt: skip


def take_part() -> None:
    """Make signals and rules known; once, from `AppConfig.ready`."""
    from observability import defaults, signals  # noqa: PLC0415 (models are loaded by now)

    signals.add(*SIGNALS)
    defaults.by_default(*RULES)
