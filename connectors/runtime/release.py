"""Records in quarantine, tried again as they were received: released where they pass now.

What is held is often newer than what is stored, and is then stored as the pull that brought it
would have done. A record that has vanished since it was held is only released.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from catalog.merge import Cause, Merger
from catalog.stage import Applied, Told, payload_hash, version_of
from catalog.stored import buried
from connectors.models import QuarantinedRecord, SyncRun
from connectors.runtime.apply import apply_prepared
from connectors.runtime.prepare import UNMAPPABLE, Broken, Prepared, Preparer, first_breach
from connectors.runtime.quarantine import release, still_held

#: Payloads of any size are held whole in memory.
BATCH = 200


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
        applied, broken = Applied.nothing(), {}
        judged = [(row, self._judge(row)) for row in rows]
        gone = buried(self.preparer.source, [prepared.keys[0] for _, prepared in judged])
        for row, prepared in judged:
            # What a remap has set aside is in the store as well; it has been restated there.
            restated = row.run is not None and row.run.kind == SyncRun.Kind.REMAP
            died = gone.get(prepared.keys[0])
            vanished = died is not None and died > row.last_seen_at
            if not (prepared.broken or restated or vanished):
                applied.add(
                    apply_prepared(
                        self.preparer, self.merger, prepared, self.cause,
                        present=False, asked=row.last_seen_at,
                    )
                )  # fmt: skip
            if prepared.broken:
                broken[row.record_key] = prepared.broken[0]
                still_held(row, prepared.broken[0], self.preparer.spec.contract.VERSION)
        release(self.run.stream, [r.record_key for r in rows if r.record_key not in broken])
        return applied, len(broken)

    def _judge(self, row: QuarantinedRecord) -> Prepared:
        """The record under the mapping of today, as a page of its own."""
        raw = row.payload.encode()
        digest = payload_hash(raw)
        key = self.preparer.key_of(raw, digest)
        prepared = Prepared([key])
        # Ordered as the pull would have, where the record has no ordering of its own.
        read = row.run.started_at if row.run and row.run.started_at else row.last_seen_at
        told = Told(row.last_seen_at, row.correlation_id, run_id=row.run_id)
        try:
            prepared.contributions = self.preparer.sentences(
                key, raw, digest, version_of(read), prepared, known=True, told=told
            )
        except ValidationError as error:
            prepared.broken.append(Broken(key, raw, *first_breach(error)))
        except UNMAPPABLE as error:
            prepared.broken.append(Broken(key, raw, "", str(error)))
        return prepared
