"""How many values differ, by field and hour; a rise above the usual is an incident.

Only what is live is counted, from an index, once a minute; the last look of an hour stays as its
count. The usual of a field is the median of its hours in the last week, hours without any included.
An incident ends by itself, when the count is near the usual again or the usual has followed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import connection, models, transaction

from observability import incidents
from observability.incidents import Incident

KIND = Incident.Kind.CONFLICT_RISE
#: Instead of a field: all conflicts of the entity. There is one for each hour that was counted.
ALL = ""


class ConflictCount(models.Model):
    """Conflicts of a field at the last look of an hour; `unsettled`: those that are open."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    entity = models.TextField()
    field = models.TextField(help_text="Empty: all fields.")
    live = models.IntegerField()
    unsettled = models.IntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entity", "field", "hour"], name="one_count_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.entity}.{self.field or '*'}: {self.live}"


@dataclass(frozen=True, slots=True)
class Rise:
    """What counts as a rise: so many times the usual, and so many more, after so many hours known.

    It is over below `over` times the usual, or when fewer than half as many more are left.
    """

    times: float = 2.0
    more: int = 20
    over: float = 1.5
    hours: int = 24

    def begins(self, live: int, usual: float) -> bool:
        """Whether so many are an incident."""
        return live >= usual * self.times and live - usual >= self.more

    def ends(self, live: int, usual: float) -> bool:
        """Whether so many are none any more."""
        return live < usual * self.over or live - usual < self.more / 2


RISE = Rise()

COUNT = """
INSERT INTO catalog_conflictcount AS n (hour, entity, field, live, unsettled)
SELECT date_trunc('hour', now()), c.entity, c.field, sum(c.live), sum(c.unsettled)
FROM (
    SELECT entity, COALESCE(field, '') AS field, count(*) AS live,
           count(*) FILTER (WHERE state = 'open') AS unsettled
    FROM catalog_conflict WHERE closed_at IS NULL GROUP BY GROUPING SETS ((entity, field), (entity))
    UNION ALL
    SELECT entity, field, 0, 0 FROM catalog_conflictcount WHERE hour = date_trunc('hour', now())
    UNION ALL
    SELECT entity, '', 0, 0 FROM catalog_source GROUP BY entity HAVING count(*) > 1
) c GROUP BY c.entity, c.field
ON CONFLICT (entity, field, hour) DO UPDATE
SET live = excluded.live, unsettled = excluded.unsettled
WHERE (n.live, n.unsettled) <> (excluded.live, excluded.unsettled)"""

# Hours of a field in which nothing differed have no row: they are those of the entity without one.
USUAL = """
WITH hours AS (
    SELECT entity, hour FROM catalog_conflictcount
    WHERE field = '' AND hour >= now() - interval '7 days' AND hour < date_trunc('hour', now())
), known AS (
    SELECT entity FROM hours GROUP BY entity HAVING count(*) >= %s
)
SELECT c.entity, c.field, c.live,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY COALESCE(p.live, 0))
FROM catalog_conflictcount c JOIN known USING (entity) JOIN hours h USING (entity)
LEFT JOIN catalog_conflictcount p
    ON p.entity = c.entity AND p.field = c.field AND p.hour = h.hour
WHERE c.hour = date_trunc('hour', now()) AND c.field <> '' GROUP BY 1, 2, 3"""

# Who began to say something else lately; where nobody did, who says most.
SPEAKERS = """
SELECT s.system, count(*) FILTER (WHERE c.since > now() - interval '1 day'), count(*)
FROM catalog_conflict c JOIN catalog_source s ON s.id = c.source_id
WHERE c.entity = %s AND c.field = %s AND c.closed_at IS NULL
GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT 1"""


@transaction.atomic
def count_conflicts() -> None:
    """Count what differs now; open the incidents of what rose, and end those that are over."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        cursor.execute(USUAL, [RISE.hours])
        judged = {(row[0], row[1]): (int(row[2]), float(row[3])) for row in cursor.fetchall()}
    rows = Incident.objects.filter(kind=KIND, resolved_at=None)
    known = {(row.details["entity"], row.details["field"]): row for row in rows}
    for place, (live, usual) in judged.items():
        if place in known or RISE.begins(live, usual):
            _find(place, live, usual, known.get(place))
    for place, row in known.items():
        if RISE.ends(*judged.get(place, (0, 0.0))):
            incidents.resolve(
                KIND, row.system, subject=row.subject, by="it is near its usual again"
            )


def _find(place: tuple[str, str], live: int, usual: float, row: Incident | None) -> None:
    subject = ".".join(place)
    system, lately = (row.system, row.details["lately"]) if row else _speaker(place)
    details: dict[str, Any] = {
        "entity": place[0],
        "field": place[1],
        "live": live,
        "usual": usual,
        "lately": lately,
        "most": max(live, row.details["most"] if row else 0),
    }
    incidents.find(
        KIND,
        system,
        f"{subject}: {live:,} values differ, usually {usual:,.0f}",
        subject=subject,
        cause=f"{system} began to say something else about {lately:,} records within a day",
        details=details,
    )


def _speaker(place: tuple[str, str]) -> tuple[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(SPEAKERS, place)
        system, lately, _ = cursor.fetchone() or ("", 0, 0)
    return system, lately
