"""One box for everything that has a key: entities, what upstreams call them, events, commands, runs.

An entity takes part by its declaration: its natural key, texts that have an index of their own (an
e-mail address, a GTIN), and its names (`catalog.labels`). Keys of source records lead to the record
that they speak about. First what is called exactly so, then what begins so, then names. Seven
statements at most, however many entities there are.

Whoever may not see an entity's rows finds none of them. Who may not see personal data finds a person
by a whole e-mail address that was told to them, and by no part of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.db import OperationalError, connection, models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from catalog import masking
from catalog.admin import entity_url, in_words
from catalog.entities import Entity, entities
from catalog.entities.derived import quoted
from catalog.labels import trigrams
from hub.console import correlation
from hub.console.seeing import seen_entities
from observability.context import HEADER, TRACEPARENT, accepted_id

LONGEST = 200
#: How many are shown of each entity and kind.
EXACT, BEGINNING, NAMED = 20, 5, 20
#: Names that match are looked at in no order, up to so many; the nearest of them are shown.
LOOKED_AT = 300
SHORTEST_BEGINNING, SHORTEST_WORD = 2, 3
#: So long names are looked for.
MILLISECONDS, QUERY_CANCELED = 250, "57014"  # PostgreSQL, Appendix A
_TRACE_ID = re.compile(r"[0-9a-f]{32}")

NAMES = """
SELECT entity, key FROM (
    SELECT entity, key, words FROM catalog_recordlabel
    WHERE words LIKE %(inside)s AND entity = ANY(%(entities)s) AND NOT personal LIMIT {looked}
) found ORDER BY length(words), entity, key LIMIT {shown}"""
NEARLY = """
SELECT entity, key FROM (
    SELECT entity, key, words FROM catalog_recordlabel
    WHERE %(word)s <%% words AND entity = ANY(%(entities)s) AND NOT personal LIMIT {looked}
) found ORDER BY word_similarity(%(word)s, words) DESC, entity, key LIMIT {shown}"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found: what it is, its key, its name, by what, and where it is shown."""

    kind: str
    key: str
    title: str
    by: str
    address: str
    gone: bool = False


@dataclass(slots=True)
class Found:
    """What was found, the surest first. `nearly`: names are alike, and none has the words."""

    exact: list[Hit] = field(default_factory=list)
    begins: list[Hit] = field(default_factory=list)
    named: list[Hit] = field(default_factory=list)
    nearly: bool = False

    @property
    def only(self) -> Hit | None:
        """The one thing that is called so."""
        return self.exact[0] if len({hit.address for hit in self.exact}) == 1 else None

    def __bool__(self) -> bool:
        return bool(self.exact or self.begins or self.named)


#: (kind, key, by what); a kind is an entity's name, or one of `OTHERS`.
Seen = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Other:
    """What has a key and is no entity: SQL of (key, by) and its page."""

    name: str
    permission: str
    page: str
    sql: str


OTHERS = {
    other.name: other
    for other in (
        Other(
            "command", "connectors.view_command", "admin:connectors_command_change",
            "SELECT id::text, operation FROM connectors_command"
            " WHERE reference = ANY(%(keys)s) OR idempotency_key = ANY(%(keys)s) LIMIT {limit}",
        ),
        Other(
            "inbox event", "connectors.view_inboxevent", "admin:connectors_inboxevent_change",
            "SELECT id::text, kind FROM connectors_inboxevent WHERE (event_id = ANY(%(keys)s) AND"
            " connection_id = ANY(ARRAY(SELECT id FROM connectors_connection))) OR id = %(number)s"
            " LIMIT {limit}",
        ),
        Other(
            "sync run", "connectors.view_syncrun", "admin:connectors_syncrun_change",
            "SELECT id::text, kind FROM connectors_syncrun WHERE id = %(number)s LIMIT {limit}",
        ),
    )
}  # fmt: skip


def page(request: HttpRequest) -> HttpResponse:
    """The page: `?q=`. One thing that is called exactly so is gone to at once, unless `all` is asked."""
    asked = request.GET.get("q", "").replace("\x00", "").strip()[:LONGEST]
    found = search(request, asked) if asked else Found()
    if found.only is not None and "all" not in request.GET:
        return HttpResponseRedirect(found.only.address)
    context = {
        **admin.site.each_context(request),
        "title": f"Find: {asked}" if asked else "Find",
        "asked": asked,
        "found": found,
        "groups": (
            ("exact", "Called exactly so", found.exact),
            ("begins", "Begins so", found.begins),
            ("named", "Named nearly so" if found.nearly else "Named so", found.named),
        ),
    }
    return TemplateResponse(request, "console/find.html", context)


