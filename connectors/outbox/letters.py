"""The outbox's dead letters, for `connectors.replay`. A replay is nothing but calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, QuerySet

from connectors.models import OutboxCommand
from connectors.replay.letters import Letters
from connectors.replay.rehearsal import Rehearsal
from connectors.runtime import wake
from observability.display import Tone

TOLD = "told again, under the same idempotency key"
OFF = "waits: the subscriber, the connection or the channel is switched off"


def rehearse(letters: QuerySet[OutboxCommand]) -> Rehearsal:
    """The calls that a replay would make, by target and kind."""
    made = Rehearsal()
    grouped = (
        letters.order_by()
        .values("subscriber__slug", "subscriber__url", "subscriber__enabled",
                "connection__slug", "connection__enabled", "channel__slug", "channel__enabled", "kind",
                "stream")
        .annotate(count=Count("pk"))
        .order_by("-count")
    )  # fmt: skip
    sample = letters.order_by("pk").values_list("pk", flat=True).first() or 0
    for row in grouped:
        on = row["subscriber__enabled"] or row["connection__enabled"] or row["channel__enabled"]
        outcome, tone = (TOLD, Tone.BUSY) if on else (OFF, Tone.WARN)
        made.tried += row["count"]
        made.comes_to(tone, outcome, sample, row["count"])
        made.calls_for(_call(row), row["count"])
    return made


def _call(row: Mapping[str, Any]) -> str:
    if row["subscriber__slug"]:
        return f"POST {row['subscriber__url']}: {row['kind']} for {row['subscriber__slug']}"
    if row["channel__slug"]:
        return f"{row['kind']} for the people of {row['channel__slug']}"
    return f"{row['kind']} records of stream {row['stream']} at {row['connection__slug']}"


OUTBOX = Letters(
    name="outbox",
    model=OutboxCommand,
    places={
        "subscriber": "subscriber__slug",
        "connection": "connection__slug",
        "channel": "channel__slug",
        "stream": "stream",
    },
    searched=("record_key", "idempotency_key", "correlation_id"),
    bells=(wake.OUTBOX,),
    rehearse=rehearse,
)
