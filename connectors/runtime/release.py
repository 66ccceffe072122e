"""Records in quarantine, tried again as they were received: released where they pass now.

What is held is often newer than what is stored, and is then stored as the pull that brought it
would have done. A record that has been read, or has vanished, since it was held is only released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db import DataError, IntegrityError, transaction
from pydantic import ValidationError

from catalog.merge import Cause, Merger
from catalog.restate import Brought, attribute, buried
from catalog.stage import (
    Applied,
    Contribution,
    apply_contributions,
    payload_hash,
    version_of,
    withdraw_children,
)
from connectors.models import QuarantinedRecord, SyncRun
from connectors.runtime.prepare import (
    UNMAPPABLE,
    Broken,
    Prepared,
    Preparer,
    first_breach,
    key_reader,
)
from connectors.runtime.quarantine import release, still_held
from connectors.runtime.sweep import tombstone

#: Payloads of any size are held whole in memory.
BATCH = 200


@dataclass(slots=True)
class Judged:
    """A held record under the mapping of today."""

    row: QuarantinedRecord
    record_key: str
    said: Sequence[Contribution]
    prepared: Prepared


class Retrial:
    """Tries the records of one stream's quarantine on behalf of a remap."""

    def __init__(self, run: SyncRun, cause: Cause, preparer: Preparer, merger: Merger) -> None:
        self.run, self.cause, self.preparer, self.merger = run, cause, preparer, merger

    def next_rows(self, after: int) -> list[QuarantinedRecord]:
        """The held records behind an id; not those that the run itself has just set aside."""
        rows = QuarantinedRecord.objects.filter(stream=self.run.stream, pk__gt=after)
        return list(rows.exclude(run=self.run).select_related("run").order_by("pk")[:BATCH])

    def commit(self, rows: Sequence[QuarantinedRecord]) -> tuple[Applied, int]:
        """(what came of those that pass, how many are held still); in the caller's transaction."""
        judged, broken = [], []
        for row in rows:
            try:
                judged.append(self._judge(row))
            except ValidationError as error:
                broken.append((row, first_breach(error)))
            except UNMAPPABLE as error:
                broken.append((row, ("", str(error))))
        applied = Applied.nothing()
        gone = buried(self.preparer.source, [one.record_key for one in judged])
        for one in judged:
            key = one.record_key
            # What a remap has set aside is in the store as well; it has been restated there.
            stored = one.row.run is not None and one.row.run.kind == SyncRun.Kind.REMAP
            if stored or (key in gone and gone[key] > one.row.last_seen_at):
                continue
            try:
                with transaction.atomic():
                    applied.add(self._apply(one))
            except (DataError, IntegrityError) as error:
                reason = f"does not fit the entity: {str(error).splitlines()[0]}"
                broken.append((one.row, ("", reason)))
        held = {row.record_key for row, _ in broken}
        release(self.run.stream, [r.record_key for r in rows if r.record_key not in held])
        version = self.preparer.spec.contract.VERSION
        for row, (path, reason) in broken:
            still_held(row, Broken(row.record_key, b"", path, reason), version)
        return applied, len(broken)

    def _judge(self, row: QuarantinedRecord) -> Judged:
        raw, prepared = row.payload.encode(), Prepared([])
        try:
            key = key_reader(self.preparer.spec.record_key)(raw)
        except msgspec.DecodeError as error:
            raise ValueError(f"the record has no key: {error}") from error
        # Ordered as the pull would have, where the record has no ordering of its own.
        began = row.run.started_at if row.run else None
        said = self.preparer.sentences(
            key, raw, payload_hash(raw), version_of(began or row.last_seen_at), prepared, known=True
        )
        return Judged(row, key, said, prepared)

    def _apply(self, one: Judged) -> Applied:
        preparer, row = self.preparer, one.row
        if one.prepared.gone:
            return tombstone(
                one.prepared.gone, preparer, self.merger, self.cause, asked=row.last_seen_at
            )
        said = {(c.source_id, c.record_key): c for c in one.said}
        applied = apply_contributions(
            self.merger, list(said.values()), self.cause,
            entities=preparer.entities, contract=preparer.spec.contract.VERSION, present=False,
        )  # fmt: skip
        for child in preparer.spec.children if one.prepared.parents else ():
            source = preparer.child_sources[child.slug]
            kept = [c.record_key for c in said.values() if c.source_id == source]
            parents = one.prepared.parents
            withdrawn = withdraw_children(
                self.merger, source, parents, kept, self.cause, entity=child.entity
            )
            applied.merged.add(withdrawn.merged)
        if applied.stored:
            brought = Brought(row.run_id, row.correlation_id, row.last_seen_at)
            attribute(dict.fromkeys(said, brought), self.run.pk)
        return applied
