"""Each hop of a change's way as it is now, with the evidence: for the incident pack.

A probe is SQL about one system (`%(system)s`), and one of its streams where that is named
(`%(stream)s`). It yields (failed, evidence, last good); no row: nothing is known of it here. A system that
is no connection is a subscriber, or the hub itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from connectors.alerting.changes import NONE_ACCEPTED, REFUSED, VALUES_CHANGED
from connectors.alerting.streams import HOP, LAST, SAID
from observability.health import CHECKS
from observability.pack import FAILED, HOPS, OK, UNKNOWN, Link
from observability.refusals import KEY, OURSELVES, WEBHOOK

#: What is wrong with runs, the breaker and the connection, as (hop, text).
TROUBLES = f"""
SELECT {HOP.format(code="last.error_code", error="last.error")} AS hop,
       s.slug || ': ' || {SAID.format(error="last.error")} AS text
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id
{LAST}
WHERE c.slug = %(system)s AND %(stream)s IN ('', s.slug) AND last.state <> 'done'
  AND last.error_code NOT IN ('', 'upstream.circuit_open')
UNION ALL
SELECT {HOP.format(code="'upstream'", error="b.reason")},
       'it is left alone since ' || to_char(b.since, 'HH24:MI:SS') || ' UTC: ' || b.reason
FROM connectors_breaker b JOIN connectors_connection c ON c.id = b.connection_id
WHERE c.slug = %(system)s AND b.state <> 'closed'
UNION ALL
SELECT CASE WHEN c.paused_because LIKE '%%credentials%%' THEN 'credentials'
            ELSE {HOP.format(code="'upstream'", error="c.paused_because")} END,
       'it is paused: ' || left(c.paused_because, 300)
FROM connectors_connection c WHERE c.slug = %(system)s AND c.paused_until > now()"""

RUNS = """
SELECT max(r.finished_at) FROM connectors_connection c
JOIN connectors_stream s ON s.connection_id = c.id
CROSS JOIN LATERAL (SELECT r.finished_at FROM connectors_syncrun r
    WHERE r.stream_id = s.id AND r.state = 'done' {more} ORDER BY r.id DESC LIMIT 1) r
WHERE c.slug = %(system)s AND %(stream)s IN ('', s.slug)"""
READ, CLEAN = RUNS.format(more=""), RUNS.format(more="AND r.quarantined = 0")

#: Of the hops that a run passes: whatever its last error says, and when a run last went well.
OF_RUNS = {
    hop: f"""
SELECT t.text IS NOT NULL, t.text, g.good
FROM ({good}) g (good) LEFT JOIN (SELECT * FROM ({TROUBLES}) t WHERE t.hop = '{hop}' LIMIT 3) t ON true
WHERE EXISTS (SELECT 1 FROM connectors_connection WHERE slug = %(system)s)"""
    for hop, good in {
        "upstream": READ, "network": READ, "credentials": READ, "cursor": READ,
        "contract": CLEAN, "mapping": CLEAN, "merge": CLEAN,
    }.items()
}  # fmt: skip

ANOMALY = f"""
SELECT true, v.subject || ': ' || v.cause, NULL::timestamptz
FROM ({VALUES_CHANGED}) v (system, stream, subject, value, cause, hop)
WHERE v.system = %(system)s AND %(stream)s IN ('', v.stream) AND v.value >= 0.2
  AND v.hop = '{{hop}}' LIMIT 3"""

MORE: Mapping[str, tuple[str, ...]] = {
    "upstream": (ANOMALY.format(hop="upstream"),),
    "mapping": (ANOMALY.format(hop="mapping"),),
    "credentials": (
        f"""
SELECT true, r.cause, NULL::timestamptz
FROM ({REFUSED.format(what=WEBHOOK, hop="credentials", more=NONE_ACCEPTED)})
    r (system, stream, subject, value, cause, hop) WHERE r.system = %(system)s""",
    ),
    "contract": (
        """
SELECT true, i.title || ': ' || i.cause, NULL FROM observability_incident i
WHERE i.kind = 'contract_drift' AND i.system = %(system)s AND %(stream)s IN ('', i.stream)
  AND i.resolved_at IS NULL ORDER BY i.id LIMIT 3""",
        """
SELECT true, s.slug || ' is stopped: ' || s.stopped_because, s.stopped_at
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id
WHERE c.slug = %(system)s AND %(stream)s IN ('', s.slug) AND s.stopped_at IS NOT NULL LIMIT 3""",
    ),
    "inbox": (
        """
SELECT count(*) FILTER (WHERE late) > 0,
       count(*) FILTER (WHERE late) || ' of the last ' || count(*) || ' events are dead or wait: '
       || COALESCE(left(max(error) FILTER (WHERE late), 200), ''), max(finished_at) FILTER (WHERE done)
FROM (SELECT e.error, e.finished_at, e.state = 'applied' AS done,
             (e.state = 'dead' AND e.finished_at > now() - interval '10 minutes')
             OR (e.state IN ('received', 'retrying') AND e.received_at < now() - interval '20 seconds')
                 AS late
      FROM (SELECT * FROM connectors_inboxevent ORDER BY id DESC LIMIT 2000) e
      JOIN connectors_connection c ON c.id = e.connection_id
      WHERE c.slug = %(system)s AND %(stream)s IN ('', e.stream)) e HAVING count(*) > 0""",
        """
