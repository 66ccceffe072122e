"""What can happen under a correlation id: one row of this table for each kind, with its SELECT.

Each gives at, pk (of the page that it leads to), system (slug, or null for the hub itself), what, state
and milliseconds, of at most %(most)s rows, the oldest first, for the id %(id)s. To add a kind is to add
a row, and an index on its column.
"""

from __future__ import annotations

from dataclasses import dataclass

# A call that tells several causes at once has an id of its own, which their receipt leads to.
OWN_IDS = """
told AS MATERIALIZED (
    SELECT o.id, o.correlation_id
    FROM (SELECT id, correlation_ids FROM connectors_purgereceipt
          WHERE correlation_ids @> ARRAY[%(id)s]::text[] ORDER BY id LIMIT %(most)s) AS r
    JOIN connectors_outboxcommand o ON o.receipt_id = r.id
        AND o.correlation_id <> ALL (r.correlation_ids)
),
ids AS MATERIALIZED (
    SELECT %(id)s::text AS id UNION SELECT correlation_id FROM told WHERE correlation_id <> ''
)"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `page` is the admin's name of the model; `listed_by` the parameter of its list, if any."""

    slug: str
    title: str
    plural: str
    page: str
    sql: str
    listed_by: str = ""

    @property
    def permission(self) -> str:
        app, model = self.page.split("_", 1)
        return f"{app}.view_{model}"


KINDS = (
    Kind("request", "request", "received requests", "observability_receivedrequest", """
SELECT at, id, NULL::text AS system, method || ' ' || path AS what, status::text AS state,
       milliseconds
FROM observability_receivedrequest WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s""", "q"),
    Kind("audit", "person", "audit entries", "observability_auditentry", """
SELECT a.at, a.id, NULL::text, a.actor || ': ' || a.action || ' ' || a.subject,
       COALESCE(o.outcome, a.outcome), EXTRACT(EPOCH FROM o.at - a.at)::float8 * 1000
FROM observability_auditentry a
LEFT JOIN LATERAL (SELECT outcome, at FROM observability_auditentry WHERE of = a.id LIMIT 1) o ON true
WHERE a.correlation_id = %(id)s AND a.of IS NULL ORDER BY a.id LIMIT %(most)s""",
         "correlation_id"),
    Kind("rule", "rule change", "rule changes", "catalog_rulechange", """
SELECT at, id, NULL::text, entity || ' rule ' || kind || ' by ' || by, state,
       EXTRACT(EPOCH FROM finished_at - at)::float8 * 1000
FROM catalog_rulechange WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s""",
         "correlation_id"),
    Kind("command", "command", "commands", "connectors_command", """
SELECT accepted_at, id, NULL::text, operation || ' ' || reference, state,
       EXTRACT(EPOCH FROM finished_at - accepted_at)::float8 * 1000
FROM connectors_command WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s""", "q"),
    Kind("step", "step", "steps of commands", "connectors_command", """
SELECT s.started_at, s.command_id, c.slug, s.name || CASE WHEN s.record_key = '' THEN ''
           ELSE ' of ' || s.stream || ' ' || s.record_key END, s.state,
       EXTRACT(EPOCH FROM s.finished_at - s.started_at)::float8 * 1000
FROM (SELECT id FROM connectors_command WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s) AS o
JOIN connectors_commandstep s ON s.command_id = o.id
LEFT JOIN connectors_connection c ON c.id = s.connection_id
ORDER BY s.command_id, s.id LIMIT %(most)s"""),
    Kind("run", "sync run", "sync runs", "connectors_syncrun", """
SELECT COALESCE(r.started_at, r.queued_at), r.id, c.slug, r.kind || ' of ' || s.slug
           || CASE WHEN r.record_key = '' THEN '' ELSE ' ' || r.record_key END, r.state,
       EXTRACT(EPOCH FROM r.finished_at - r.started_at)::float8 * 1000
FROM connectors_syncrun r JOIN connectors_stream s ON s.id = r.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE r.correlation_id = %(id)s ORDER BY r.id LIMIT %(most)s""", "q"),
    Kind("event", "inbox event", "inbox events", "connectors_inboxevent", """
SELECT e.received_at, e.id, c.slug, concat_ws(' ', NULLIF(e.kind, ''), e.stream, e.record_key),
       e.state, EXTRACT(EPOCH FROM e.finished_at - e.received_at)::float8 * 1000
FROM connectors_inboxevent e JOIN connectors_connection c ON c.id = e.connection_id
WHERE e.correlation_id = %(id)s ORDER BY e.id LIMIT %(most)s""", "correlation_id"),
    Kind("call", "outgoing call", "outgoing calls", "observability_outgoingcall", """
SELECT at, id, system, operation || CASE WHEN error = '' THEN '' ELSE ': ' || error END,
       COALESCE(status::text, 'no answer'), milliseconds
FROM observability_outgoingcall WHERE correlation_id = ANY (ARRAY(SELECT id FROM ids))
ORDER BY id LIMIT %(most)s""", "q"),
    Kind("quarantine", "quarantine", "quarantined records", "connectors_quarantinedrecord", """
SELECT q.last_seen_at, q.id, c.slug, s.slug || ' ' || q.record_key || ': ' || q.path,
       'quarantined', NULL::float8
FROM connectors_quarantinedrecord q JOIN connectors_stream s ON s.id = q.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE q.correlation_id = %(id)s ORDER BY q.id LIMIT %(most)s""", "correlation_id"),
    Kind("revision", "revision", "revisions", "catalog_revision", """
SELECT at, id, NULL::text, entity || ' ' || key || CASE WHEN kind = 'created' THEN '' ELSE COALESCE(
           ': ' || (SELECT string_agg(name, ', ') FROM jsonb_object_keys(changes) AS k (name)), '') END,
       kind, NULL::float8
FROM catalog_revision WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s""", "correlation_id"),
    Kind("receipt", "purge receipt", "purge receipts", "connectors_purgereceipt", """
SELECT told_at, id, NULL::text, array_to_string(entities, ', ') || ': ' || records || ' told', 'told',
       NULL::float8
FROM connectors_purgereceipt WHERE correlation_ids @> ARRAY[%(id)s]::text[]
ORDER BY id LIMIT %(most)s"""),
    Kind("delivery", "delivery", "deliveries", "connectors_outboxcommand", """
SELECT o.received_at, o.id, COALESCE(c.slug, s.slug, h.slug), concat_ws(' ', o.kind, o.stream, o.record_key),
       o.state, EXTRACT(EPOCH FROM o.finished_at - o.received_at)::float8 * 1000
FROM connectors_outboxcommand o LEFT JOIN connectors_connection c ON c.id = o.connection_id
LEFT JOIN connectors_subscriber s ON s.id = o.subscriber_id
LEFT JOIN observability_channel h ON h.id = o.channel_id
WHERE o.id IN (SELECT id FROM connectors_outboxcommand WHERE correlation_id = %(id)s
               UNION SELECT id FROM told)
ORDER BY o.id LIMIT %(most)s""", "correlation_id"),
    Kind("incident", "incident", "incidents", "observability_incident", """
SELECT opened_at, id, system, title,
       CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END,
       EXTRACT(EPOCH FROM resolved_at - opened_at)::float8 * 1000
FROM observability_incident WHERE correlation_id = %(id)s ORDER BY id LIMIT %(most)s""",
         "correlation_id"),
)  # fmt: skip
