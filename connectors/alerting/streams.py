"""Signals about streams: how old, how far, what failed, what is held.

Of an error its beginning is told: what stands behind it is an excerpt of what came.
"""

from __future__ import annotations

from observability.signals import Signal

#: Where a change is stuck, by the error that its run met, or by the reason of its breaker. Who was
#: reached, and closed the connection or fell silent, is at fault himself.
HOP = """CASE
    WHEN {code} IN ('upstream.auth_expired', 'configuration') THEN 'credentials'
    WHEN {code} LIKE 'contract%%' THEN 'contract'
    WHEN {error} LIKE '%%cursor stands still%%' OR {error} LIKE '%%twice in a row%%' THEN 'cursor'
    WHEN {code} LIKE 'upstream%%' AND ({error} ~* 'connection refused|no route|unreachable|host name'
        OR {error} ~* 'NameResolution|SSL|certificate|secure connection|connecting timed out')
        THEN 'network'
    WHEN {code} LIKE 'upstream%%' OR {code} = 'mass_delete' THEN 'upstream'
    WHEN {code} = 'internal' THEN 'merge' ELSE '' END"""

#: What an error says, without the excerpt behind it.
SAID = "left(split_part({error}, '; came:', 1), 300)"

#: The last run of each stream that keeps it fresh and has met something.
LAST = """
LEFT JOIN LATERAL (
    SELECT r.error_code, r.error, r.state, r.attempts FROM connectors_syncrun r
    WHERE r.stream_id = s.id AND r.kind IN ('incremental', 'full', 'backfill')
    ORDER BY r.id DESC LIMIT 1) last ON true"""

# A stream that was never read in full is not late; that its runs fail is told as such.
LAG = f"""
SELECT c.slug, s.slug, '',
    EXTRACT(EPOCH FROM clock_timestamp() - f.watermark)::float8 / GREATEST(s.objective_seconds, 1),
    'its values are those of ' || to_char(f.watermark AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
        || ' UTC; no older than ' || s.objective_seconds || ' s is promised'
        || COALESCE('. Its last run: ' || NULLIF({SAID.format(error="last.error")}, ''), ''),
    {HOP.format(code="last.error_code", error="last.error")}
FROM observability_streamfreshness f
JOIN connectors_connection c ON c.slug = f.system AND c.enabled
JOIN connectors_stream s ON s.connection_id = c.id AND s.slug = f.stream AND s.enabled
{LAST}
WHERE f.watermark < clock_timestamp() - s.objective_seconds * interval '0.8 seconds'"""  # noqa: S608 (our own SQL)

# Runs that failed for good since the last good one, and the failed attempts of the one under way.
FAILING = f"""
SELECT c.slug, s.slug, '', (f.runs + f.attempts)::float8,
    'failed ' || f.runs + f.attempts || ' times in a row'
        || COALESCE(': ' || {SAID.format(error="f.error")}, ''),
    {HOP.format(code="f.error_code", error="f.error")}
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.state = 'failed') AS runs,
        COALESCE(max(CASE b.state WHEN 'queued' THEN b.attempts WHEN 'running' THEN b.attempts - 1
                     END), 0) AS attempts,
        (array_agg(b.error_code ORDER BY b.id DESC) FILTER (WHERE b.error_code <> ''))[1] AS error_code,
        (array_agg(b.error ORDER BY b.id DESC) FILTER (WHERE b.error_code <> ''))[1] AS error
    FROM (
        SELECT r.*, bool_or(r.state IN ('done', 'held')) OVER (ORDER BY r.id DESC) AS good_since
        FROM (SELECT * FROM connectors_syncrun r WHERE r.stream_id = s.id
                AND r.kind IN ('incremental', 'full', 'backfill')
              ORDER BY r.id DESC LIMIT 20) r) b
    WHERE NOT b.good_since) f
WHERE s.enabled AND s.stopped_at IS NULL AND f.runs + f.attempts > 0"""  # noqa: S608 (our own SQL)

