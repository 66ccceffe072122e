"""A page as received becomes sentences for the catalogue: hash, contract, mapping.

Most records of most pages say nothing new. So the records are hashed as they came and compared
with what is stored before anything is validated; what is left is validated and mapped, and a
record that breaks its contract is set aside while the rest of the page goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from pydantic import ValidationError

from catalog.source import source_id
from catalog.stage import INDEX_PLANS, Contribution, Told, payload_hash, version_of
from connectors.runtime.declare import Child, StreamSpec
from connectors.runtime.reading import Reader

#: Known means: stored, alive, and with this very payload. Keys come as one JSON array and hashes as
#: one string of bytes: a thousand parameters in two, which costs the driver next to nothing.
CHANGED = """
SELECT p.place, r.id IS NOT NULL
FROM json_array_elements_text(%s::json) WITH ORDINALITY AS p (key, place)
LEFT JOIN catalog_sourcerecord r ON r.source_id = %s AND r.record_key = p.key
WHERE r.id IS NULL OR r.deleted_at IS NOT NULL
   OR r.payload_hash <> substring(%s::bytea FROM (p.place::int - 1) * 16 + 1 FOR 16)"""

_JSON = msgspec.json.encode

# What a conversion in a mapping may raise about a value; anything else is a defect of ours.
UNMAPPABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be applied: where it breaks its contract, and how."""

    record_key: str
    payload: bytes
    path: str
    reason: str


@dataclass(slots=True)
class Prepared:
    """What one page comes to. `keys` names every record that was on it, in order."""

    keys: list[str]
    contributions: list[Contribution] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    parents: dict[str, int] = field(default_factory=dict)
    #: Records that were stored and are none of our business any more.
    gone: list[str] = field(default_factory=list)
    newest: datetime | None = None
    unchanged: int = 0


class Preparer:
    """Prepares the pages of one stream; holds the sources' ids and the compiled readers."""

    def __init__(self, system: str, spec: StreamSpec) -> None:
        self.spec = spec
        self.source = source_id(system, spec.slug, spec.entity)
        self.child_sources = {
            child.slug: source_id(system, child.slug, child.entity) for child in spec.children
        }
        self._key = key_reader(spec.record_key)
        self._version = spec.version.reader() if spec.version else None
        self._reader = Reader(spec.contract)

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities that the stream's records and their children speak about."""
        return tuple(dict.fromkeys((self.spec.entity, *(c.entity for c in self.spec.children))))

    def page(self, records: Sequence[Any], read_version: int) -> Prepared:
        """Prepare one page. `read_version` orders records that carry no version of their own."""
        prepared, hashes = Prepared([]), []
        for raw in records:
            digest = payload_hash(raw)
            prepared.keys.append(self._key_of(raw, digest))
            hashes.append(digest)
        news: dict[str, tuple[Any, bytes, bool]] = {}
        for place, known in self._changed(prepared.keys, hashes):
            news[prepared.keys[place]] = (records[place], hashes[place], known)
        prepared.unchanged = len(records) - len(news)
        seen: dict[tuple[int, str], Contribution] = {}
        read = self._reader.page([raw for raw, _, _ in news.values()])
        for place, (key, (raw, digest, known)) in enumerate(news.items()):
            record = read and read[place]
            said = self.judged(
                key, bytes(raw), digest, read_version, prepared, known=known, record=record
            )
            for sentence in said or ():
                seen[(sentence.source_id, sentence.record_key)] = sentence
        prepared.contributions = list(seen.values())
        return prepared

    def _key_of(self, raw: Any, digest: bytes) -> str:
        try:
            key = self._key(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            key = ""
        # PostgreSQL's text holds no NUL. What cannot be named by its key is named by its content,
        # so that it can be held and looked at.
        return key if key and "\x00" not in key else f"without-key-{digest.hex()}"

    def _changed(self, keys: list[str], hashes: list[bytes]) -> Iterable[tuple[int, bool]]:
        """(index, whether the record is stored already) of those that are news."""
        if not keys:
            return []
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INDEX_PLANS)
            cursor.execute(CHANGED, (_JSON(keys).decode(), self.source, b"".join(hashes)))
            return [(place - 1, known) for place, known in cursor.fetchall()]

    def judged(
        self,
        key: str,
        raw: bytes,
        digest: bytes,
        read_version: int,
        prepared: Prepared,
        *,
        known: bool,
        told: Told | None = None,
        record: Any = None,
    ) -> list[Contribution] | None:
        """See `sentences`; None where the record is broken, which is noted in `prepared`."""
        try:
            return self.sentences(
                key, raw, digest, read_version, prepared, known=known, told=told, record=record
            )
        except ValidationError as error:
            prepared.broken.append(Broken(key, raw, *first_breach(error)))
        except UNMAPPABLE as error:
            prepared.broken.append(Broken(key, raw, "", str(error)))
        return None

    def sentences(
        self,
        key: str,
        raw: bytes,
        digest: bytes,
        read_version: int,
        prepared: Prepared,
        *,
        known: bool,
        told: Told | None = None,
        record: Any = None,
    ) -> list[Contribution]:
        """What one record says, its children included, ready to be copied.

        `record` is the raw one as its contract reads it, where that was done already.

        Notes in `prepared` what the record is a parent of, that it is gone, how new it is.
        Raises pydantic.ValidationError, or one of `UNMAPPABLE`.
        """
        spec = self.spec
        if record is None:
            record = self._reader.one(raw)
        entity_key = spec.entity_key(record)
        if entity_key is None:
            if known:
                prepared.gone.append(key)
            return []
        moment = self._version(record) if self._version else None
        changed_at = moment if isinstance(moment, datetime) else None
        version = version_of(moment) if isinstance(moment, datetime) else (moment or read_version)
        deleted = bool(spec.deleted and spec.deleted(record))
        said = [
            Contribution(
                self.source,
                key,
                entity_key,
                raw,
                digest,
                spec.mapped(record),
                version,
                changed_at,
                deleted,
                told,
            )
        ]
        if not deleted:
            for child in spec.children:
                said.extend(self._children(child, key, record, raw, said[0]))
        for sentence in said:
            sentence.encode()
        if spec.children and known:
            prepared.parents[key] = version
        if changed_at and (prepared.newest is None or changed_at > prepared.newest):
            prepared.newest = changed_at
        return said

    def _children(
        self, child: Child, parent_key: str, parent: Any, raw: bytes, said: Contribution
    ) -> Iterable[Contribution]:
        shared = {
            name: value
            for name, read in child.parent_readers
            if (value := read(parent)) is not None
        }
        slices = _nested(raw, child.path)
        for record, piece in zip(_walk(parent, child.attribute) or (), slices, strict=True):
            payload = bytes(piece)
            yield Contribution(
                self.child_sources[child.slug],
                f"{parent_key}/{child.record_key(record)}",
                child.entity_key(parent, record),
                payload,
                payload_hash(payload),
                {**shared, **child.mapped(record)},
                said.version,
                said.changed_at,
                told=said.told,
            )


