"""Answers queries page by page: totals, cursors, rows. How each is found: `soql_plan`."""

from __future__ import annotations

import secrets
import string
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox import faults, soql_match, soql_plan
from connectors.sandbox.sequence import Sequence
from connectors.sandbox.soql import Column, Query, SoqlError
from connectors.sandbox.store import Collection, Row, Store
from connectors.sandbox.world import World

SYSTEM = "salesforce"
BATCH, LEAST_BATCH = 2000, 200
_CURSORS_KEPT = 200
_CHUNK = 1000

Record = dict[str, Any]
Position = tuple[int, str]


@dataclass
class Cursor:
    """A running query. `starts`: behind which record the page at an offset begins."""

    query: Query
    route: str
    bounds: soql_plan.Window
    deleted_too: bool
    batch: int
    total: int = 0
    keys: list[str] = field(default_factory=list)  # for the routes that read first
    starts: dict[int, Position | None] = field(default_factory=dict)


class Org:
    """The queryable side of one sandbox's Salesforce."""

    def __init__(self, store: Store, world: World, collections: list[Collection]) -> None:
        self.store = store
        self.world = world
        self.collections = {collection.name: collection for collection in collections}
        self.sequences = {c.name: Sequence(store, c) for c in collections}

    # -- pages

    def start(self, query: Query, version: str, batch: int, *, deleted_too: bool) -> Record:
        bounds = soql_plan.window(query.where, deleted_too=deleted_too)
        cursor = Cursor(query, soql_plan.route(query, bounds), bounds, deleted_too, batch)
        if cursor.route == "everything":
            rows = self._everything(query, bounds, deleted_too=deleted_too)
            cursor.keys = [row["Id"] for row in rows]
            cursor.total = len(cursor.keys)
        else:
            cursor.total = min(self._count(cursor), _limit(query))
        if not query.columns:
            return {"totalSize": cursor.total, "done": True, "records": []}
        cursor.starts[0] = bounds.after
        return self._page(cursor, "", 0, version)

    def more(self, locator: str, version: str) -> Record:
        key, _, offset = locator.rpartition("-")
        cursor = self._cursors().get(key)
        if cursor is None or not offset.isdigit() or int(offset) not in cursor.starts:
            raise SoqlError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, key, int(offset), version)

    def _cursors(self) -> dict[str, Cursor]:
        cursors: dict[str, Cursor] = self.store.memory(SYSTEM).setdefault("cursors", {})
        return cursors

    def _page(self, cursor: Cursor, key: str, offset: int, version: str) -> Record:
        size = min(cursor.batch, _limit(cursor.query) - offset)
        rows = self._rows(cursor, offset, size + 1)
        page, more = rows[:size], len(rows) > size and offset + size < _limit(cursor.query)
        records = [self._shown(cursor.query, row.doc, version) for row in page]
        answer: Record = {"totalSize": cursor.total, "done": not more}
        if more:
            answer["nextRecordsUrl"] = self._next(cursor, key, offset, page, version)
        answer["records"] = faults.transform(SYSTEM, records)
        return answer

    def _next(self, cursor: Cursor, key: str, offset: int, page: list[Row], version: str) -> str:
        following, last = offset + len(page), page[-1]
        match faults.paging(SYSTEM):
            case "stuck_cursor":
                following = offset
            case "overlapping_pages":
                again = faults.overlap(len(page))
                following, last = following - again, page[-1 - again]
        if following != offset:
            cursor.starts[following] = (last.changed_ms, last.key)
        if not key:
            alphabet = string.ascii_letters + string.digits
            key = "01g5g00000" + "".join(secrets.choice(alphabet) for _ in range(8))
            cursors = self._cursors()
            cursors[key] = cursor
            while len(cursors) > _CURSORS_KEPT:
                del cursors[next(iter(cursors))]
        verb = "queryAll" if cursor.deleted_too else "query"
        return f"/services/data/v{version}/{verb}/{key}-{following}"

    def _rows(self, cursor: Cursor, offset: int, limit: int) -> list[Row]:
        name, bounds = cursor.query.sobject.name, cursor.bounds
        if limit <= 1 and _limit(cursor.query) <= offset:
            return []
        if cursor.route == "everything":
            keys = cursor.keys[offset : offset + limit]
            return [row for key in keys if (row := self._row(name, key, cursor.deleted_too))]
        after = cursor.starts[offset]
        if cursor.route == "id":
            return self._by_id(name, after[1] if after else bounds.above_id, limit)
        rows = self._scan(name, after, limit, bounds.from_ms, cursor.deleted_too)
        return [row for row in rows if bounds.to_ms is None or row.changed_ms < bounds.to_ms]

    def _by_id(self, name: str, above: str | None, limit: int) -> list[Row]:
        sequence, rows = self.sequences[name], []
        for _, key, record in sequence.records(self._above(name, above), len(sequence)):
            rows.append(Row(0, key, record, deleted=False))
            if len(rows) == limit:
                break
        return rows

    def _above(self, name: str, above: str | None) -> int:
        """The first position whose id is greater; ids grow along the sequence."""
        sequence = self.sequences[name]
        if above is None:
            return 0
        start = bisect_left(range(len(sequence)), above, key=sequence.key)
        return start + (start < len(sequence) and sequence.key(start) == above)

    def _row(self, name: str, key: str, deleted_too: bool) -> Row | None:  # noqa: FBT001
        record = self.store.get(SYSTEM, name, key)
        at = self.store.changed_ms(SYSTEM, name, key) or 0
        if record is not None:
            return Row(at, key, record, deleted=False)
        if not deleted_too:
            return None
        for row in self._changed_rows(name, at):
            if row.key == key:
                return row
        return None

    # -- totals

    def _count(self, cursor: Cursor) -> int:
        """Matching records: base positions by bisection, corrected by the changes since."""
        name, bounds = cursor.query.sobject.name, cursor.bounds
        base = self.collections[name]
        if cursor.route == "id":
            first = self._above(name, bounds.above_id)
            sequence = self.sequences[name]
            gone = sum(
                row.deleted and (sequence.position(row.key) or 0) >= first
                for row in self._changed_rows(name)
            )
            return len(sequence) - first - gone

        def within(at: int, key: str) -> bool:
            return (
                at >= (bounds.from_ms or 0)
                and (bounds.to_ms is None or at < bounds.to_ms)
                and (bounds.after is None or (at, key) > bounds.after)
            )

        low, high = self._base_range(base, bounds)
        count = max(0, high - low)
        for row in self._changed_rows(name):
            index = base.index(row.key)
            count -= index is not None and low <= index < high
            count += within(row.changed_ms, row.key) and (cursor.deleted_too or not row.deleted)
        return count

    @staticmethod
    def _base_range(base: Collection, bounds: soql_plan.Window) -> tuple[int, int]:
        places = range(base.size)
        low = bisect_left(places, bounds.from_ms or 0, key=base.changed_ms)
        if bounds.after is not None:
            behind = bisect_left(
                places, bounds.after, key=lambda i: (base.changed_ms(i), base.key(i))
            )
            same = behind < base.size and (
                (base.changed_ms(behind), base.key(behind)) == bounds.after
            )
            low = max(low, behind + same)
        if bounds.to_ms is None:
            return low, base.size
        return low, bisect_left(places, bounds.to_ms, key=base.changed_ms)

    def _changed_rows(self, name: str, from_ms: int | None = None) -> list[Row]:
        """Every record that differs from the first day, tombstones included."""
        base, changed = self.collections[name], self.store.changed_count(SYSTEM, name)
        if not changed:
            return []
        first = base.changed_ms(base.size - 1) + 1 if from_ms is None else from_ms
        return self._scan(name, None, changed + 1, first, deleted_too=True)

    def _scan(
        self,
        name: str,
        after: Position | None,
        limit: int,
        from_ms: int | None,
        deleted_too: bool,  # noqa: FBT001
    ) -> list[Row]:
        """The store's rows; what was deleted says so."""
        rows = self.store.scan(
            SYSTEM,
            name,
            after=after,
            limit=limit,
            changed_from_ms=from_ms,
            include_deleted=deleted_too,
        )
        return [
            row._replace(doc={**row.doc, "IsDeleted": True}) if row.deleted else row for row in rows
        ]

    # -- reading everything

    def _everything(
        self, query: Query, bounds: soql_plan.Window, *, deleted_too: bool
    ) -> list[Record]:
        enough = query.offset + _limit(query) if not query.order else 2**31
        found: list[Record] = []
        for row in self._candidates(query, bounds, deleted_too=deleted_too):
            if soql_match.accepts(query.where, row.doc, self.parent):
                found.append(row.doc)
                if len(found) == enough:
                    break
        if query.order:
            found.sort(key=soql_match.sort_key(query.order, self.parent))
        return found[query.offset : query.offset + _limit(query)]

    def _candidates(self, query: Query, bounds: soql_plan.Window, *, deleted_too: bool) -> Any:
        name = query.sobject.name
        keys = soql_plan.named(query.where, "Id")
        numbers = soql_plan.named(query.where, "AccountNumber")
        if keys is None and numbers is not None and name == "Account":
            places = (self.world.customer_index(number) for number in numbers)
            bases = {self.collections[name].key(k) for k in places if k is not None}
            changed = {row.key for row in self._changed_rows(name)}
            keys = frozenset(bases | changed)
        if keys is not None:
            yield from (r for k in sorted(keys) if (r := self._row(name, k, deleted_too)))
            return
        after = bounds.after
        while rows := self._scan(name, after, _CHUNK, bounds.from_ms, deleted_too):
            for row in rows:
                if bounds.to_ms is not None and row.changed_ms >= bounds.to_ms:
                    return
                yield row
            after = rows[-1].changed_ms, rows[-1].key

    # -- rows as they are shown

    def parent(self, sobject: str, key: str) -> Record | None:
        return self.store.get(SYSTEM, sobject, key)

    def _shown(self, query: Query, record: Record, version: str) -> Record:
        shown: Record = {"attributes": attributes(query.sobject.name, record["Id"], version)}
        for column in query.columns:
            if column.relation is None:
                shown[column.field.name] = record.get(column.field.name)
            else:
                self._show_parent(shown, record, column, version)
        return shown

    def _show_parent(self, shown: Record, record: Record, column: Column, version: str) -> None:
        relation = column.relation
        if relation is None:
            return
        key = record.get(relation.name)
        parent = self.parent(relation.reference_to, key) if key else None
        if parent is None or key is None:
            shown[relation.relationship] = None
            return
        nested = shown.setdefault(
            relation.relationship, {"attributes": attributes(relation.reference_to, key, version)}
        )
        nested[column.field.name] = parent.get(column.field.name)


def _limit(query: Query) -> int:
    return 2**31 if query.limit is None else query.limit


def attributes(sobject: str, key: str, version: str) -> Record:
    return {"type": sobject, "url": f"/services/data/v{version}/sobjects/{sobject}/{key}"}