SELECT true, r.asked_by, NULL FROM connectors_syncrun r JOIN connectors_stream s ON s.id = r.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE c.slug = %(system)s AND r.asked_by LIKE 'gap: %%' AND r.queued_at > now() - interval '3 minutes'
ORDER BY r.id DESC LIMIT 1""",
        f"""
SELECT true, 'the workers were replaced ' || count(*) || ' times in two minutes: ' || max(because),
       NULL::timestamptz FROM observability_start
WHERE process = 'cluster' AND at > now() - interval '2 minutes' AND %(system)s = '{OURSELVES}'
HAVING count(*) > 1""",
    ),
    "merge": (
        """
SELECT false, '', n.at FROM catalog_changenotice n JOIN connectors_syncrun r ON r.id = n.run_id
JOIN connectors_stream s ON s.id = r.stream_id JOIN connectors_connection c ON c.id = s.connection_id
WHERE c.slug = %(system)s AND n.id > (SELECT COALESCE(max(id), 0) - 1000 FROM catalog_changenotice)
ORDER BY n.id DESC LIMIT 1""",
    ),
    "rule": (
        """
SELECT r.state <> 'done' OR (r.changed >= 20 AND r.changed * 5 >= r.total),
       'the rule of ' || r.entity || COALESCE('.' || NULLIF(COALESCE(r.after, r.before) ->> 'field', ''), '')
       || ' was ' || r.kind || ' by ' || r.by || ': ' || r.changed || ' of ' || COALESCE(r.total, 0)
       || ' records changed', NULL
FROM catalog_rulechange r WHERE r.at > now() - interval '30 minutes'
  AND %(system)s IN (r.after ->> 'owner', r.before ->> 'owner') ORDER BY r.id DESC LIMIT 3""",
    ),
    "cache": (
        """
SELECT count(*) FILTER (WHERE m.state <> 'applied' AND m.received_at < now() - interval '15 seconds') > 0,
       count(*) FILTER (WHERE m.state <> 'applied') || ' of its last purges are not acknowledged: '
       || COALESCE(left(max(m.error) FILTER (WHERE m.state <> 'applied'), 200), ''),
       max(m.finished_at) FILTER (WHERE m.state = 'applied')
FROM (SELECT m.* FROM connectors_outboxcommand m JOIN connectors_subscriber s ON s.id = m.subscriber_id
      WHERE s.slug = %(system)s AND m.kind = 'tags.changed' ORDER BY m.id DESC LIMIT 200) m
HAVING count(*) > 0""",
    ),
    "outbox": (
        """
SELECT count(*) FILTER (WHERE late) > 0, count(*) FILTER (WHERE late) || ' were never tried',
       max(finished_at)
FROM (SELECT m.finished_at, m.state = 'received' AND m.attempts = 0
             AND m.received_at < now() - interval '30 seconds' AS late
      FROM connectors_outboxcommand m LEFT JOIN connectors_subscriber s ON s.id = m.subscriber_id
      LEFT JOIN connectors_connection c ON c.id = m.connection_id
      WHERE %(system)s IN (s.slug, c.slug) AND (s.id IS NULL OR s.failing_since IS NULL)
      ORDER BY m.id DESC LIMIT 200) m HAVING count(*) > 0""",
    ),
    "subscriber": (
        """
SELECT s.failing_since IS NOT NULL OR NOT s.enabled,
       COALESCE(NULLIF(s.disabled_because, ''), s.failures || ' calls failed in a row'), s.delivered_at
FROM connectors_subscriber s WHERE s.slug = %(system)s""",
    ),
    "clock": (
        """
SELECT max(k.position) > now(),
       'its newest change is of ' || to_char(max(k.position) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
       || ' UTC, ours is ' || to_char(now() AT TIME ZONE 'UTC', 'HH24:MI:SS'), max(k.watermark)
FROM connectors_checkpoint k JOIN connectors_stream s ON s.id = k.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE c.slug = %(system)s AND %(stream)s IN ('', s.slug) HAVING count(*) > 0""",
    ),
    "database": ("SELECT false, '', now()",),
    "key": (
        f"""
SELECT sum(r.count) FILTER (WHERE r.last_at > now() - interval '90 seconds') > 0,
       'key ' || COALESCE(k.name, r.subject) || ' is ' || min(r.code) || '; '
       || sum(r.count) || ' requests were refused', max(k.last_used_at)
FROM observability_refusal r LEFT JOIN hub_apikey k ON k.prefix = r.subject
WHERE r.what = '{KEY}' AND r.minute > now() - interval '10 minutes' AND r.system = %(system)s
  AND %(subject)s IN ('', r.subject) GROUP BY r.subject, k.name""",
    ),
}


def chain(place: Mapping[str, Any]) -> list[Link]:
    """Every hop as it is, for {system, stream, subject}; one statement for each that is known."""
    return [_link(hop, place) for hop in HOPS]


def _link(hop: str, place: Mapping[str, Any]) -> Link:
    statements = [*([OF_RUNS[hop]] if hop in OF_RUNS else []), *MORE.get(hop, ())]
    rows: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, place)
            rows += cursor.fetchall()
    if hop == "cache":
        rows += _redis()
    if not rows:
        return Link(hop, UNKNOWN)
    last_good = max((row[2] for row in rows if row[2] is not None), default=None)
    failing = [str(row[1] or "") for row in rows if row[0]]
    return Link(hop, FAILED if failing else OK, "; ".join(failing)[:1000], last_good)


def _redis() -> list[tuple[Any, ...]]:
    (check,) = (one for one in CHECKS if one.name == "redis")
    said = check.probe()
    return [(True, said, None)] if said else []