def search(request: HttpRequest, asked: str) -> Found:
    """What the person may see of what is called so, begins so, or is named so."""
    names = {name: entities()[name] for name in seen_entities(request)}
    others = [one for one in OTHERS.values() if request.user.has_perm(one.permission)]
    only, key = _narrowed(names, asked)
    spellings = list(dict.fromkeys((key, key.upper(), key.lower())))
    with connection.cursor() as cursor:
        exact = _exact(cursor, only or names, [] if only else others, spellings)
        sure = {(kind, found) for kind, found, _ in exact}
        begins: list[Seen] = []
        if len(key) >= SHORTEST_BEGINNING:
            begins = [s for s in _begins(cursor, only or names, spellings) if s[:2] not in sure]
        named, nearly = _named(cursor, only or names, key, alike=not exact and not begins)
        named = [s for s in named if s[:2] not in sure]
        shown = _rows(cursor, names, [*exact, *begins, *named])
    known = [_correlation(request, asked)] if not only else []
    return Found(
        exact=[*filter(None, known), *_hits(exact, shown)],
        begins=_hits(begins, shown),
        named=_hits(named, shown),
        nearly=nearly,
    )


def _narrowed(names: Mapping[str, type[Entity]], asked: str) -> tuple[dict[str, type[Entity]], str]:
    """`product:P-1`, as cache tags and logs write it, is asked of products alone."""
    name, colon, key = asked.partition(":")
    if colon and key.strip() and name.strip() in names:
        return {name.strip(): names[name.strip()]}, key.strip()
    return {}, asked


def _exact(
    cursor: Any, names: Mapping[str, type[Entity]], others: Iterable[Other], keys: list[str]
) -> list[Seen]:
    parts = [part for name, cls in names.items() for part in _by_key(name, cls)]
    parts.append(
        "SELECT s.entity, r.entity_key, s.system || ' ' || s.stream || ' record'"
        " FROM catalog_sourcerecord r JOIN catalog_source s ON s.id = r.source_id"
        " WHERE r.source_id = ANY(ARRAY(SELECT id FROM catalog_source))"
        f" AND r.record_key = ANY(%(keys)s) LIMIT {EXACT}"
    )
    parts.append(
        "SELECT entity, root, 'merged from ' || alias FROM catalog_sameas"
        f" WHERE entity = ANY(%(entities)s) AND alias = ANY(%(keys)s) AND ended_at IS NULL LIMIT {EXACT}"
    )
    parts += [f"SELECT '{one.name}', o.* FROM ({one.sql.format(limit=EXACT)}) o" for one in others]
    number = int(keys[0]) if keys[0].isascii() and keys[0].isdigit() and len(keys[0]) < 19 else None
    return _distinct(_asked(cursor, parts, keys=keys, number=number, entities=list(names)), names)


def _by_key(name: str, cls: type[Entity]) -> Iterator[str]:
    """SQL of the rows of an entity that are called so: by key, or by a text with an index."""
    table, called = quoted(cls._meta.db_table), cls.declaration.key
    yield f"SELECT '{name}', key, '{called}' FROM {table} WHERE key = ANY(%(keys)s)"
    alone = {
        index.fields[0] for index in cls._meta.indexes if len(index.fields) == 1 and not index.condition
    }  # fmt: skip
    for column in cls._meta.concrete_fields:
        if column.name in alone and isinstance(column, models.TextField):
            told = str(column.verbose_name)
            where = f"{quoted(str(column.column))} = ANY(%(keys)s) AND deleted_at IS NULL"
            yield f"SELECT '{name}', key, '{told}' FROM {table} WHERE {where} LIMIT {EXACT}"


def _begins(cursor: Any, names: Mapping[str, type[Entity]], keys: list[str]) -> list[Seen]:
    """By the beginning of a key, ours or an upstream's; through the indexes of keys."""
    begun = " OR ".join(f"key LIKE %(begins{n})s" for n in range(len(keys)))
    parts = [
        f"SELECT '{name}', key, 'begins so' FROM {quoted(cls._meta.db_table)}"
        f" WHERE ({begun}) AND deleted_at IS NULL ORDER BY key LIMIT {BEGINNING}"
        for name, cls in names.items()
    ]
    parts.append(
        "SELECT s.entity, r.entity_key, s.system || ' ' || s.stream || ' record ' || r.record_key"
        " FROM catalog_source s CROSS JOIN LATERAL (SELECT entity_key, record_key"
        " FROM catalog_sourcerecord r WHERE r.source_id = s.id AND"
        f" ({begun.replace('key LIKE', 'record_key LIKE')}) AND r.deleted_at IS NULL"
        f" ORDER BY record_key LIMIT {BEGINNING}) r WHERE s.entity = ANY(%(entities)s)"
    )
    begins = {f"begins{n}": f"{_literal(key)}%" for n, key in enumerate(keys)}
    return _distinct(_asked(cursor, parts, entities=list(names), **begins), names)


