"""Series, and what was measured of them by minute, ten minutes, hour and day.

A measurement's step is its length in seconds: 60, 600, 3600, or 86,400, a day of UTC's. Step 0 is all
that was ever counted of a series, which is what Prometheus wants to see grow. Minutes are the database's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from django.db.models.functions import Now

from observability.metrics.names import NAMES
from observability.metrics.tally import Tally

#: The name of a metric and the values of its labels, in the order in which it declares them.
Key = tuple[str, ...]
Tallies = dict[Key, Tally]

EVER, MINUTE, TEN, HOUR, DAY = 0, 60, 600, 3600, 86_400
#: Characters of a label's value that are kept.
LONGEST = 200
#: Series that were not seen for so long do not count against what a metric may have.
LATELY = "7 days"


class Series(models.Model):
    """One metric with one set of labels."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    labels = models.JSONField()
    since = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="To the hour.")

    class Meta:
        verbose_name_plural = "series"
        ordering: ClassVar = ["name", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "labels"], name="series_once")
        ]

    def __str__(self) -> str:
        told = ", ".join(f'{name}="{value}"' for name, value in self.labels.items())
        return f"{self.name}{{{told}}}"


class Measurement(models.Model):
    """What was measured of a series in a minute, ten of them, an hour, a day, or ever.

    `count` observations came to `total`; `counts` is their histogram from the first bucket on
    (`observability.metrics.tally`), empty for a counter, as `low` and `high` are.
    """

    pk = models.CompositePrimaryKey("series", "step", "at")
    # Looked up by the key alone, and a check for each row costs more than the row.
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    step = models.IntegerField(help_text="Seconds; 0: ever.")
    at = models.DateTimeField(help_text="When it begins.")
    count = models.BigIntegerField()
    total = models.FloatField()
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    counts = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["step", "at"], name="measurement_step_at")]

    def __str__(self) -> str:
        return f"series {self.series_id} from {self.at} for {self.step} s"


FIND = """
SELECT n.place, s.id FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS n (name, labels, place)
JOIN observability_series s ON s.name = n.name AND s.labels = n.labels::jsonb"""

# Looked for first: an INSERT that finds its row uses up a number all the same.
REGISTER = f"""
INSERT INTO observability_series (name, labels)
SELECT m.name, m.labels FROM (
    SELECT n.name, n.labels::jsonb AS labels, n.most,
           row_number() OVER (PARTITION BY n.name ORDER BY n.labels) AS place
    FROM unnest(%s::text[], %s::text[], %s::int[]) AS n (name, labels, most)) AS m
WHERE m.most IS NULL OR m.place + (
    SELECT count(*) FROM observability_series k
    WHERE k.name = m.name AND k.seen_at > now() - interval '{LATELY}') <= m.most
ON CONFLICT (name, labels) DO NOTHING"""  # noqa: S608 (our own constants)

SEEN = """
UPDATE observability_series SET seen_at = now()
WHERE id = ANY(%s) AND seen_at < now() - interval '1 hour'"""

ADD = """
INSERT INTO observability_measurement AS m
    (series_id, step, at, count, total, low, high, counts)
SELECT n.series, s.step, CASE s.step WHEN 0 THEN 'epoch' ELSE
        date_trunc('minute', clock_timestamp() - %s * interval '1 second', 'UTC') END,
    n.count, n.total, n.low, n.high, n.counts::bigint[]
FROM unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::text[])
    AS n (series, count, total, low, high, counts), (VALUES (0), (60)) AS s (step)
ORDER BY 1, 2, 3
ON CONFLICT (series_id, step, at) DO UPDATE SET
    count = m.count + excluded.count, total = m.total + excluded.total,
    low = LEAST(m.low, excluded.low), high = GREATEST(m.high, excluded.high),
    counts = metric_added(m.counts, excluded.counts)"""


def write(tallies: Tallies, *, age: float = 0.0) -> None:
    """Add what was counted up `age` seconds ago to everybody's. Raises django.db.Error."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Sooner than PostgreSQL would look for a deadlock, and a power cut may have ten seconds.
        cursor.execute("SET LOCAL lock_timeout = '500ms'")
        cursor.execute("SET LOCAL synchronous_commit TO off")
        added: dict[int, Tally] = {}
        for key, pk in identified(tallies).items():
            added.setdefault(pk, Tally()).fold(tallies[key])
        cursor.execute(SEEN, [list(added)])
        cursor.execute(ADD, [age, *_columns(added)])


def identified(keys: Iterable[Key]) -> dict[Key, int]:
    """The series of each key; of one that is one too many, those of the others of its metric."""
    wanted = list(keys)
    found = _found(wanted)
    if lacking := [key for key in wanted if key not in found]:
        _register(lacking, bounded=True)
        found |= _found(lacking)
    if lacking := [key for key in wanted if key not in found]:
        others = {key: (key[0], *NAMES[key[0]].other(key[1:])) for key in lacking}
        distinct = list(dict.fromkeys(others.values()))
        _register(distinct, bounded=False)
        known = _found(distinct)
        found |= {key: known[other] for key, other in others.items()}
    return found


def labels_of(key: Key) -> Mapping[str, str]:
    """What the labels of a key are called, and their values as they are kept."""
    # PostgreSQL's text holds no NUL.
    values = (value[:LONGEST].replace("\x00", "�") for value in key[1:])
    return dict(zip(NAMES[key[0]].labels, values, strict=True))


def _found(keys: Sequence[Key]) -> dict[Key, int]:
    names, labels = [key[0] for key in keys], [json.dumps(labels_of(key)) for key in keys]
    with connection.cursor() as cursor:
        cursor.execute(FIND, [names, labels])
        return {keys[place - 1]: pk for place, pk in cursor.fetchall()}


def _register(keys: Sequence[Key], *, bounded: bool) -> None:
    told = {(key[0], json.dumps(labels_of(key))) for key in keys}
    names, labels = [name for name, _ in told], [text for _, text in told]
    most = [NAMES[name].most if bounded else None for name in names]
    with connection.cursor() as cursor:
        cursor.execute(REGISTER, [names, labels, most])


def _columns(added: Mapping[int, Tally]) -> list[list[Any]]:
    tallies = list(added.values())
    # Of a counter neither is known.
    known = [bool(tally.buckets) for tally in tallies]
    return [
        list(added),
        [tally.count for tally in tallies],
        [float(tally.total) for tally in tallies],
        [float(tally.low) if k else None for tally, k in zip(tallies, known, strict=True)],
        [float(tally.high) if k else None for tally, k in zip(tallies, known, strict=True)],
        ["{" + ",".join(map(str, tally.counts())) + "}" for tally in tallies],
    ]
