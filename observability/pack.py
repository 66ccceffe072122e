"""The incident pack: which hop failed first, what went well there last, and what changed just before.

A pack is assembled by itself, a second or two after its incident was opened, by the supervisor: in no
request, and not by whoever found the trouble. Everything that goes into it is known on the floors
above, so they listen to `wanted` and answer with `attach`. What cannot be told yet is looked at
again for a while, because evidence may come after the alarm.

    {"chain": [{"hop", "state", "evidence", "last_good"}], "drift", "deploys", "rules", "changes",
     "affected", "assembled_at", "milliseconds"}   or {"failed": why, "assembled_at"}
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connection
from django.dispatch import Signal

from observability.incidents import Incident

log = structlog.get_logger(__name__)

#: The way of a change from an upstream to who reads it: each hop needs the ones before it.
CHAIN = (
    "upstream", "network", "credentials", "contract", "mapping", "cursor", "inbox", "merge", "rule",
    "cache", "outbox", "subscriber",
)  # fmt: skip
#: What a change does not pass, and can be the reason all the same.
BESIDE = ("clock", "database", "key")
HOPS = (*CHAIN, *BESIDE)

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"

#: Sent for an incident without a pack, with `incident`, its id. Who knows more answers by `attach`.
wanted = Signal()

AT_ONCE = 5
#: How long an incident whose hop is not known is looked at again, and how often.
AGAIN_SECONDS, EVERY_SECONDS = 120, 5

DUE = f"""
SELECT id FROM observability_incident
WHERE resolved_at IS NULL AND (pack = '{{}}'
    OR reopened_at > (pack ->> 'assembled_at')::timestamptz
    OR (hop = '' AND GREATEST(opened_at, reopened_at) > now() - interval '{AGAIN_SECONDS} seconds'
        AND (pack ->> 'assembled_at')::timestamptz < now() - interval '{EVERY_SECONDS} seconds'))
ORDER BY id DESC LIMIT {AT_ONCE}"""  # noqa: S608 (our own constants)

ATTACH = """
UPDATE observability_incident SET hop = %s,
    pack = %s::jsonb || jsonb_build_object('assembled_at', clock_timestamp()) WHERE id = %s"""


@dataclass(frozen=True, slots=True)
class Link:
    """One hop of the chain as it is: `state` is ok, failed or unknown; `last_good`: when it last was."""

    hop: str
    state: str = UNKNOWN
    evidence: str = ""
    last_good: datetime | None = None


def culprit(links: list[Link], asked: tuple[str, ...] = HOPS) -> str:
    """The first failing hop, of those that an incident may be about; empty where none is seen to fail."""
    failing = {link.hop for link in links if link.state == FAILED}
    return next((hop for hop in asked if hop in failing), "")


def attach(incident: int, hop: str, links: list[Link], **more: Any) -> None:
    """Keep a pack with its incident; `more`: the other members."""
    _keep(incident, hop, {"chain": [asdict(link) for link in links], **more})


def look() -> int:
    """Have the packs assembled that are missing; how many were asked for. Raises DatabaseError only
    where PostgreSQL is away: whatever else goes wrong is the pack's own affair.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE)
        due = [int(pk) for (pk,) in cursor.fetchall()]
    for pk in due:
        for _, answer in wanted.send_robust(sender=Incident, incident=pk):
            if isinstance(answer, Exception):
                why = f"{type(answer).__name__}: {answer}"
                log.error("an incident's pack could not be assembled", incident=pk, because=why)
                _keep(pk, "", {"failed": why[:500]})
    return len(due)


def _keep(incident: int, hop: str, pack: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ATTACH, [hop, json.dumps(pack, default=_spelled), incident])


def _spelled(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
