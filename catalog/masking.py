"""Personal data on the pages of the admin: shown to whoever may see it, `•••` to everybody else.

Who looks is known for the time of a request (`looking`): pages are made by many small functions that
are not told of it. Outside of any request nobody looks, and everything personal is covered. What was
shown uncovered is noted, so that it can be written down who saw what (`observability.audit`).

Of a payload a person who may not see personal data sees the members that feed public fields,
and those by which its record is named and ordered. A member that nobody maps may hold anything: it is
covered in every stream that concerns people. Which member feeds what is known one floor above
(`declared_by`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from catalog.entities import Entity, behind, entities
from catalog.entities.base import PERSONAL, Reference, related, value_fields

MASK = "•••"
SEE = "catalog.see_personal"

#: Whether the member at a dotted path is covered.
Cover = Callable[[str], bool]
#: (system, stream, entity or "" where that is not known) -> paths of members that anybody may see;
#: None where nothing in the stream concerns people.
OpenMembers = Callable[[str, str, str], frozenset[str] | None]

_E_MAIL = re.compile(r"[^\s@'\"<>(),:;]+@[^\s@'\"<>(),:;]+")
_QUOTED = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")


@dataclass(slots=True)
class Viewer:
    """Who looks at a page. `seen` {entity: fields} and `keys`: what of people they were shown."""

    sees: bool
    seen: dict[str, set[str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def note(self, entity: str, field_name: str, key: str = "") -> None:
        """Somebody's data was shown."""
        self.seen.setdefault(entity, set()).add(field_name)
        if key:
            self.keys.add(key)


_viewer: ContextVar[Viewer | None] = ContextVar("headwater_viewer", default=None)


@contextmanager
def looking(*, sees: bool) -> Iterator[Viewer]:
    """A block in which one person looks."""
    viewer = Viewer(sees)
    former = _viewer.set(viewer)
    try:
        yield viewer
    finally:
        _viewer.reset(former)


def viewer() -> Viewer | None:
    """Who looks now; None outside of any page."""
    return _viewer.get()


def sees() -> bool:
    """Whether whoever looks may see personal data."""
    looks = _viewer.get()
    return looks is not None and looks.sees


@lru_cache(maxsize=4096)
def is_personal(entity: str, field_name: str) -> bool:
    """Whether a field (`name`, or `name.de_DE`: of one locale) holds personal data."""
    cls = entities().get(entity)
    if cls is None:
        return True  # nobody declares it any more: what it held is not known
    pairs = behind(cls, field_name.partition(".")[0])
    return any(_guarded(owner, name) for owner, name in pairs)


def _guarded(cls: type[Entity], name: str) -> bool:
    return cls.declaration.guarded.get(name, None) == PERSONAL


@lru_cache(maxsize=256)
def concerns_people(entity: str) -> bool:
    """Whether an entity has personal data, or refers to one that has."""
    cls = entities().get(entity)
    if cls is None:
        return True
    return has_personal(cls) or any(
        has_personal(related(cls, f.name)) for f in value_fields(cls) if isinstance(f, Reference)
    )


def has_personal(cls: type[Entity]) -> bool:
    """Whether an entity has personal data itself."""
    return any(_guarded(cls, name) for name in cls.declaration.guarded)


@lru_cache(maxsize=1)
def personal_names() -> frozenset[str]:
    """Names of all personal fields: what is no record of an entity is covered by them."""
    return frozenset(
        name
        for cls in entities().values()
        for name in cls.declaration.guarded
        if _guarded(cls, name)
    )


def shown(entity: str, field_name: str, value: Any, key: str = "") -> Any:
    """The value for whoever looks: itself, or `•••` in its place. None and "" stay."""
    if value is None or value == "" or not is_personal(entity, field_name):
        return value
    looks = _viewer.get()
    if looks is None or not looks.sees:
        return MASK
    looks.note(entity, field_name.partition(".")[0], key)
    return value


_open_members: list[OpenMembers] = []


def declared_by(finder: OpenMembers) -> None:
    """Whoever knows the mappings says which members of a stream's payload anybody may see."""
    _open_members[:] = [finder]


def open_members(system: str, stream: str, entity: str) -> frozenset[str] | None:
    """Members of a stream's payloads that anybody may see; None: nothing there concerns people."""
    return _open_members[0](system, stream, entity) if _open_members else frozenset()


def cover(system: str, stream: str, entity: str, key: str = "") -> Cover | None:
    """What of a payload is covered for whoever looks; None: nothing."""
    return but_for(open_members(system, stream, entity), entity, key)


def but(opened: frozenset[str]) -> Cover:
    """Everything but these members and what ends in them."""
    return lambda path: not _among(path, opened)


def but_for(opened: frozenset[str] | None, what: str, key: str = "") -> Cover | None:
    """The same where the open members are at hand; `what` it is that is looked at."""
    if opened is None:
        return None
    looks = _viewer.get()
    if looks is not None and looks.sees:
        looks.note(what, "payload", key)
        return None
    return but(opened)


def cover_names(names: frozenset[str] | None = None) -> Cover | None:
    """The same for what is named as our own fields are (a command's params), by those names."""
    if sees():
        return None
    hidden = personal_names() if names is None else names
    return lambda path: any(step in hidden for step in path.split("."))


def _among(path: str, opened: frozenset[str]) -> bool:
    """Whether a path, or its end inside an event, is one of these. Places in lists do not count."""
    steps = [step for step in path.split(".") if not step.isdigit()]
    return any(".".join(steps[place:]) in opened for place in range(len(steps)))


def told(text: str, covered: Cover | None) -> str:
    """An error text for whoever looks: what is quoted in it, or an e-mail address, may be data."""
    if covered is None or not text:
        return text
    return _E_MAIL.sub(MASK, _QUOTED.sub(MASK, text))


def uncovered(changes: Mapping[str, Any], entity: str, key: str = "") -> dict[str, Any]:
    """{field: [old, new]} with both sides as `shown`."""
    return {name: [shown(entity, name, one, key) for one in pair] for name, pair in changes.items()}
