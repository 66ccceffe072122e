"""Records that break their contract: held with the path and the reason, released when they pass."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F
from django.db.models.functions import Now

from connectors.drift.breaches import Broken
from connectors.erased import held
from connectors.models import QuarantinedRecord, Stream, SyncRun


def hold(stream: Stream, broken: Iterable[Broken], run: SyncRun, contract: str) -> None:
    """Keep the records; one that is held already counts once more."""
    for record in held(stream, broken):
        # NUL is legal JSON text when escaped, and never in PostgreSQL's text; only a broken
        # transport could bring a bare one.
        payload = record.payload.decode("utf-8", "replace").replace("\x00", "\ufffd")
        QuarantinedRecord.objects.update_or_create(
            stream=stream,
            record_key=record.record_key,
            defaults={
                "payload": payload,
                "path": record.path,
                "reason": record.reason.replace("\x00", "\ufffd"),
                "contract": contract,
                "run": run,
                "correlation_id": run.correlation_id,
                "last_seen_at": Now(),
                "times": F("times") + 1,
            },
            create_defaults={
                "payload": payload,
                "path": record.path,
                "reason": record.reason.replace("\x00", "\ufffd"),
                "contract": contract,
                "run": run,
                "correlation_id": run.correlation_id,
            },
        )


def release(stream: Stream, record_keys: list[str]) -> None:
    """Records that passed are no longer held."""
    held = QuarantinedRecord.objects.filter(stream=stream)
    if record_keys and held.exists():
        held.filter(record_key__in=record_keys).delete()


def settle(row: QuarantinedRecord, broken: Broken | None, contract: str) -> None:
    """A held record was tried again: release it, or say why not; unless it came anew meanwhile."""
    same = QuarantinedRecord.objects.filter(pk=row.pk, times=row.times)
    if broken is None:
        same.delete()
    else:
        reason = broken.reason.replace("\x00", "\ufffd")
        same.update(path=broken.path, reason=reason, contract=contract)