def key_reader(members: Sequence[str]) -> Callable[[Any], str]:
    """A function from a record's raw JSON to its key, reading the key's members alone.

    Raises msgspec.ValidationError where a member is missing.
    """
    decoders = [msgspec.json.Decoder(_holder(member.split("."))) for member in members]
    depths = [member.count(".") + 1 for member in members]
    if len(members) == 1 and depths[0] == 1:
        decode = decoders[0].decode
        return lambda raw: str(decode(raw).value)

    def read(raw: Any) -> str:
        parts = []
        for decoder, depth in zip(decoders, depths, strict=True):
            value = decoder.decode(raw)
            for _ in range(depth):
                value = value.value
            parts.append(str(value))
        return "/".join(parts)

    return read


def _holder(steps: Sequence[str]) -> Any:
    """A msgspec type that reads one member (by path) of a JSON object and skips the others."""
    inner: Any = str | int
    for step in reversed(steps):
        inner = msgspec.defstruct("Holder", [("value", inner)], rename={"value": step})
    return inner


def _nested(raw: bytes, path: str) -> Sequence[msgspec.Raw]:
    """The raw slices of the array at `path`."""
    piece: Any = raw
    for step in path.split("."):
        piece = msgspec.json.decode(piece, type=dict[str, msgspec.Raw]).get(step)
        if piece is None or bytes(piece) == b"null":
            return []
    return msgspec.json.decode(piece, type=list[msgspec.Raw])


def _walk(record: Any, attribute: str) -> Any:
    for step in attribute.split("."):
        record = None if record is None else getattr(record, step)
    return record


def first_breach(error: ValidationError) -> tuple[str, str]:
    """(path, reason) for a person: the first breach, and how many more there are."""
    details = error.errors(include_url=False, include_context=False, include_input=True)
    first = details[0]
    path = ".".join(str(step) for step in first["loc"])
    reason = first["msg"]
    if first["type"] != "missing" and isinstance(first.get("input"), (str, int, float, bool)):
        reason += f" (came: {str(first['input'])[:80]!r})"
    if len(details) > 1:
        reason += f"; and {len(details) - 1} more: " + ", ".join(
            ".".join(str(step) for step in d["loc"]) for d in details[1:6]
        )
    return path, reason
