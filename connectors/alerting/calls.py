"""Signals about outgoing calls, from what is counted of them, and about objectives.

A refusal (4xx) is the answer of a system that is well, and a rate limit none of its health: see
`connectors.runtime.verdicts`.
"""

from __future__ import annotations

from observability import attainment
from observability.metrics import NAMES
from observability.signals import Signal

FLOOR = NAMES["call_milliseconds"].floor
#: What is held against what is usual: calls of so many minutes, at least so many of them.
RECENT_MINUTES, RECENT_CALLS = 2, 10
#: The usual is that of a week's hours and of two hours' minutes, at least so many calls.
USUAL_CALLS = 100
#: What is slower by less than this is no trouble, whatever it is usually.
SLOWER_MILLISECONDS = 1000

ERRORS = """
SELECT c.slug, '', '', w.minutes,
    COALESCE(sum(m.count) FILTER (WHERE b.code IS NULL), 0)::bigint,
    COALESCE(sum(m.count) FILTER (WHERE b.code IS NOT NULL), 0)::bigint,
    COALESCE('most ' || mode() WITHIN GROUP (ORDER BY b.code), ''), 'upstream'
FROM unnest(%(minutes)s::int[]) AS w (minutes)
JOIN observability_series s ON s.name = 'call_milliseconds'
JOIN connectors_connection c ON c.slug = s.labels ->> 'system' AND c.enabled
JOIN observability_measurement m ON m.series_id = s.id AND m.step = 60
    AND m.at > now() - w.minutes * interval '1 minute'
LEFT JOIN (VALUES ('upstream.retryable'), ('upstream.garbled')) AS b (code)
    ON b.code = s.labels ->> 'outcome'
GROUP BY 1, 4"""

_P95 = f"""
SELECT s.labels ->> 'system' AS system, sum(m.count) AS calls,
    metric_quantile(metric_merged(m.counts), 0.95, {FLOOR}, min(m.low), max(m.high)) AS p95
FROM observability_series s JOIN observability_measurement m ON m.series_id = s.id
WHERE s.name = 'call_milliseconds' AND s.labels ->> 'outcome' = 'ok' AND ({{when}}) GROUP BY 1"""  # noqa: S608 (our own constants)

LATENCY = f"""
WITH recent AS ({
    _P95.format(when=f"m.step = 60 AND m.at > now() - interval '{RECENT_MINUTES} minutes'")
}), usual AS ({
    _P95.format(
        when=f"m.step = 3600 AND m.at > now() - interval '7 days' AND m.at < now() - interval '2 hours'"
        f" OR m.step = 60 AND m.at > now() - interval '2 hours'"
        f" AND m.at < now() - interval '{2 * RECENT_MINUTES} minutes'"
    )
})
SELECT c.slug, '', '', r.p95 / GREATEST(u.p95, 1),
    'nineteen of twenty calls take up to ' || round(r.p95::numeric) || ' ms; usual is '
        || round(u.p95::numeric) || ' ms', 'upstream'
FROM recent r JOIN usual u USING (system)
JOIN connectors_connection c ON c.slug = r.system AND c.enabled
WHERE r.calls >= {RECENT_CALLS} AND u.calls >= {USUAL_CALLS}
  AND r.p95 > u.p95 + {SLOWER_MILLISECONDS}"""  # noqa: S608 (our own SQL)

SIGNALS = (
    Signal("error_rate", "fails too often", "times what is allowed", ERRORS, 20, ratio=True),
    Signal("latency", "is slower than usual", "times its usual", LATENCY, 20),
    Signal(
        "freshness_burn", "is late too often", "times what is allowed", attainment.burn, 60,
        ratio=True,
    ),
)  # fmt: skip
