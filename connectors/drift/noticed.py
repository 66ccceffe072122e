"""What a page, or a batch of events, showed of drift: written down once it is applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import connection, transaction

from connectors.drift import detective
from connectors.drift.breaches import MISSING, Breach, Broken, document_of
from connectors.drift.members import ENOUGH, Look, Noticed
from connectors.drift.renaming import beside
from connectors.drift.report import Report
from connectors.drift.stopping import stop
from connectors.models import DriftPolicy, MemberChange, Stream
from connectors.runtime.prepare import Prepared, Preparer

#: Values of a change that are kept as evidence.
EVIDENCE = 50

SEEN = """
INSERT INTO connectors_memberchange AS m
    (stream_id, path, change, records, first_record, last_record, "values")
VALUES (%(stream)s, %(path)s, %(change)s, %(records)s, %(first)s, %(last)s, %(values)s::jsonb)
ON CONFLICT (stream_id, path, change) DO UPDATE SET records = m.records + excluded.records,
    last_record = excluded.last_record, last_seen_at = now(),
    "values" = CASE WHEN (SELECT count(*) FROM jsonb_object_keys(m."values")) < %(most)s
        THEN m."values" || excluded."values" ELSE m."values" END
RETURNING records, first_record, "values"::text"""


def report_page(
    stream: Stream, preparer: Preparer, prepared: Prepared, run_id: int | None = None
) -> None:
    """Note what a page departed in, in the caller's transaction. Nothing for most pages."""
    if prepared.look is not None:
        _note_members(stream, preparer, prepared, run_id)
    departed = [*prepared.broken, *prepared.tolerated]
    if departed:
        Report(stream, preparer.source, run_id).departures(
            departed, len(prepared.keys), prepared.renames
        )


def report_events(system: str, preparer: Preparer, pages: Sequence[Prepared]) -> None:
    """The same of a batch of events, in a transaction of its own; stops the stream if they do."""
    stream = Stream.objects.select_related("connection").get(
        connection__slug=system, slug=preparer.spec.slug
    )
    with transaction.atomic():
        whole = Prepared([key for page in pages for key in page.keys])
        for page in pages:
            whole.broken += page.broken
            whole.tolerated += page.tolerated
            if page.look is not None:
                _note_members(stream, preparer, page, None)
        report_page(stream, preparer, whole)
        if whole.stops:
            first = whole.stops
            stop(stream, f"{first.path}: {first.reason} (record {first.record_key})")


def _note_members(
    stream: Stream, preparer: Preparer, prepared: Prepared, run_id: int | None
) -> None:
    look = prepared.look
    assert look is not None  # noqa: S101 (the caller looked)
    rules, watch = preparer.rules(), preparer.watch
    demanded = watch.used - watch.optional
    accepted = {beside(path, name) for path, name in rules.aliases.items()}
    for path, noticed in sorted(look.appeared.items()):
        if path in accepted:
            continue
        _seen(stream, path, MemberChange.Change.APPEARED, noticed)
    # In one order, so that pulls which notice the same do not wait for each other.
    vanished = {p: n for p, n in look.vanished.items() if p not in demanded}
    _there_again(stream, look)
    for path, noticed in sorted(vanished.items()):
        if path in look.present or path in rules.aliases:
            continue
        records, first, values = _seen(stream, path, MemberChange.Change.VANISHED, noticed)
        if path in watch.optional and records >= ENOUGH:
            breach = Breach(path, MISSING, "it was there before, and is in no record any more")
            said = [
                Broken(key, b"{}", path, breach.reason, (breach,), DriftPolicy.Action.ACCEPT)
                for key in noticed.values
            ]
            successor = prepared.renames.get(path) or _successor(stream, preparer.source, path)
            before = {"record": first, "value": values.get(first)}
            # Those that are held instead are counted with the broken ones.
            if not any(path == b.path for r in prepared.broken for b in r.departures):
                Report(stream, preparer.source, run_id).incident(
                    breach, said, len(prepared.keys), successor=successor, before=before
                )


def _successor(stream: Stream, source: int, path: str) -> str:
    """The member that appeared beside one that vanished bit by bit, if it is clear."""
    found = detective.propose(stream, source, path, ())
    return found[0].member if found else ""


def _there_again(stream: Stream, look: Look) -> None:
    MemberChange.objects.filter(
        stream=stream, change=MemberChange.Change.VANISHED, path__in=look.present
    ).delete()


def _seen(stream: Stream, path: str, change: str, new: Noticed) -> tuple[int, str, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            SEEN,
            {
                "stream": stream.pk, "path": path, "change": change, "records": new.records,
                "first": new.first, "last": new.last, "most": EVIDENCE,
                "values": msgspec.json.encode(new.values).decode().replace("\\u0000", "\\ufffd"),
            },
        )  # fmt: skip
        records, first, values = cursor.fetchone()
    return records, first, document_of(values)
