"""What a reader may see and do: the scopes that an API key or a token carries.

    read:product            records and lists of an entity; `read:*`: of all
    read:customer.country   of an entity only this field; several add up
    trace:product           its provenance, explanations and history; `trace:*`: of all
    write:order             operations that make or change such records; `write:*`: all of them
    commands                what became of commands that others gave (one's own need no scope)
    introspect              GraphQL's introspection
    metrics                 what was measured, for Prometheus (`/metrics`)
    class:personal          fields of this class, in the entities that may be read

An entity's parts and what it refers to are entities of their own, with scopes of their own; what
the hub makes of a part's fields (whether there is stock, the lowest price) is shown to those who may
see these. Public fields need no class. Where a field may not be seen, null stands; what was not granted
beside that is refused with `forbidden`, and the refusal names the scopes that would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from catalog.entities import GUARDED_CLASSES, Entity, behind, derived_fields, entities, value_fields
from catalog.entities.base import KEPT_BY_MERGE
from hub.problems import BadInputError, ForbiddenError

ALL = "*"
READ, TRACE, WRITE = "read", "trace", "write"
INTROSPECT, COMMANDS, METRICS, CLASS = "introspect", "commands", "metrics", "class"
PUBLIC = "public"
#: Every right. A list, because that is how keys keep it.
EVERYTHING = [
    f"{READ}:{ALL}", f"{TRACE}:{ALL}", f"{WRITE}:{ALL}", INTROSPECT, COMMANDS, METRICS,
    *(f"{CLASS}:{name}" for name in GUARDED_CLASSES),
]  # fmt: skip
_SCOPE = re.compile(
    rf"(?P<verb>{READ}|{TRACE}|{WRITE}):(?P<entity>\*|[a-z0-9_]+)(?:\.(?P<field>[a-z0-9_]+))?"
    rf"|(?P<lone>{INTROSPECT}|{COMMANDS}|{METRICS})|{CLASS}:(?P<class>{'|'.join(GUARDED_CLASSES)})"
)


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which fields of the records that are read are shown. `name` tells it from any other.

    `public`, `public+personal`, `public customer.country,order`: plans and cached answers are kept
    by it. `fields` holds entities that are not read whole, and names what is; mostly nothing.
    """

    name: str
    classes: frozenset[str]
    fields: Mapping[str, frozenset[str]]

    def sees(self, cls: type[Entity], field: str) -> bool:
        """Whether the value is shown, and so all that it is made of."""
        return all(self._sees(owner, name) for owner, name in behind(cls, field))

    def _sees(self, cls: type[Entity], field: str) -> bool:
        guarded = cls.declaration.guarded.get(field)
        if guarded is not None and guarded.field_class not in self.classes:
            return False
        only = self.fields.get(cls.declaration.name)
        return only is None or field in only or field in KEPT_BY_MERGE

    def sees_all(self, cls: type[Entity]) -> bool:
        """Whether nothing of the entity is left out."""
        return not self.hidden(cls)

    def hidden(self, cls: type[Entity]) -> tuple[str, ...]:
        """The fields that are not shown, in declaration order."""
        return tuple(f.name for f in value_fields(cls) if not self.sees(cls, f.name))

    def must_not_refuse(self, cls: type[Entity], field: str) -> None:
        """Raises ForbiddenError where a field that is not shown is declared as refused."""
        guarded = cls.declaration.guarded.get(field)
        if guarded is not None and guarded.refused and not self.sees(cls, field):
            raise ForbiddenError(
                f"{cls.declaration.name}.{field} takes {CLASS}:{guarded.field_class}, "
                "which the key does not have",
                parameter="field",
            )

    def must_see(self, cls: type[Entity], field: str, parameter: str) -> None:
        """Raises ForbiddenError where a value is not shown, so nobody may select by it."""
        if not self.sees(cls, field):
            raise ForbiddenError(
                f"records cannot be selected by {cls.declaration.name}.{field}, "
                "which this key may not see",
                parameter=parameter,
            )


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request takes: every scope that it cannot be answered without."""

    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """Scopes, ready to be asked. `name` tells them from any others by what is read with them."""

    name: str
    visibility: Visibility
    reads: frozenset[str]
    traces: frozenset[str]
    writes: frozenset[str]
    #: Scopes that stand alone: `introspect`, `commands`, `metrics`.
    lone: frozenset[str]

    def missing(self, needs: Needs) -> list[str]:
        """The scopes that a request would take and that are not there."""
        return [scope for scope in needs.scopes if not self._has(scope)]

    def must_cover(self, needs: Needs) -> None:
        """Raises ForbiddenError that names every scope that is missing."""
        if lacking := self.missing(needs):
            raise ForbiddenError(f"this takes {', '.join(lacking)}, which the key does not have")

    def _has(self, scope: str) -> bool:
        verb, _, name = scope.partition(":")
        if not name:
            return verb in self.lone
        if verb == CLASS:
            return name in self.visibility.classes
        granted = {READ: self.reads, TRACE: self.traces, WRITE: self.writes}[verb]
        return ALL in granted or name in granted


def checked(scopes: Iterable[str]) -> list[str]:
    """The scopes in order, each once. Raises BadInputError that names one that means nothing."""
    known = entities()
    for scope in scopes:
        found = _SCOPE.fullmatch(scope)
        entity, field = (found["entity"], found["field"]) if found else (None, None)
        if found is None or (field and (found["verb"] != READ or entity == ALL)):
            raise BadInputError(
                f"{scope!r} is no scope; write read:product, read:customer.country, trace:*, "
                f"write:order, commands, introspect, metrics or class:personal",
                parameter="scopes",
            )
        if entity not in (None, ALL) and entity not in known:
            raise BadInputError(
                f"{scope!r} names no entity; there are {', '.join(sorted(known))}",
                parameter="scopes",
            )
        if entity and field and field not in _fields(known[entity]):
            raise BadInputError(f"{scope!r} names no field of {entity}", parameter="scopes")
    return sorted(set(scopes))


@lru_cache(maxsize=1024)
def rights_of(scopes: tuple[str, ...]) -> Rights:
    """The rights of these scopes; what is none of ours is passed over (a token may carry more)."""
    reads: set[str] = set()
    granted: dict[str, set[str]] = {READ: reads, TRACE: set(), WRITE: set()}
    classes: set[str] = set()
    lone: set[str] = set()
    fields: dict[str, set[str]] = {}
    for scope in scopes:
        found = _SCOPE.fullmatch(scope)
        if found is None:
            continue
        if found["field"]:
            if found["verb"] == READ:
                fields.setdefault(found["entity"], set()).add(found["field"])
        elif found["verb"]:
            granted[found["verb"]].add(found["entity"])
        elif found["class"]:
            classes.add(found["class"])
        else:
            lone.add(found["lone"])
    # Who may read the whole entity is not held to single fields of it.
    narrow: dict[str, frozenset[str]] = {}
    named = ""
    if ALL not in reads:
        known = entities()
        narrow = {n: frozenset(fields.get(n, ())) for n in sorted(known) if n not in reads}
        single = [f"{entity}.{f}" for entity, some in narrow.items() for f in sorted(some)]
        named = ",".join([*sorted(reads & known.keys()), *single]) or "nothing"
        reads |= set(fields)
    seen = "+".join((PUBLIC, *sorted(classes)))
    visibility = _visibility(f"{seen} {named}".strip(), frozenset(classes), tuple(narrow.items()))
    traced = ",".join(sorted(granted[TRACE]))
    return Rights(
        name=f"{visibility.name}|{','.join(sorted(reads))}|{traced}|{INTROSPECT in lone}",
        visibility=visibility,
        reads=frozenset(reads),
        traces=frozenset(granted[TRACE]),
        writes=frozenset(granted[WRITE]),
        lone=frozenset(lone),
    )


def of_machine(scopes: tuple[str, ...]) -> Rights:
    """The rights of a key or a token, which may lack introspection though it was granted."""
    if settings.HEADWATER_INTROSPECTION:
        return rights_of(scopes)
    return rights_of(tuple(scope for scope in scopes if scope != INTROSPECT))


def _fields(cls: type[Entity]) -> set[str]:
    return {f.name for f in (*value_fields(cls), *derived_fields(cls))}


@lru_cache(maxsize=1024)
def _visibility(
    name: str, classes: frozenset[str], fields: tuple[tuple[str, frozenset[str]], ...]
) -> Visibility:
    return Visibility(name, classes, dict(fields))


#: A person at the console of the machine, and what the machine does for itself.
FULL = rights_of(tuple(EVERYTHING))
