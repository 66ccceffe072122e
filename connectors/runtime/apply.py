"""What records say, with their children: stored and merged, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import DataError, IntegrityError, transaction

from catalog.merge import Cause
from catalog.stage import Applied, Contribution, apply_contributions, withdraw_children
from connectors.drift.breaches import Broken
from connectors.runtime.prepare import Prepared, Preparer
from connectors.runtime.sweep import tombstone


def apply_said(
    preparer: Preparer,
    said: Sequence[Contribution],
    parents: Mapping[str, int],
    cause: Cause,
    *,
    present: bool = True,
    asked: datetime | None = None,
    restated: bool = False,
) -> Applied:
    """Apply sentences and withdraw the children that the parents (record key: version) lack now.

    The options are those of `catalog.stage.apply_contributions`, and so is what it raises.
    """
    applied = apply_contributions(
        said,
        cause,
        entities=preparer.entities,
        contract=preparer.spec.contract.VERSION,
        present=present,
        asked=asked,
        restated=restated,
    )
    for child in preparer.spec.children if parents else ():
        source = preparer.child_sources[child.slug]
        kept = [c.record_key for c in said if c.source_id == source]
        applied.add(withdraw_children(source, parents, kept, cause, entity=child.entity))
    return applied


def apply_prepared(
    preparer: Preparer,
    prepared: Prepared,
    cause: Cause,
    *,
    present: bool = True,
    asked: datetime | None = None,
    restated: bool = False,
) -> Applied:
    """Apply a page. Records that do not fit their columns join the page's broken ones."""
    applied = Applied.nothing()
    sets = [_records(prepared.contributions, preparer.source)] if prepared.contributions else []
    while sets:
        records = sets.pop()
        said = [sentence for record in records for sentence in record]
        keys = {record[0].record_key for record in records}
        parents = {key: version for key, version in prepared.parents.items() if key in keys}
        try:
            with transaction.atomic():
                applied.add(
                    apply_said(
                        preparer, said, parents, cause,
                        present=present, asked=asked, restated=restated,
                    )
                )  # fmt: skip
        except (DataError, IntegrityError) as error:
            middle = len(records) // 2
            if middle:
                sets += [records[middle:], records[:middle]]
                continue
            reason = f"does not fit the entity: {str(error).splitlines()[0]}"
            prepared.broken.append(Broken(said[0].record_key, bytes(said[0].payload), "", reason))
    if prepared.gone:
        applied.add(tombstone(prepared.gone, preparer, cause, asked))
    return applied


def _records(said: Sequence[Contribution], source: int) -> list[list[Contribution]]:
    """Each record with its children, which follow it."""
    records: list[list[Contribution]] = []
    for sentence in said:
        if sentence.source_id == source:
            records.append([sentence])
        else:
            records[-1].append(sentence)
    return records
