"""Records in quarantine, tried again as they were received: released where they pass now.

What is held is often newer than what is stored, and is then stored as the pull that brought it
would have done. A record that has vanished since it was held is only released.
"""

from __future__ import annotations

from collections.abc import Sequence

from catalog.merge import Cause
from catalog.stage import Applied, Told, payload_hash, version_of
from catalog.stored import buried
from connectors.models import QuarantinedRecord, SyncRun
from connectors.runtime.apply import apply_prepared
from connectors.runtime.prepare import Prepared, Preparer
from connectors.runtime.quarantine import settle
from connectors.runtime.sweep import tombstone

#: A held record, and what it says under the mapping of today, as a page of its own.
Judged = tuple[QuarantinedRecord, Prepared]
#: Payloads of any size are held whole in memory.
BATCH = 200


class Retrial:
    """Tries the records of one stream's quarantine on behalf of a remap."""

    def __init__(self, run: SyncRun, cause: Cause, preparer: Preparer) -> None:
        self.run, self.cause, self.preparer = run, cause, preparer

    def judged(self, after: int) -> list[Judged]:
        """The next held records behind an id; not those that the run itself has just set aside."""
        rows = QuarantinedRecord.objects.filter(stream=self.run.stream, pk__gt=after)
        rows = rows.exclude(run=self.run).select_related("run").order_by("pk")[:BATCH]
        return [(row, self._judge(row)) for row in rows]

    def commit(self, judged: Sequence[Judged]) -> tuple[Applied, int]:
        """(what came of those that pass, how many are held still); in the caller's transaction."""
        page, applied = Prepared([row.record_key for row, _ in judged]), Applied.nothing()
        gone = buried(self.preparer.source, page.keys)
        for row, prepared in judged:
            key = row.record_key
            # What a remap has set aside is in the store as well; it has been restated there.
            restated = row.run is not None and row.run.kind == SyncRun.Kind.REMAP
            vanished = key in gone and gone[key] > row.last_seen_at
            page.broken += prepared.broken
            if prepared.broken or restated or vanished:
                continue
            page.contributions += prepared.contributions
            page.parents |= prepared.parents
            if prepared.gone:
                applied.add(tombstone([key], self.preparer, self.cause, row.last_seen_at))
        # One set of locks, in the order in which pulls take theirs.
        applied.add(apply_prepared(self.preparer, page, self.cause, present=False))
        broken = {record.record_key: record for record in page.broken}
        for row, _ in judged:
            settle(row, broken.get(row.record_key), self.preparer.spec.contract.VERSION)
        return applied, len(broken)

    def _judge(self, row: QuarantinedRecord) -> Prepared:
        key, raw, prepared = row.record_key, row.payload.encode(), Prepared([row.record_key])
        # Ordered as the pull would have, where the record has no ordering of its own.
        read = row.run.started_at if row.run and row.run.started_at else row.last_seen_at
        told = Told(row.last_seen_at, row.correlation_id, run_id=row.run_id)
        said = self.preparer.judged(
            key, raw, payload_hash(raw), version_of(read), prepared, known=True, told=told
        )
        prepared.contributions = said or []
        return prepared
