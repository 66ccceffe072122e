"""The report of a week: incidents of drift, and members that came and went without a breach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models import DriftIncident, MemberChange

log = structlog.get_logger(__name__)

# All that was not reported, once the first of it is a week old: so one report a week at most.
DUE = """
UPDATE connectors_memberchange m SET reported_at = now()
FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id
WHERE s.id = m.stream_id AND m.reported_at IS NULL AND EXISTS (
    SELECT 1 FROM connectors_memberchange o
    WHERE o.reported_at IS NULL AND o.first_seen_at < now() - interval '7 days')
RETURNING c.slug || '.' || s.slug || ': ' || m.path || ' ' || m.change"""


def report_when_due() -> list[str]:
    """Once a week: what came and went, in one line of the log; nobody is paged for it."""
    with connection.cursor() as cursor:
        cursor.execute(DUE)
        found = sorted(row[0] for row in cursor.fetchall())
    if found:
        log.info("additive drift of the week", members=found)
    return found


def lines(connections: Sequence[str], days: int) -> Iterator[str]:
    """One line for each; those of some connections, or (none named) of all."""
    since = Now() - timedelta(days=days)
    incidents = DriftIncident.objects.filter(Q(resolved_at=None) | Q(last_seen_at__gte=since))
    changes = MemberChange.objects.filter(last_seen_at__gte=since)
    if connections:
        incidents = incidents.filter(system__in=connections)
        changes = changes.filter(stream__connection__slug__in=connections)
    for row in incidents.order_by("id"):
        state = "resolved" if row.resolved_at else "open"
        share = row.details.get("share", 0)
        yield f"{state:<9} {row.title}: {share:.1%} of records, since {row.opened_at:%Y-%m-%d %H:%M}"
        for proposal in row.details.get("proposals", ()):
            yield f"          {proposal['text']}"
    changes = changes.select_related("stream__connection").order_by("first_seen_at", "id")
    for change in changes:
        key = next(iter(change.values), "")
        yield (
            f"{change.change:<9} {change.stream}: {change.path}, first seen"
            f" {change.first_seen_at:%Y-%m-%d %H:%M} in {change.first_record},"
            f" for example {change.values.get(key)!r}"[:240]
        )