def _named(
    cursor: Any, names: Mapping[str, type[Entity]], text: str, *, alike: bool
) -> tuple[list[Seen], bool]:
    word = " ".join(text.lower().split())
    if len(word) < SHORTEST_WORD:
        return [], False
    given = {"inside": f"%{_literal(word)}%", "word": word, "entities": list(names)}
    for nearly, statement in enumerate((NAMES, NEARLY)):
        if nearly and not (alike and trigrams()):
            break
        asked = statement.replace(" AND NOT personal", "") if masking.sees() else statement
        if rows := _soon(cursor, asked.format(looked=LOOKED_AT, shown=NAMED), given):
            return [(entity, key, "name") for entity, key in rows], bool(nearly)
    return [], False


def _soon(cursor: Any, statement: str, given: Mapping[str, Any]) -> list[Any]:
    """Rows of a statement that is worth no waiting: where all names are alike, none is looked for."""
    try:
        with transaction.atomic():
            cursor.execute(f"SET LOCAL statement_timeout = {MILLISECONDS}; {statement}", given)
            cursor.nextset()
            rows: list[Any] = cursor.fetchall()
            transaction.set_rollback(True)  # the limit ends with it
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        return []
    return rows


def _rows(
    cursor: Any, names: Mapping[str, type[Entity]], seen: Iterable[Seen]
) -> dict[tuple[str, str], tuple[str, bool]]:
    """{(entity, key): (its labels in words, whether it is buried)} of what is there."""
    wanted: dict[str, set[str]] = {}
    for kind, key, _ in seen:
        if kind in names:
            wanted.setdefault(kind, set()).add(key)
    if not wanted:
        return {}
    parts = [
        f"SELECT '{name}', key, deleted_at IS NOT NULL, jsonb_build_array({_labels(names[name])})"
        f" FROM {quoted(names[name]._meta.db_table)} WHERE key = ANY(%({name})s)"
        for name in wanted
    ]
    rows = _asked(cursor, parts, **{name: sorted(keys) for name, keys in wanted.items()})
    return {
        (name, key): (_title(names[name], key, json.loads(labels)), gone)
        for name, key, gone, labels in rows
    }


def _labels(cls: type[Entity]) -> str:
    fields = (cls._meta.get_field(name) for name in cls.declaration.labels)
    return ", ".join(quoted(str(f.column)) for f in fields if isinstance(f, models.Field))


def _title(cls: type[Entity], key: str, labels: list[Any]) -> str:
    declared = cls.declaration
    said = (
        masking.shown(declared.name, name, value, key)
        for name, value in zip(declared.labels, labels, strict=True)
    )
    return " · ".join(filter(None, (in_words(one) for one in said if one != masking.MASK)))


def _hits(seen: Iterable[Seen], shown: Mapping[tuple[str, str], tuple[str, bool]]) -> list[Hit]:
    found = []
    for kind, key, by in seen:
        if kind in OTHERS:
            found.append(Hit(kind, f"#{key}", by, "id", reverse(OTHERS[kind].page, args=[key])))
        elif (kind, key) in shown:
            title, gone = shown[kind, key]
            found.append(Hit(kind, key, title, by, entity_url(kind, key), gone))
    return found


def _correlation(request: HttpRequest, asked: str) -> Hit | None:
    """An id under which something happened; what has the form of one has its page in any case."""
    found = accepted_id({TRACEPARENT: asked}) or accepted_id({HEADER: asked})
    if found is None:
        return None
    formed = found != asked or _TRACE_ID.fullmatch(asked)
    if not (correlation.may_look(request) if formed else correlation.known(request, found)):
        return None
    address = reverse("correlation", args=[found])
    return Hit("correlation id", found, "everything that happened under it", "id", address)


def _asked(cursor: Any, parts: Iterable[str], **given: Any) -> list[Any]:
    cursor.execute(" UNION ALL ".join(f"({part})" for part in parts), given)
    rows: list[Any] = cursor.fetchall()
    return rows


def _distinct(rows: Iterable[Seen], names: Mapping[str, type[Entity]]) -> list[Seen]:
    """Each thing once, by what was looked at first; what the person may not see is left out."""
    found: dict[tuple[str, str], Seen] = {}
    for row in rows:
        if row[0] in names or row[0] in OTHERS:
            found.setdefault((row[0], row[1]), (row[0], row[1], row[2]))
    return list(found.values())


def _literal(text: str) -> str:
    """Of a pattern, what stands for itself."""
    return re.sub(r"([\\%_])", r"\\\1", text)
