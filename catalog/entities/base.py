"""What every entity shares, and the declaration that REST, GraphQL, admin and history read.

An entity is one subclass of `Entity`. Its columns are what the company believes; only
`catalog.merge` writes them. References between entities go by natural key and carry no foreign
key constraint in the database, because two systems may announce a price and its variant in any
order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from django.apps import apps
from django.db import models

from catalog.entities.derived import Derived
from catalog.entities.matching import Matching


class LocalizedField(models.JSONField):
    """Text per locale, `{"en_US": "Tent", "de_DE": "Zelt"}`, in one jsonb column."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("null", True)
        options.setdefault("blank", True)
        super().__init__(**options)


class Money(models.DecimalField[Any, Any]):
    """An amount in the currency's major unit; four decimals, for unit prices."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 18, "decimal_places": 4, "null": True, **options})


class Quantity(models.DecimalField[Any, Any]):
    """How many or how much; three decimals, as ERPs count."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 18, "decimal_places": 3, "null": True, **options})


def spelled(value: Decimal, field: models.Field[Any, Any]) -> str:
    """A decimal without idle zeros; of money at least two decimals stay: `25.90`, `50`."""
    whole, _, rest = f"{value:f}".partition(".")
    rest = rest.rstrip("0")
    if isinstance(field, Money):
        rest = f"{rest:0<2}"
    return f"{whole}.{rest}" if rest else whole


class Reference(models.ForeignKey[Any, Any]):
    """A reference by natural key: indexed, nullable, not enforced (records arrive in any order)."""

    def __init__(self, to: Any, **options: Any) -> None:
        options.setdefault("on_delete", models.DO_NOTHING)
        options.setdefault("db_constraint", False)
        options.setdefault("null", True)
        options.setdefault("blank", True)
        super().__init__(to, **options)


@dataclass(frozen=True, slots=True)
class Deprecated:
    """A field that will go: announced on `since`, and not gone before `sunset`.

    `instead` says what to read then. Answers that read the field say both dates, as
    `hub.contract.sunset` writes them.
    """

    since: date
    sunset: date
    instead: str

    @property
    def reason(self) -> str:
        """For people and for `@deprecated`; the date stands at the end."""
        return f"{self.instead} Goes on {self.sunset.isoformat()}"

    def __post_init__(self) -> None:
        if self.sunset < self.since:
            raise ValueError(f"the sunset, {self.sunset}, comes before since, {self.since}")


@dataclass(frozen=True, slots=True)
class Guarded:
    """A field that not every reader may see: only those who were granted its class.

    Others get null for it; where it is `refused`, whoever asks for it by its name is refused.
    """

    field_class: str
    refused: bool = False


PERSONAL, INTERNAL = Guarded("personal"), Guarded("internal")
#: The classes that a reader is granted; what no declaration guards is public.
GUARDED_CLASSES = ("personal", "internal")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the readers of an entity need to know beyond its columns.

    `name` and `plural` are the API's names; `key` is what the API calls the natural key;
    `data_class` says how fresh the values have to be (text, price, stock, personal, order) and
    `field_classes` overrides it per field. `parts` are the reverse references that belong to the
    record itself: they are served, traced and shown with it. `labels` are the fields that name a
    record to a person, `filters` the fields by which lists can be narrowed, `path` the parts of
    a part's key that name it inside its owner's provenance (`variants.P-1-01.prices.DE-EUR`).
    `summaries` {part: field} are served as a count and the average of the field; `tree` is the
    reference that makes the entity a tree. `deprecated` {field: mark} are on their way out.
    `guarded` {field: who may see it}: what is not in it is public. `market` is the field that
    says which market a row is for: as a part, it is served in the reader's market. `matching` finds
    records that are about the same thing under different keys (see `catalog.matching`). `scopes`
    {market, channel: field} are the fields that say for what a row is: ownership rules may be
    narrowed by them.
    """

    name: str
    plural: str
    key: str
    data_class: str
    field_classes: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    summaries: dict[str, str] = field(default_factory=dict)
    tree: str = ""
    deprecated: dict[str, Deprecated] = field(default_factory=dict)
    guarded: dict[str, Guarded] = field(default_factory=dict)
    market: str = ""
    matching: Matching | None = None
    scopes: dict[str, str] = field(default_factory=dict)

    def class_of(self, field_name: str) -> str:
        """The data class of one field."""
        return self.field_classes.get(field_name, self.data_class)


class Entity(models.Model):
    """One record of what the company believes. Written by `catalog.merge` alone."""

    # Keys are compared byte by byte: quicker, and the same order on every machine.
    key = models.TextField(
        primary_key=True, db_collation="C", help_text="Natural key of the record."
    )
    provenance = models.JSONField(
        default=dict, editable=False, help_text="{field: id of the source record that supplied it}"
    )
    changed_at = models.DateTimeField(editable=False, help_text="When a value last changed here.")
    deleted_at = models.DateTimeField(
        null=True, editable=False, help_text="Tombstone: every source has withdrawn the record."
    )

    declaration: ClassVar[Declaration]

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.key


#: Columns that the merge keeps about a row; all others are values that some system supplies.
KEPT_BY_MERGE = frozenset({"key", "provenance", "changed_at", "deleted_at"})


def value_fields(entity: type[Entity]) -> list[models.Field[Any, Any]]:
    """The concrete fields that upstream systems supply, in declaration order."""
    return [
        f
        for f in entity._meta.concrete_fields
        if f.name not in KEPT_BY_MERGE and not isinstance(f, Derived)
    ]


def derived_fields(entity: type[Entity], *, served: bool = True) -> list[Any]:
    """The columns that the merge derives from a row's parts; `served`: those alone that are read."""
    derived = (f for f in entity._meta.concrete_fields if isinstance(f, Derived))
    return [f for f in derived if f.served or not served]


@lru_cache(maxsize=1024)
def behind(entity: type[Entity], name: str) -> tuple[tuple[type[Entity], str], ...]:
    """A field; of a derived one also the parts' fields that it is made of."""
    derived = [f for f in derived_fields(entity) if f.name == name]
    made_of = ((field.measured.model, source) for field in derived for source in field.sources)
    return ((entity, name), *made_of)


def entities() -> dict[str, type[Entity]]:
    """Every declared entity by name, from any installed app."""
    found: dict[str, type[Entity]] = {}
    for cls in apps.get_models():
        if issubclass(cls, Entity):
            found[cls.declaration.name] = cls
    return found


def entity(name: str) -> type[Entity]:
    """The entity called `name`. Raises LookupError that lists what exists."""
    known = entities()
    if name not in known:
        raise LookupError(f"no entity {name!r}; declared are {', '.join(sorted(known))}")
    return known[name]


def related(cls: type[Entity], name: str) -> type[Entity]:
    """The entity that a reference or a part of `cls` leads to."""
    target = cls._meta.get_field(name).related_model
    assert isinstance(target, type) and issubclass(target, Entity)  # noqa: S101, PT018 (narrows)
    return target
