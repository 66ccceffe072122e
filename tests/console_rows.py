"""Rows for every page of the console: of each model that the admin shows, at least so many.

They are made from the models' own declarations, so that a new model is covered by itself. What is
named by the words of the vocabulary (entity, field, system …) is what `console_demo` knows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Any

from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction

from catalog.entities import Entity, LocalizedField
from catalog.guard import OPEN, SHUT
from connectors.models import DriftIncident, Subscriber
from observability.incidents import Incident
from tests import console_demo

#: One statement for each of half of them is over what a page may ask.
ROWS = 24
VOCABULARY = {
    "entity": "variant", "field": "gtin", "system": "erp", "stream": "prices", "connector": "demo-erp",
    "data_class": "price",
}  # fmt: skip
MAKERS: dict[type[models.Field[Any, Any]], Any] = {
    models.BooleanField: lambda n: False,  # noqa: ARG005
    models.DateTimeField: lambda n: datetime.now(UTC) - timedelta(minutes=n),
    models.DateField: lambda n: datetime.now(UTC).date() - timedelta(days=n),
    models.DecimalField: lambda n: Decimal(n + 1),
    models.FloatField: lambda n: (n + 1) / 100,
    models.IntegerField: lambda n: n + 1,
    models.BinaryField: lambda n: b'{"number": %d}' % n,
    ArrayField: lambda n: [f"word-{n}"],
    LocalizedField: lambda n: {"en_US": f"Text {n}"},
    models.JSONField: lambda n: {"number": n},
}


def fill(rows: int = ROWS) -> None:
    """The demo's systems, and rows of everything that the admin shows."""
    console_demo.fill()
    fill_up(rows)


def fill_up(rows: int = ROWS) -> None:
    """The same where the demo is there already."""
    console_demo.quarantined()
    console_demo.many_runs()
    for model in admin.site._registry:
        top_up(model, rows)


def top_up(model: type[models.Model], rows: int) -> None:
    """Make the rows that are missing."""
    stored = Incident if model is DriftIncident else model
    made = [
        stored(**values(model, number)) for number in range(model._default_manager.count(), rows)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        # an entity is written as the merge writes it
        cursor.execute(OPEN)
        stored._default_manager.bulk_create(made)
        cursor.execute(SHUT)


def values(model: type[models.Model], number: int) -> dict[str, Any]:
    """What one row says; defaults are left to the model."""
    said: dict[str, Any] = SAID.get(model._meta.label, lambda _: {})(number)
    for field in model._meta.concrete_fields:
        if field.name not in said and not isinstance(field, models.AutoField):
            given = value(model, field, number)
            if given is not None:
                said[field.name] = given
    return said


def value(model: type[models.Model], field: Any, number: int) -> Any:
    """A value of one column; None: as the model says."""
    if isinstance(field, models.ForeignKey):
        return related(model, field, number)
    if field.choices:
        named = [key for key, _ in field.flatchoices if key != ""]
        return named[number % len(named)]
    if field.primary_key:
        return f"Z-{number:03}"
    apart = _constraints(model, field)
    if field.name in VOCABULARY and (field.name,) not in apart:
        return VOCABULARY[field.name]
    varies = isinstance(field, (models.CharField, models.TextField, models.IntegerField))
    # Every other row says when: a page may ask more about it then.
    empty = field.null and (number % 2 == 0 or not isinstance(field, models.DateTimeField))
    said_by_default = field.has_default() or field.has_db_default() or empty
    return None if said_by_default and not (apart and varies) else _made(field, number)


def _made(field: Any, number: int) -> Any:
    """By the kind of its column; a text is its name and the number."""
    made = next((make for kind, make in MAKERS.items() if isinstance(field, kind)), None)
    if made is not None:
        return made(number)
    text = f"{field.name}-{number}"
    url = isinstance(field, models.URLField)
    return f"https://{text}.test" if url else text[: field.max_length or len(text)]


def related(model: type[models.Model], field: Any, number: int) -> Any:
    """A row that there is, another for each number; made first where one is needed."""
    to: Any = field.related_model
    if to is model:
        return None
    if not field.null:
        top_up(to, 1)
    found = list(to._default_manager.order_by("pk")[:ROWS])
    return next(islice(cycle(found), number, None)) if found else None


def _constraints(model: type[models.Model], field: Any) -> list[tuple[str, ...]]:
    """Which columns, this one among them, make a row one of its kind."""
    held = [c.fields for c in model._meta.constraints if isinstance(c, models.UniqueConstraint)]
    alone = [(field.name,)] if field.unique else []
    return [*alone, *(tuple(fields) for fields in held if field.name in fields)]


def _told(_number: int) -> dict[str, Any]:
    """A webhook: of subscriber, connection and channel a command has one."""
    top_up(Subscriber, 1)
    one = Subscriber.objects.first()
    return {"subscriber": one, "connection": None, "channel": None, "body": b"{}"}


def _pair(number: int) -> dict[str, Any]:
    return {"entity": "product", "first": "T-1", "second": f"T-{number + 2}", "reasons": ["brand"]}


#: What a model asks beyond its columns.
SAID: dict[str, Any] = {
    "connectors.OutboxCommand": _told,
    "catalog.MatchCandidate": _pair,
    "catalog.SameAs": lambda n: {"entity": "product", "alias": f"A-{n}", "key": "T-1"},
    "catalog.OwnershipRule": lambda n: {"market": f"M{n}"},
    "catalog.SourceRecord": lambda n: {"payload": f'{{"number": {n}}}', "fields": {}},
    "catalog.Revision": lambda n: {"key": "T-1-01", "changes": {"gtin": [None, str(n)]}},
    "catalog.Conflict": lambda n: {"key": f"C-{n}", "value": "1", "surviving": "2"},
    "catalog.Override": lambda n: {"key": f"O-{n}", "value": "1"},
    "connectors.DriftIncident": lambda n: {
        "kind": Incident.Kind.CONTRACT_DRIFT,
        "subject": f"s{n}",
    },
    "connectors.Connection": lambda n: {"slug": f"erp-{n}", "connector": "demo-erp"},
    "hub.Approval": lambda n: {"action": f"action-{n}", "decided_by": None, "form": ""},
    "observability.Silence": lambda n: {"until": datetime.now(UTC) + timedelta(hours=n + 1)},
    "connectors.Stream": lambda n: {"slug": f"stream-{n}"},
}


def is_entity(model: type[models.Model]) -> bool:
    """Whether the merge writes it."""
    return issubclass(model, Entity)
