"""Which member that appeared carries the values of one that vanished: compared record by record.

A pair is a record as it came, without the old member, and the same record as it is stored, with
it. What came is in quarantine, or, where the contract let it pass, in the store, and what was
there before among the evidence of the change. Agreement of constants proves nothing: a member is
proposed only if enough different values agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from django.db import connection

from connectors.drift.breaches import Broken, document_of, value_at
from connectors.models import MemberChange, Stream

#: Pairs that are compared; two hundred thousand documents a second.
MOST = 20_000
#: Records in which both members hold something, and different values among those that agree.
FEWEST_RECORDS, FEWEST_VALUES = 3, 3
#: The share of records in which the values are equal.
PROPOSED, CONSIDERED = 0.9, 0.05

PAIRS = """
SELECT r.record_key, q.payload, r.payload::text
FROM connectors_quarantinedrecord q
JOIN catalog_sourcerecord r ON r.source_id = %s AND r.record_key = q.record_key
WHERE q.stream_id = %s ORDER BY q.id DESC LIMIT %s"""

STORED = """
SELECT record_key, payload::text FROM catalog_sourcerecord
WHERE source_id = %s AND record_key = ANY(%s)"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that appeared, as the former one. `share` of `compared` records hold its value."""

    path: str
    member: str
    equal: int
    compared: int
    values: int
    text: str

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.equal / self.compared if self.compared else 0.0

    @property
    def sure(self) -> bool:
        """Whether it is to be proposed."""
        return (
            self.compared >= FEWEST_RECORDS
            and self.values >= FEWEST_VALUES
            and self.share >= PROPOSED
        )


def told(stream: Stream, source: int, path: str, records: Sequence[Broken]) -> list[dict[str, Any]]:
    """The proposals as they are kept with an incident."""
    return [{**asdict(one), "share": one.share} for one in propose(stream, source, path, records)]


def propose(stream: Stream, source: int, path: str, records: Sequence[Broken]) -> list[Candidate]:
    """The members that are to be proposed, the likeliest first."""
    return [one for one in candidates(stream, source, path, records) if one.sure]


def candidates(
    stream: Stream, source: int, path: str, records: Sequence[Broken] = ()
) -> list[Candidate]:
    """Every member that appeared beside the vanished one, with its agreement.

    `records` are broken ones that are not in quarantine yet.
    """
    beside, _, name = path.rpartition(".")
    prefix = f"{beside}." if beside else ""
    equal, compared = Counter[str](), Counter[str]()
    values: dict[str, set[bytes]] = defaultdict(set)
    changes = MemberChange.objects.filter(stream=stream, change=MemberChange.Change.APPEARED)
    new = set(changes.values_list("path", flat=True))
    for after, before, former in _pairs(stream, source, path, records):
        for other in (
            _appeared(after, before, beside, name) if before else _among(after, new, prefix)
        ):
            value = value_at(after, prefix + other)
            if _empty(value) and _empty(former):
                continue
            compared[other] += 1
            if value == former:
                equal[other] += 1
                values[other].add(_key(value))
    found = [
        Candidate(
            path, other, equal[other], count, len(values[other]),
            f"`{other}` equals the former `{name}` in {100 * equal[other] / count:.1f} % of"
            f" {count:,} records",
        )
        for other, count in compared.items()
        if equal[other] / count >= CONSIDERED
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.sure, one.share, one.values), reverse=True)


def _pairs(
    stream: Stream, source: int, path: str, records: Sequence[Broken]
) -> Iterator[tuple[Any, Any, Any]]:
    """(the record as it came, as it was or None, the former value)."""
    change = MemberChange.objects.filter(
        stream=stream, path=path, change=MemberChange.Change.VANISHED
    ).first()
    evidence = change.values if change else {}
    with connection.cursor() as cursor:
        if records:
            cursor.execute(STORED, (source, [one.record_key for one in records[:MOST]]))
            stored = dict(cursor.fetchall())
            came = [(r.payload, stored[r.record_key]) for r in records if r.record_key in stored]
        else:
            cursor.execute(PAIRS, (source, stream.pk, MOST))
            came = [(payload, before) for _, payload, before in cursor.fetchall()]
        cursor.execute(STORED, (source, list(evidence)))
        passed = cursor.fetchall()
    for payload, stored in came:
        after, before = document_of(payload), document_of(stored)
        former = value_at(before, path)
        if _empty(value_at(after, path)):
            yield after, before, former
    for key, payload in passed:
        after = document_of(payload)
        if _empty(value_at(after, path)):
            yield after, None, evidence[key]


def _appeared(after: Any, before: Any, beside: str, name: str) -> Iterable[str]:
    """Names that stand where the vanished one stood, and did not before."""
    now = _names(value_at(after, beside) if beside else after)
    then = _names(value_at(before, beside) if beside else before)
    return now - then - {name}


def _among(after: Any, new: Iterable[str], prefix: str) -> Iterable[str]:
    """The same where it is not known any more what was there before: of those seen to appear."""
    there = _names(value_at(after, prefix[:-1]) if prefix else after)
    return there & {path.removeprefix(prefix) for path in new if path.startswith(prefix)}


def _names(owner: Any) -> set[str]:
    if isinstance(owner, list):
        return set().union(*map(_names, owner)) if owner else set()
    return set(owner) if isinstance(owner, dict) else set()


def _empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(_empty(one) for one in value)
    return value is None


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value)
