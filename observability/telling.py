"""Telling people: what of the open incidents each channel does not know yet, in one message.

`tell` is called after each look at the rules. What a channel was told last stands in `Told`; the
message, and the note that it was told, are committed together. How it gets there is a matter of the
floor above, which says so with `deliver_by`.

An incident waits a moment before it is told, so that its cause can be found; what ended is told once
it has stayed so, so that what flaps is told once. Of what ended before anybody was told, nobody is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.urls import reverse

from observability.channels import Channel, Told
from observability.incidents import Incident

log = structlog.get_logger(__name__)

#: An error may quote what came, which leaves the hub with no message.
QUOTED = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"|[^\s@'\"<>(),:;]+@[^\s@'\"<>(),:;]+")
#: So long an incident waits for the one that caused it.
GATHER_SECONDS = 15
#: So long it has to have ended.
SETTLE_SECONDS = 120
#: A page does not wait for the channel's own pace, but for this one.
PAGE_SECONDS = 60
KIND = "incidents.changed"
MOST_NAMED = 20

# Who is to be told: the channels of the rule at once, and the steps of the escalation path whose time
# has come. Nobody, of what is part of another, acknowledged or silenced.
NEW = f"""
WITH path AS (
    SELECT r.slug AS kind, NULL::text AS severity, '' AS system, 0 AS minutes, m.channel_id
    FROM observability_channel_rules m JOIN observability_alertrule r ON r.id = m.alertrule_id
    UNION ALL
    SELECT NULL, severity, system, after_minutes, channel_id FROM observability_escalation
)
SELECT DISTINCT c.id, i.id, 'open', i.severity = 'page', c.told_at, c.every_seconds
FROM observability_incident i
JOIN path ON path.kind = i.kind OR (path.severity = i.severity AND path.system IN ('', i.system))
JOIN observability_channel c ON c.id = path.channel_id AND c.enabled
LEFT JOIN observability_alertrule rule ON rule.slug = i.kind
LEFT JOIN observability_told t ON t.incident_id = i.id AND t.channel_id = c.id
WHERE i.resolved_at IS NULL AND i.part_of_id IS NULL AND i.acknowledged_at IS NULL
  AND COALESCE(rule.enabled, true) AND COALESCE(t.state, '') <> 'open'
  AND COALESCE(i.silenced_until <= now(), true)
  AND COALESCE(i.reopened_at, i.opened_at) <= now() - interval '{GATHER_SECONDS} seconds'
  AND GREATEST(i.opened_at, i.silenced_until) + path.minutes * interval '1 minute' <= now()
UNION ALL
SELECT c.id, i.id, 'resolved', false, c.told_at, c.every_seconds
FROM observability_told t JOIN observability_incident i ON i.id = t.incident_id
JOIN observability_channel c ON c.id = t.channel_id AND c.enabled
WHERE t.state = 'open' AND i.resolved_at <= now() - interval '{SETTLE_SECONDS} seconds'"""  # noqa: S608 (our own constants)

DUE = f"""
SELECT id, array_agg(incident), array_agg(state) FROM ({NEW}) AS
    news (id, incident, state, page, told_at, every_seconds)
GROUP BY id
HAVING COALESCE(max(told_at) + CASE WHEN bool_or(page) THEN LEAST(max(every_seconds), {PAGE_SECONDS})
    ELSE max(every_seconds) END * interval '1 second' <= now(), true)"""  # noqa: S608 (our own SQL)


@dataclass(frozen=True, slots=True)
class Line:
    """One incident in a message. `state` is open or resolved; `parts` have it as their cause."""

    id: int
    kind: str
    severity: str
    state: str
    system: str
    stream: str
    title: str
    cause: str
    opened_at: datetime
    count: int
    parts: int
    address: str

    @property
    def text(self) -> str:
        """For a person."""
        if self.state == Told.State.RESOLVED:
            return f"resolved: {self.title}\n  {self.address}"
        since = f"since {self.opened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        more = f", with {self.parts} more because of it" if self.parts else ""
        why = f": {self.cause}" if self.cause else ""
        return f"{self.severity}: {self.title}{why}\n  {since}{more}\n  {self.address}"


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is told at once."""

    lines: tuple[Line, ...]

    @property
    def subject(self) -> str:
        """`sap is down, and 2 more`."""
        first = self.lines[0]
        resolved = "resolved: " if first.state == Told.State.RESOLVED else ""
        more = f", and {len(self.lines) - 1} more" if len(self.lines) > 1 else ""
        return f"{resolved}{first.title}{more}"

    @property
    def text(self) -> str:
        """For a person."""
        named = [line.text for line in self.lines[:MOST_NAMED]]
        if len(self.lines) > MOST_NAMED:
            named.append(f"and {len(self.lines) - MOST_NAMED} more: {incidents_address()}")
        return "\n".join(named)

    def as_json(self) -> dict[str, Any]:
        """For a machine: Standard Webhooks' `type`, `timestamp` and `data`."""
        return {
            "type": KIND,
            "timestamp": datetime.now(UTC),
            "data": {"subject": self.subject, "text": self.text, "incidents": self.lines},
        }


Deliver = Callable[[Channel, Message], None]
_deliver: Deliver | None = None


def deliver_by(deliver: Deliver) -> None:
    """Who takes messages over, durably, in the caller's transaction."""
    global _deliver  # noqa: PLW0603 (one a process)
    _deliver = deliver


def tell() -> int:
    """Tell each channel what it does not know yet; how many messages. Of several callers one does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('observability.telling'))")
        if not cursor.fetchone()[0] or _deliver is None:
            return 0
        cursor.execute(DUE)
        due = cursor.fetchall()
        for channel_id, ids, states in due:
            _tell(_deliver, Channel.objects.get(pk=channel_id), dict(zip(ids, states, strict=True)))
    return len(due)


def _tell(deliver: Deliver, channel: Channel, news: dict[int, str]) -> None:
    message = Message(tuple(lines(news)))
    deliver(channel, message)
    Told.objects.bulk_create(
        [
            Told(incident_id=pk, channel=channel, state=state, at=Now())
            for pk, state in news.items()
        ],
        update_conflicts=True,
        unique_fields=["incident", "channel"],
        update_fields=["state", "at"],
    )
    Channel.objects.filter(pk=channel.pk).update(told_at=Now())
    log.info("people are told", channel=channel.slug, subject=message.subject)


def lines(news: dict[int, str]) -> Iterable[Line]:
    """What is said of each incident, the worst first."""
    order = {name: place for place, name in enumerate(Incident.Severity.values)}
    parts = Count("parts", filter=Q(parts__resolved_at=None))
    rows = Incident.objects.filter(pk__in=news).annotate(open_parts=parts)
    made = [
        Line(
            row.pk, row.kind, row.severity, news[row.pk], row.system, row.stream, row.title,
            QUOTED.sub("…", row.cause), row.opened_at, row.count, row.open_parts, address(row.pk),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(made, key=lambda one: (one.state, order.get(one.severity, 9), one.opened_at))


def address(pk: int) -> str:
    """The page of an incident, for somebody who is not there yet."""
    return settings.HEADWATER_URL + reverse("admin:observability_incident_change", args=[pk])


def incidents_address() -> str:
    """The list of incidents."""
    return settings.HEADWATER_URL + reverse("admin:observability_incident_changelist")
