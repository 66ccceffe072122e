"""Pieces of SQL that print a value exactly as Graphene's executor and `json.dumps` would.

Every function takes and gives SQL text. Names come from the models and from the document's
grammar, which both are identifiers; values are always parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db.models import ForeignKey

from catalog.entities import Entity, Money
from hub.reads.reasons import NotCompiledError

#: PostgreSQL takes at most 100 arguments, two for each member.
WIDEST = 50
MOMENT = """'YYYY-MM-DD"T"HH24:MI:SS.US"{zone}"'"""


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def table(cls: type[Entity]) -> str:
    """The entity's table."""
    return quoted(cls._meta.db_table)


def column(cls: type[Entity], alias: str, name: str) -> str:
    """A field's column of a row."""
    field = cls._meta.get_field(name)
    return f"{alias}.{quoted(str(getattr(field, 'column', name)))}"


def live(alias: str) -> str:
    """The row is not buried."""
    return f"{alias}.deleted_at IS NULL"


def of_owner(cls: type[Entity], part: str, owner: str, child: str) -> str:
    """The condition on a live child of a row."""
    relation = cls._meta.get_field(part)
    reference = getattr(relation, "field", None)
    if not isinstance(reference, ForeignKey):
        raise NotCompiledError(f"{cls.declaration.name}.{part} is no reverse reference")
    return f"{child}.{quoted(reference.column)} = {owner}.key AND {live(child)}"


def json_object(members: Mapping[str, str]) -> str:
    """A JSON object of {name: SQL of the value}; the names are GraphQL names."""
    pairs = [f"'{name}', {value}" for name, value in members.items()]
    if len(pairs) <= WIDEST:
        return f"json_build_object({', '.join(pairs)})"
    chunks = [pairs[i : i + WIDEST] for i in range(0, len(pairs), WIDEST)]
    # Opened and joined as text: jsonb would sort the members.
    opened = (f"substr(left(json_build_object({', '.join(c)})::text, -1), 2)" for c in chunks)
    return f"('{{' || concat_ws(', ', {', '.join(opened)}) || '}}')::json"


def json_list(select: str) -> str:
    """A JSON array of the one column of a SELECT; never NULL."""
    return f"array_to_json(ARRAY({select}))"


def moment(expression: str, zone: str = "+00:00") -> str:
    """A time as Python writes it: in UTC, with microseconds where there are any.

    GraphQL spells the zone as an offset, REST as `Z`.
    """
    form = MOMENT.replace("{zone}", zone)
    return f"replace(to_char({expression} AT TIME ZONE 'UTC', {form}), '.000000', '')"


def decimal(cls: type[Entity], alias: str, name: str) -> str:
    """A decimal as `catalog.entities.spelled` writes it."""
    value = column(cls, alias, name)
    if isinstance(cls._meta.get_field(name), Money):
        return f"round({value}, greatest(2, min_scale({value})))::text"
    return f"trim_scale({value})::text"


def text(value: str, order: Sequence[str]) -> str:
    """The first text that there is in a localized value, in this order of locales."""
    return f"coalesce({', '.join(_said(value, locale) for locale in order)})"


def average(cls: type[Entity], alias: str, name: str) -> str:
    """The mean of a field of the rows, as `hub.rows.average`."""
    return f"round(avg({column(cls, alias, name)}), 2)"


def locale_of(value: str, order: Sequence[str]) -> str:
    """The locale of that text."""
    cases = " ".join(f"WHEN {_said(value, locale)} IS NOT NULL THEN {locale}" for locale in order)
    return f"CASE {cases} END"


def cursor(key: str) -> str:
    """The opaque position after a row, as `hub.listing.cursor` writes it."""
    # base64 breaks its lines; what has no counterpart is dropped, the padding too
    return rf"translate(encode(convert_to('k:' || {key}, 'UTF8'), 'base64'), E'+/=\n', '-_')"


def way(cls: type[Entity], alias: str) -> str:
    """A SELECT of a tree's node (the row of this alias) and all live ones above it.

    It has the entity's columns and `way_length`, 0 for the node itself. A circle ends where it
    closes, as in `hub.rows.way_to`.
    """
    names = [quoted(str(field.column)) for field in cls._meta.concrete_fields]
    parent = quoted(str(getattr(cls._meta.get_field(cls.declaration.tree), "column", "")))
    own, above = (", ".join(f"{row}.{name}" for name in names) for row in (alias, "above"))
    return (
        f"WITH RECURSIVE way AS (SELECT {own}, 0 AS way_length, ARRAY[{alias}.key] AS way_seen"
        f" UNION ALL SELECT {above}, way.way_length + 1, way.way_seen || above.key"
        f" FROM way JOIN {table(cls)} above ON above.key = way.{parent} AND {live('above')}"
        f" WHERE above.key <> ALL (way.way_seen)) SELECT * FROM way"
    )


def _said(value: str, locale: str) -> str:
    return f"nullif({value} ->> {locale}, '')"
