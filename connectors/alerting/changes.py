"""Signals about what changed too much, what never came, and who was turned away at our own doors."""

from __future__ import annotations

from connectors.alerting.streams import LAST
from observability.field_changes import WINDOW_MINUTES
from observability.refusals import KEY, OURSELVES, WEBHOOK
from observability.signals import Signal

RATE_LIMITED = f"""
SELECT c.slug, '', '', count(*)::float8,
    'it limits our rate: ' || max(split_part(last.error, '; came:', 1)), 'upstream'
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
{LAST}
WHERE s.enabled AND last.error_code = 'upstream.rate_limited' AND last.state <> 'done' GROUP BY 1"""  # noqa: S608 (our own SQL)

EVENTS_MISSING = """
SELECT c.slug, '', '', count(*)::float8, max(r.asked_by), 'inbox'
FROM connectors_syncrun r JOIN connectors_stream s ON s.id = r.stream_id
JOIN connectors_connection c ON c.id = s.connection_id
WHERE r.asked_by LIKE 'gap: %%' AND r.id > (SELECT COALESCE(max(id), 0) - 5000 FROM connectors_syncrun)
  AND (r.state IN ('queued', 'running') OR r.finished_at > now() - interval '1 minute')
GROUP BY c.slug"""

# A source that claims a later time than ours hides the changes that it makes until then.
TIMES_AHEAD = """
SELECT c.slug, s.slug, '', EXTRACT(EPOCH FROM k.position - now())::float8,
       'its newest change is of ' || to_char(k.position AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
       || ' UTC, which is yet to come', 'clock'
FROM connectors_checkpoint k JOIN connectors_stream s ON s.id = k.stream_id
JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
WHERE k.position > now()"""

REFUSED = """
SELECT system, '', subject, sum(count)::float8,
       sum(count) || ' {what}s were refused lately: ' || min(code), '{hop}'
FROM observability_refusal
WHERE what = '{what}' AND minute >= now() - interval '2 minutes'
  AND last_at > now() - interval '1 minute' {more} GROUP BY system, subject"""

# Anybody may send us nonsense; who is refused while nothing of the system is accepted has another secret.
NONE_ACCEPTED = """
AND NOT EXISTS (SELECT 1 FROM (SELECT * FROM connectors_inboxevent ORDER BY id DESC LIMIT 1000) e
    JOIN connectors_connection c ON c.id = e.connection_id
    WHERE c.slug = system AND e.received_at > now() - interval '15 seconds')"""

WORKERS_RESTARTING = f"""
SELECT '{OURSELVES}', '', '', count(*)::float8,
       'the cluster of workers was replaced ' || count(*) || ' times in two minutes: ' || max(because),
       'inbox'
FROM observability_start WHERE process = 'cluster' AND at > now() - interval '2 minutes'
HAVING count(*) > 0"""  # noqa: S608 (our own constant)

#: Whether something of ours changed shortly before, in the stream that `f` is about.
OURS = """
(f.remapped * 2 > f.now
 OR EXISTS (SELECT 1 FROM connectors_fieldalias a JOIN connectors_stream s ON s.id = a.stream_id
            JOIN connectors_connection c ON c.id = s.connection_id
            WHERE c.slug = f.system AND s.slug = f.stream
              AND GREATEST(a.accepted_at, a.ended_at) > now() - interval '30 minutes'))"""

# The share of a stream's records of which the field changed, where that is three times the usual. What
# was connected just now changes everything once.
VALUES_CHANGED = f"""
SELECT f.system, f.stream, f.entity || '.' || f.field, f.now::float8 / GREATEST(f.records, f.now),
       f.now || ' of ' || f.records || ' values changed within {WINDOW_MINUTES} minutes, usually '
       || usual.most || ' at most'
       || CASE WHEN f.emptied * 2 > f.now THEN '; ' || f.emptied || ' are empty now' ELSE '' END
       || CASE WHEN f.remapped * 2 > f.now THEN '; they were derived again from what was stored'
          ELSE '' END,
       CASE WHEN {OURS} THEN 'mapping' ELSE 'upstream' END
FROM observability_fieldchanges f CROSS JOIN LATERAL (
    SELECT COALESCE(max(u.peak), 0) AS most FROM observability_fieldchanges u
    WHERE (u.system, u.stream, u.entity, u.field) = (f.system, f.stream, f.entity, f.field)
      AND u.hour < f.hour AND u.hour > f.hour - interval '8 days') usual
WHERE f.counted_at > now() - interval '1 minute' AND f.now > 3 * usual.most
  AND EXISTS (SELECT FROM connectors_connection c
              WHERE c.slug = f.system AND c.created_at < now() - interval '1 hour')"""  # noqa: S608 (our own constant)

RULES_CHANGING = """
SELECT COALESCE(r.after ->> 'owner', r.before ->> 'owner'), '',
       r.entity || COALESCE('.' || NULLIF(COALESCE(r.after, r.before) ->> 'field', ''), ''),
       r.changed::float8 / GREATEST(r.total, 1),
       'a rule was ' || r.kind || ' by ' || r.by || ': ' || r.changed || ' of ' || r.total
       || ' records have another value', 'rule'
FROM catalog_rulechange r
WHERE r.id > (SELECT COALESCE(max(id), 0) - 100 FROM catalog_rulechange)
  AND r.at > now() - interval '5 minutes' AND r.changed >= 20"""


SIGNALS = (
    Signal("rate_limited", "limits our rate", "streams", RATE_LIMITED),
    Signal("events_missing", "left events out", "backfills", EVENTS_MISSING),
    Signal("times_ahead", "dates changes in the future", "s", TIMES_AHEAD),
    Signal(
        "webhooks_refused", "signs its webhooks wrongly", "webhooks a minute",
        REFUSED.format(what=WEBHOOK, hop="credentials", more=NONE_ACCEPTED),
    ),
    Signal(
        "keys_refused", "refuses a key that was in use", "requests a minute",
        REFUSED.format(what=KEY, hop="key", more="AND subject <> ''"),
    ),
    Signal("workers_restarting", "keeps losing its workers", "times", WORKERS_RESTARTING),
    Signal("values_changed", "says much that is new at once", "of its records", VALUES_CHANGED),
    Signal("rules_changing", "decides what others decided", "of the records", RULES_CHANGING),
)  # fmt: skip