# The upstream answers with the same page again; or events tell of changes that run after run of a
# stream, which asks by time, does not see. What events brought first is read, and not stored again.
CURSOR = f"""
SELECT c.slug, s.slug, '', 1::float8, {SAID.format(error="last.error")}, 'cursor'
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
{LAST}
WHERE s.enabled AND s.stopped_at IS NULL AND last.error_code = 'upstream.garbled'
  AND {HOP.format(code="last.error_code", error="last.error")} = 'cursor'
UNION ALL
SELECT c.slug, s.slug, '', 1::float8,
    'its cursor stands at ' || to_char(k.position AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
        || ' UTC after ' || seen.runs || ' runs, though ' || told.events
        || ' events told of later changes', 'cursor'
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
JOIN connectors_checkpoint k ON k.stream_id = s.id AND k.position IS NOT NULL
CROSS JOIN LATERAL (
    SELECT max(r.started_at) AS at FROM (
        SELECT r.started_at FROM connectors_syncrun r WHERE r.stream_id = s.id
          AND r.kind = 'incremental' AND r.state = 'done' ORDER BY r.id DESC LIMIT 1) r) asked
CROSS JOIN LATERAL (
    SELECT count(DISTINCT e.record_key) AS events, min(e.received_at) AS first
    FROM connectors_inboxevent e
    WHERE e.connection_id = c.id AND e.stream = s.slug AND e.state = 'applied'
      AND e.received_at > now() - interval '1 day' AND e.received_at < asked.at
      AND e.occurred_at > k.position + (s.lookback_seconds + 60) * interval '1 second') told
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, count(*) FILTER (WHERE r.stored > 0) AS news, max(r.read) AS most
    FROM (SELECT * FROM connectors_syncrun r WHERE r.stream_id = s.id AND r.kind = 'incremental'
            AND r.state = 'done' ORDER BY r.id DESC LIMIT 20) r
    WHERE r.started_at > told.first) seen
WHERE s.enabled AND s.stopped_at IS NULL AND told.events >= 3 AND seen.runs >= 3 AND seen.news = 0
  AND seen.most < told.events"""  # noqa: S608 (our own SQL)

QUARANTINE = """
SELECT c.slug, s.slug, '', count(*)::float8,
    count(*) || ' records were set aside in the last hour, the first for '
        || (array_agg(q.path ORDER BY q.first_seen_at))[1], 'contract'
FROM connectors_quarantinedrecord q JOIN connectors_stream s ON s.id = q.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE q.first_seen_at > now() - interval '1 hour' GROUP BY 1, 2"""

STOPPED = """
SELECT c.slug, s.slug, '', 1::float8, left(s.stopped_because, 300),
    CASE WHEN s.stopped_because LIKE 'paused by %%' THEN '' ELSE 'contract' END
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
WHERE s.enabled AND s.stopped_at IS NOT NULL"""

HELD = """
SELECT c.slug, s.slug, '', 1::float8, left(last.error, 300), 'upstream'
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
CROSS JOIN LATERAL (
    SELECT r.state, r.error FROM connectors_syncrun r
    WHERE r.stream_id = s.id AND r.kind IN ('full', 'reconcile') AND r.state NOT IN ('queued', 'running')
    ORDER BY r.id DESC LIMIT 1) last
WHERE s.enabled AND last.state = 'held'"""

SIGNALS = (
    Signal("lag", "is older than promised", "times its objective", LAG),
    Signal("run_failing", "cannot be read", "failures in a row", FAILING),
    Signal("stuck_cursor", "does not get on: its cursor stands still", "streams", CURSOR, 30),
    Signal("quarantine", "sets records aside", "records an hour", QUARANTINE, 30),
    Signal("stream_stopped", "is stopped", "streams", STOPPED),
    Signal("run_held", "would lose many records: a run is held", "runs", HELD, 30),
)
