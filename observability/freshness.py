"""How old is what we serve: one watermark for each stream, beside what was promised.

Systems and streams are named by their slug, never by a foreign key: this floor imports none
above it. Lag is computed with the database's clock, because the machine's may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import connection, models
from django.db.models.functions import Now

DEFAULT_OBJECTIVE_SECONDS = 300


class StreamFreshness(models.Model):
    """The watermark of one stream: all changes up to here are applied."""

    system = models.SlugField(max_length=64)
    stream = models.SlugField(max_length=64)
    objective_seconds = models.PositiveIntegerField(
        default=DEFAULT_OBJECTIVE_SECONDS,
        db_default=DEFAULT_OBJECTIVE_SECONDS,
        help_text="Promised maximum age, in seconds. Values older than this are served as stale.",
    )
    watermark = models.DateTimeField(
        null=True, blank=True, help_text="All changes up to this moment are applied."
    )
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "stream freshness"
        verbose_name_plural = "stream freshness"
        ordering: ClassVar = ["system", "stream"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["system", "stream"], name="freshness_system_stream"),
        ]

    def __str__(self) -> str:
        return f"{self.system}/{self.stream}"


@dataclass(frozen=True, slots=True)
class Freshness:
    """One stream now. `lag_seconds` is None while nothing was ever applied: that is stale."""

    system: str
    stream: str
    objective_seconds: int
    watermark: datetime | None
    lag_seconds: float | None

    @property
    def stale(self) -> bool:
        return self.lag_seconds is None or self.lag_seconds > self.objective_seconds


# A late or repeated page must not move the watermark back: GREATEST, which ignores NULL.
_ADVANCE = """
    INSERT INTO observability_streamfreshness AS f (system, stream, watermark, updated_at)
    VALUES (%s, %s, %s, now())
    ON CONFLICT (system, stream) DO UPDATE
    SET watermark = GREATEST(f.watermark, EXCLUDED.watermark), updated_at = now()
"""

_PROMISE = """
    INSERT INTO observability_streamfreshness (system, stream, objective_seconds, updated_at)
    VALUES (%s, %s, %s, now())
    ON CONFLICT (system, stream) DO UPDATE SET objective_seconds = EXCLUDED.objective_seconds
"""

_WATERMARKS = """
    SELECT system, stream, objective_seconds, watermark,
           EXTRACT(EPOCH FROM clock_timestamp() - watermark)::float8
    FROM observability_streamfreshness
    ORDER BY system, stream
"""


def advance(system: str, stream: str, watermark: datetime) -> None:
    """Move a stream's watermark forward, in the caller's transaction. Never moves it back.

    `watermark` must be timezone-aware. The stream is created with the default objective when
    it is new.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, [system, stream, watermark])


def promise(system: str, stream: str, objective_seconds: int) -> None:
    """Set the freshness objective of a stream; leaves its watermark alone."""
    with connection.cursor() as cursor:
        cursor.execute(_PROMISE, [system, stream, objective_seconds])


def watermarks() -> dict[tuple[str, str], Freshness]:
    """Every stream's freshness now, by (system, stream). One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_WATERMARKS)
        rows = [Freshness(*row) for row in cursor.fetchall()]
    return {(row.system, row.stream): row for row in rows}
