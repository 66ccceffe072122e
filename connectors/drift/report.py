"""Departures become incidents: one for each member and kind of breach, counted in sets.

An incident of drift is (stream, member, kind of breach); its details:

    path, breach, action, feeds (what the member feeds), successor (of a suspected rename)
    records, read, share    how many departed of those that the latest run has read
    first, last             {record, at}
    before, after           {record, value}: a sample as it is stored, and as it came
    proposals               what the detective found

It ends when a whole run shows no such record and none is held for it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from django.db import connection

from catalog.stored import count_alive
from connectors.contracts.uses import targets
from connectors.drift import detective
from connectors.drift.breaches import (
    MISSING,
    UNKNOWN,
    Breach,
    Broken,
    document_of,
    member,
    value_at,
)
from connectors.models import DriftPolicy, FieldAlias, MemberChange, Stream, SyncRun
from connectors.runtime.declare import StreamSpec
from observability import incidents
from observability.clock import database_now
from observability.incidents import Incident

log = structlog.get_logger(__name__)

KIND = Incident.Kind.CONTRACT_DRIFT
ITSELF = "a run without it"
#: Beyond this share of a stream's records in quarantine, not all changes are applied.
BEHIND_SHARE = 0.01


class Report:
    """The incidents of one stream, as one run (None: events) adds to them."""

    def __init__(self, stream: Stream, source: int, run_id: int | None) -> None:
        self.stream, self.spec, self.source, self.run_id = stream, stream.spec, source, run_id
        self.system = stream.connection.slug

    def departures(self, departed: Sequence[Broken], read: int, renames: Any = None) -> None:
        """Open or add to the incidents that some records are hit by."""
        grouped: dict[tuple[str, str], tuple[Breach, list[Broken]]] = {}
        for record in departed:
            for breach in record.departures:
                grouped.setdefault((breach.path, breach.kind), (breach, []))[1].append(record)
        for (path, _), (breach, records) in sorted(grouped.items()):
            self.incident(breach, records, read, successor=(renames or {}).get(path, ""))

    def incident(
        self, breach: Breach, records: Sequence[Broken], read: int, *, successor: str = "",
        before: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Open the incident of a breach, or add these records to it."""
        subject = f"{breach.path or 'the record as a whole'}: {breach.kind}"
        now, first, last = database_now().isoformat(), records[0], records[-1]
        known = self._open(subject)
        details: dict[str, Any] = dict(known.details) if known else {
            "path": breach.path,
            "breach": breach.kind,
            "feeds": feeds(self.spec, breach.path),
            "first": {"record": first.record_key, "at": now},
            "before": before or _sample(self.source, first.record_key, breach.path),
            "after": _came(first, breach),
            "successor": "",
        }  # fmt: skip
        same = known is not None and details.get("run") == self.run_id
        details |= {
            "run": self.run_id,
            "action": first.action,
            "records": len(records) + (details["records"] if same else 0),
            "read": read + (details["read"] if same else 0),
            "last": {"record": last.record_key, "at": now},
            "successor": successor or details["successor"],
        }
        details["share"] = min(1.0, details["records"] / max(1, details["read"]))
        if known is None and breach.kind == MISSING:
            details["proposals"] = detective.told(self.stream, self.source, breach.path, records)
        self._find(subject, breach, details)
        if known is None:
            log.error(
                "contract drift", system=self.system, stream=self.spec.slug, member=breach.path,
                breach=breach.kind, action=first.action, record=first.record_key,
                proposal=" or ".join(one["text"] for one in details.get("proposals", ())),
            )  # fmt: skip

    def settle(self, *, reads: bool = True) -> None:
        """At the end of a run: what it showed is completed, what it did not show has ended.

        A remap (`reads` false) ends what it has released, and nothing else.
        """
        rows = list(self._all())
        if not rows or self.run_id is None:
            return
        runs = SyncRun.objects.filter(pk=self.run_id)
        read, unchanged = runs.values_list("read", "unchanged").get()
        for row in rows:
            details = dict(row.details)
            if details.get("run") == self.run_id:
                total = max(read, details["records"])
                details |= {"read": total, "share": details["records"] / max(1, total)}
                if details["breach"] == MISSING:
                    details["proposals"] = detective.told(
                        self.stream, self.source, details["path"], ()
                    )
                row.details = details
                row.save(update_fields=["details"])
            elif self._ended(details, reads and read, reads and read - unchanged):
                self.resolve(row, ITSELF)

    def _ended(self, details: dict[str, Any], read: int, news: int) -> bool:
        """Whether a run that did not show it may end it."""
        path = details["path"]
        if self._held(path):
            return False
        if FieldAlias.objects.filter(stream=self.stream, path=path, ended_at=None).exists():
            return True
        gone = MemberChange.objects.filter(
            stream=self.stream, path=path, change=MemberChange.Change.VANISHED
        )
        if gone.exists():
            return False
        # What was quarantined comes again until it is mended; what was tolerated is stored, and
        # only news tells whether it still comes so.
        held = details["action"] == DriftPolicy.Action.QUARANTINE
        return bool(read if held else news) or (held and not read)

    def resolve(self, row: Incident, by: str) -> None:
        """End one."""
        incidents.resolve(KIND, self.system, stream=self.spec.slug, subject=row.subject, by=by)
        log.info("contract drift ended", stream=str(self.stream), subject=row.subject, by=by)

    def _find(self, subject: str, breach: Breach, details: dict[str, Any]) -> None:
        incidents.find(
            KIND,
            self.system,
            title(self.stream, breach.path, breach.kind),
            stream=self.spec.slug,
            subject=subject,
            cause=breach.reason,
            details=details,
        )

    def _all(self) -> Iterable[Incident]:
        return Incident.objects.filter(
            kind=KIND, system=self.system, stream=self.spec.slug, resolved_at=None
        ).order_by("id").select_for_update()  # fmt: skip

    def _open(self, subject: str) -> Incident | None:
        return next((row for row in self._all() if row.subject == subject), None)

    def _held(self, path: str) -> bool:
        held = self.stream.quarantine.order_by().values_list("path", flat=True).distinct()
        return any(member(one) == path for one in held)


def title(stream: Stream, path: str, kind: str) -> str:
    """One line for a list."""
    words: dict[str, str] = {
        MISSING: f"{path} is missing",
        UNKNOWN: f"{path} is new",
        DriftPolicy.Breach.WRONG_TYPE: f"{path} is of another type",
    }
    what = words.get(kind, f"{path or 'a record'} cannot be mapped")
    return f"{stream}: {what}"


def feeds(spec: StreamSpec, path: str) -> list[str]:
    """The entity fields that a member feeds."""
    return list(targets(spec).get(path, ()))


def _came(record: Broken, breach: Breach) -> dict[str, Any]:
    value = value_at(document_of(record.payload), breach.path) if breach.path else None
    return {"record": record.record_key, "value": value, "reason": breach.reason}


def _sample(source: int, key: str, path: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload::text FROM catalog_sourcerecord"
            " WHERE source_id = %s AND record_key = %s",
            (source, key),
        )
        found = cursor.fetchone()
    value = value_at(document_of(found[0]), path) if found and path else None
    return {"record": key if found else "", "value": value}


def behind(stream: Stream, source: int) -> bool:
    """Whether so many records are held that the stream's values have to count as old."""
    held = stream.quarantine.count()
    return bool(held) and held > BEHIND_SHARE * count_alive(source)
