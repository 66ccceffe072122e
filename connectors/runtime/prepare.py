"""A page as received becomes sentences for the catalogue: hash, contract, mapping.

Most records of most pages say nothing new. So the records are hashed as they came and compared
with what is stored before anything is validated; what is left is validated and mapped, and a
record that breaks its contract is set aside while the rest of the page goes on. What else may
happen to it is its stream's drift policy (`connectors.drift`), which is asked only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from pydantic import ValidationError

from catalog.source import source_id
from catalog.stage import Contribution, Told, payload_hash, version_of
from catalog.staging import INDEX_PLANS
from connectors.drift.breaches import MISSING, UNKNOWN, Breach, Broken, breaches_of, first_breach
from connectors.drift.lenient import left_out, lenient, without
from connectors.drift.members import Look, Watch
from connectors.drift.renaming import renamed, upstream_path
from connectors.drift.rules import BREACH_SECONDS, NONE, Rules, RulesOf
from connectors.models import DriftPolicy
from connectors.runtime.declare import Child, StreamSpec
from connectors.runtime.pieces import key_reader, nested, walk
from connectors.runtime.reading import Reader

#: Known means: stored, alive, and with this very payload. Keys come as one JSON array and hashes as
#: one string of bytes: a thousand parameters in two, which costs the driver next to nothing.
CHANGED = """
SELECT p.place, r.id IS NOT NULL
FROM json_array_elements_text(%s::json) WITH ORDINALITY AS p (key, place)
LEFT JOIN catalog_sourcerecord r ON r.source_id = %s AND r.record_key = p.key
WHERE r.id IS NULL OR r.deleted_at IS NOT NULL
   OR r.payload_hash <> substring(%s::bytea FROM (p.place::int - 1) * 16 + 1 FOR 16)"""

#: What a stored record said of its fields, which a policy may have to keep.
SAID = """
SELECT source_id, record_key, fields::text FROM catalog_sourcerecord
WHERE source_id = ANY(%s) AND record_key = ANY(%s)"""

_JSON = msgspec.json.encode
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
ACTION = DriftPolicy.Action

# What a conversion in a mapping may raise about a value; anything else is a defect of ours.
UNMAPPABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


@dataclass(slots=True)
class Prepared:
    """What one page comes to. `keys` names every record that was on it, in order."""

    keys: list[str]
    contributions: list[Contribution] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    #: Records that were applied in spite of their breaches, as a policy wants it.
    tolerated: list[Broken] = field(default_factory=list)
    #: Names that came and went, where some were looked at.
    look: Look | None = None
    #: Members that were likely renamed, though the contract lets them be absent.
    renames: Mapping[str, str] = field(default_factory=dict)
    parents: dict[str, int] = field(default_factory=dict)
    #: Records that were stored and are none of our business any more.
    gone: list[str] = field(default_factory=list)
    newest: datetime | None = None
    unchanged: int = 0

    @property
    def stops(self) -> Broken | None:
        """The first record that stops the stream."""
        return next((one for one in self.broken if one.action == ACTION.STOP), None)


@dataclass(frozen=True, slots=True)
class News:
    """A record as received. `version` orders it where it has no version of its own."""

    key: str
    raw: bytes
    digest: bytes
    version: int
    known: bool
    told: Told | None


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
        self._rules_of, self._rules = RulesOf(system, spec.slug), NONE
        self.watch = Watch(spec, self.source)

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
        if not news:
            return prepared
        aliases = self.rules().aliases
        raws = [raw for raw, _, _ in news.values()]
        if aliases:
            raws = [renamed(raw, aliases) for raw in raws]
        lost = self._looked_at(dict(zip(news, raws, strict=True)), prepared)
        seen: dict[tuple[int, str], Contribution] = {}
        read = self._reader.page(raws)
        for place, (key, (raw, digest, known)) in enumerate(news.items()):
            record = read and read[place]
            said = self.judged(
                key, bytes(raw), digest, read_version, prepared,
                known=known, record=record, lost=lost.get(key, ()),
            )  # fmt: skip
            for sentence in said or ():
                seen[(sentence.source_id, sentence.record_key)] = sentence
        prepared.contributions = list(seen.values())
        return prepared

    def rules(self) -> Rules:
        """What is decided about the stream, as it was a moment ago."""
        self._rules = self._rules_of.now()
        return self._rules

    def _looked_at(
        self, records: Mapping[str, bytes], prepared: Prepared
    ) -> Mapping[str, tuple[str, ...]]:
        """By key: members that a record has lost to a rename which its contract would let pass."""
        prepared.look = self.watch.look(list(records.items()), self._rules.aliases)
        if prepared.look is not None:
            prepared.renames = prepared.look.renames(self.watch.optional)
            self._stopped_by(prepared.look, prepared)
        return self._lost(records, prepared.renames)

    def _stopped_by(self, look: Look, prepared: Prepared) -> None:
        """A member that nobody knows is accepted, unless a policy wants the stream stopped."""
        for path, new in look.appeared.items():
            if self._rules.action(path, UNKNOWN) == ACTION.STOP:
                breach = Breach(path, UNKNOWN, "the contract does not know it")
                payload = msgspec.json.encode(new.values[new.first])
                prepared.broken.append(
                    Broken(new.first, payload, path, breach.reason, (breach,), ACTION.STOP)
                )

    def _lost(
        self, records: Mapping[str, bytes], renames: Iterable[str]
    ) -> Mapping[str, tuple[str, ...]]:
        if not (self.rules().vanished or renames):
            return {}
        # Whoever accepted an alias may have done so a moment ago.
        self._rules = self._rules_of.anew()
        gone = {*self._rules.vanished, *renames} - self._rules.aliases.keys()
        shown = {key: renamed(raw, self._rules.aliases) for key, raw in records.items()}
        return self.watch.lost(shown, gone)

    def _key_of(self, raw: Any, digest: bytes) -> str:
        try:
            key = self._key(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            key = self._renamed_key(raw)
        # PostgreSQL's text holds no NUL. What cannot be named by its key is named by its content,
        # so that it can be held and looked at.
        return key if key and "\x00" not in key else f"without-key-{digest.hex()}"

    def _renamed_key(self, raw: Any) -> str:
        """The key of a record whose key's members have other names now, where that is accepted."""
        aliases = self.rules().aliases
        try:
            return self._key(renamed(raw, aliases)) if aliases else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

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
        lost: tuple[str, ...] | None = None,
    ) -> list[Contribution] | None:
        """What one record says, its children included, ready to be copied.

        `record` is the raw one as its contract reads it, where that was done already; `lost` the
        members that it has lost to a rename, where somebody has looked. Notes in `prepared` what
        the record is a parent of, that it is gone, how new it is; and that it is broken, or was
        tolerated. None where it is broken.
        """
        news = News(key, raw, digest, read_version, known, told)
        try:
            if lost is None:
                lost = self._lost({key: raw}, ()).get(key, ())
            if lost:
                said = self._departed(news, "", tuple(map(_gone, lost)), prepared)
            else:
                said = self._strictly(news, record, prepared)
        except ValidationError as error:
            prepared.broken.append(Broken(key, raw, *first_breach(error), breaches_of(error)))
        except UNMAPPABLE as error:
            prepared.broken.append(Broken(key, raw, "", str(error) or type(error).__name__))
        else:
            return said
        return None

    def _strictly(self, news: News, record: Any, prepared: Prepared) -> list[Contribution] | None:
        """By the contract; by the stream's policies where the record departs from it."""
        try:
            if record is None:
                record = self._reader.one(renamed(news.raw, self.rules().aliases))
        except ValidationError as error:
            before = self._rules
            self._rules = self._rules_of.anew(BREACH_SECONDS)
            if self._rules.aliases != before.aliases:
                return self._strictly(news, None, prepared)
            return self._departed(news, first_breach(error)[1], breaches_of(error), prepared)
        return self._sentences(self.spec, record, record, news, prepared)

    def _departed(
        self, news: News, reason: str, breaches: tuple[Breach, ...], prepared: Prepared
    ) -> list[Contribution] | None:
        """What the policies make of a record with breaches. Raises what reading it raises."""
        rules = self._rules
        action = rules.strictest(breaches)
        broken = Broken(
            news.key, news.raw, breaches[0].path, reason or breaches[0].reason, breaches, action
        )
        if action in (ACTION.QUARANTINE, ACTION.STOP):
            prepared.broken.append(broken)
            return None
        paths = frozenset(one.path for one in breaches)
        by_action = {one.path: rules.action(one.path, one.kind) for one in breaches}
        dropped = frozenset(path for path in paths if by_action[path] == ACTION.DROP)
        unsaid = dropped | {one.path for one in breaches if one.kind == MISSING}
        raw = renamed(news.raw, rules.aliases)
        record = lenient(self.spec.contract, paths, as_it_came=True).model_validate_json(raw)
        keyed = lenient(self.spec.contract, paths, as_it_came=False).model_validate_json(raw)
        said = self._sentences(without(self.spec, unsaid), record, keyed, news, prepared)
        self._keep_former(said, left_out(self.spec, dropped) if dropped else {})
        prepared.tolerated.append(broken)
        return said

    def _keep_former(
        self, said: Sequence[Contribution], dropped: Mapping[str, frozenset[str]]
    ) -> None:
        """Let a record say of the fields that were dropped what it said before."""
        sources = {self.source: self.spec.slug, **{i: s for s, i in self.child_sources.items()}}
        wanted = {i: names for i, slug in sources.items() if (names := dropped.get(slug))}
        if not wanted or not said:
            return
        with connection.cursor() as cursor:
            cursor.execute(SAID, (list(wanted), [one.record_key for one in said]))
            before = {(of, key): _FIELDS(fields) for of, key, fields in cursor.fetchall()}
        for one in said:
            former = before.get((one.source_id, one.record_key), {})
            one.fields |= {n: former[n] for n in wanted.get(one.source_id, ()) if n in former}
            one.line = b""
            one.encode()

    def _sentences(
        self, spec: StreamSpec, record: Any, keyed: Any, news: News, prepared: Prepared
    ) -> list[Contribution]:
        """`record` is what values are read from, `keyed` what keys, version and deletion are.

        Raises one of `UNMAPPABLE`.
        """
        key, known = news.key, news.known
        entity_key = spec.entity_key(keyed)
        if entity_key is None:
            if known:
                prepared.gone.append(key)
            return []
        moment = self._version(keyed) if self._version else None
        changed_at = moment if isinstance(moment, datetime) else None
        version = version_of(moment) if isinstance(moment, datetime) else (moment or news.version)
        deleted = bool(spec.deleted and spec.deleted(keyed))
        said = [
            Contribution(
                self.source,
                key,
                entity_key,
                news.raw,
                news.digest,
                spec.mapped(record),
                version,
                changed_at,
                deleted,
                news.told,
            )
        ]
        if not deleted:
            for child in spec.children:
                said.extend(self._children(child, record, keyed, news, said[0]))
        for sentence in said:
            sentence.encode()
        if spec.children and known:
            prepared.parents[key] = version
        if changed_at and (prepared.newest is None or changed_at > prepared.newest):
            prepared.newest = changed_at
        return said

    def _children(
        self, child: Child, parent: Any, keyed: Any, news: News, said: Contribution
    ) -> Iterable[Contribution]:
        shared = {
            name: value
            for name, read in child.parent_readers
            if (value := read(parent)) is not None
        }
        path = upstream_path(child.path, self._rules.aliases) if self._rules.aliases else child.path
        slices = nested(news.raw, path)
        records, keys = walk(parent, child.attribute) or (), walk(keyed, child.attribute) or ()
        for record, named, piece in zip(records, keys, slices, strict=True):
            payload = bytes(piece)
            yield Contribution(
                self.child_sources[child.slug],
                f"{news.key}/{child.record_key(named)}",
                child.entity_key(keyed, named),
                payload,
                payload_hash(payload),
                {**shared, **child.mapped(record)},
                said.version,
                said.changed_at,
                told=said.told,
            )


def _gone(path: str) -> Breach:
    return Breach(path, MISSING, "it was there before; another member has appeared beside it")
