"""SQL of what survives: from the records that speak about a key to values and provenance.

A field with one plain rule for all rows is a COALESCE over its suppliers. For any other (several
rules by market or locale, a policy that looks at ages) the number of the winning source is worked
out first, in one joined row `w`; value, provenance and what is held follow from it. An entity of
plain fields alone pays nothing for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from django.db import connection, models

from catalog.entities import Entity, Reference, value_fields
from catalog.entities.derived import quoted
from catalog.known import known
from catalog.ownership import STEWARD, Others, OwnershipRule
from catalog.source import Source
from catalog.survivorship import Case, Decided, Survivorship

#: jsonb_build_object takes at most 100 arguments (PostgreSQL, FUNC_MAX_ARGS).
PAIRS_A_CALL = 45
#: The id of a joined source record, when it was read, when it changed there; no field is called so.
RECORD, SEEN, CHANGED = '"#record"', '"#seen"', '"#changed"'

Field = models.Field[Any, Any]


class Surviving:
    """The parts of a statement over touched records `t (key)`, under sources and rules.

    The parameter `at` is the moment by which silence is judged.
    """

    def __init__(self, sources: Sequence[Source], resolved: Survivorship) -> None:
        # A steward's word goes before everybody's.
        self._sources = sorted(sources, key=lambda s: (s.system != STEWARD, s.pk))
        self._resolved = resolved
        self._fields = value_fields(resolved.entity)
        self._rich = {
            f.name
            for f in self._fields
            if not resolved.fields[f.name].plain or resolved.locales.get(f.name)
        }
        deciding = (d for d in resolved.decided() if d.field in self._rich)
        # A rule that is only looked at has no number yet, by which Django would tell it.
        self._rules = list({id(c.rule): c.rule for d in deciding for c in d.cases}.values())

    @property
    def holds(self) -> bool:
        """Whether any rule holds values for a person."""
        return any(rule.others == Others.HOLD for rule in self._rules)

    @property
    def waits(self) -> bool:
        """Whether any rule looks at how long its owner has been silent."""
        return any(rule.silence is not None for rule in self._rules)

    def joined(self) -> str:
        """SQL that joins what each source says, then what a row is for, then who wins."""
        said = "".join(self._contribution(source) for source in self._sources)
        if not self._rich:
            return said
        scopes = [
            f"{self._one_value(name)} AS {quoted(dimension)}"
            for dimension, name in self._resolved.entity.declaration.scopes.items()
        ]
        winners = [
            f"{self._winner(decided)} AS {self._column(decided)}"
            for decided in self._resolved.decided()
            if decided.field in self._rich
        ]
        return said + "".join(
            # Fenced off, or each mention would be worked out anew.
            f"\n    CROSS JOIN LATERAL (SELECT {', '.join(columns)} OFFSET 0) {alias}"
            for alias, columns in (("d", scopes), ("w", winners))
            if columns
        )

    def alive(self) -> str:
        """Whether any system speaks of the record.

        What a person decided does not keep alive what every system has withdrawn.
        """
        upstream = [s.pk for s in self._sources if s.system != STEWARD]
        return " OR ".join(f"s{s}.{RECORD} IS NOT NULL" for s in upstream) or "false"

    def value(self, field: Field) -> str:
        """The surviving value, in the column's type."""
        if field.name not in self._rich:
            suppliers = self._suppliers(self._resolved.fields[field.name])
            if not suppliers:
                return f"NULL::{bare_type(field)}"
            said = ", ".join(f"s{s.pk}.{quoted(field.name)}" for s in suppliers)
            return _as_known(field, f"COALESCE({said})")
        whole = _as_known(
            field, self._won(self._resolved.fields[field.name], f"NULL::{bare_type(field)}")
        )
        locales = self._resolved.locales.get(field.name, ())
        if not locales:
            return whole
        parts = json_object((d.locale, self._won(d, "NULL::jsonb")) for d in locales)
        return f"NULLIF(COALESCE({whole}, '{{}}'::jsonb) || {parts}, '{{}}'::jsonb)"

    def provenance(self) -> str:
        """{field, or locale of one that is decided by itself: id of its source record}."""
        return json_object(chain.from_iterable(self._behind(f) for f in self._fields))

    def _behind(self, field: Field) -> Iterator[tuple[str, str]]:
        if field.name not in self._rich:
            suppliers = self._suppliers(self._resolved.fields[field.name])
            said = " ".join(
                f"WHEN s{s.pk}.{quoted(field.name)} IS NOT NULL THEN s{s.pk}.{RECORD}"
                for s in suppliers
            )
            yield field.name, f"CASE {said} END" if said else "NULL"
            return
        records = {
            decided.label: self._supplier(decided)
            for decided in (
                self._resolved.fields[field.name],
                *self._resolved.locales.get(field.name, ()),
            )
        }
        # Of a text whose locales are from several the field names the first.
        yield field.name, f"COALESCE({', '.join(records.values())})"
        del records[field.name]
        yield from records.items()

    def held(self) -> str:
        """{label:source: [rule, source record, value]} of what waits for a person."""
        return json_object(
            (f"{decided.label}:{source.pk}", sql)
            for decided in self._resolved.decided()
            for place, case in enumerate(decided.cases)
            if case.rule.others == Others.HOLD
            for source in self._sources
            if source.system not in (STEWARD, case.rule.owner)
            for sql in [self._held(decided, place, source)]
        )

    def _held(self, decided: Decided, place: int, source: Source) -> str:
        said, won = self._said(decided, source), self._won(decided, "NULL")
        winner = f"w.{self._column(decided)}"
        stewards = [str(s.pk) for s in self._sources if s.system == STEWARD]
        conditions = [
            f"{said} IS NOT NULL",
            f"{winner} IS DISTINCT FROM {source.pk}",
            f"{said} IS DISTINCT FROM {won}",
            *(f"NOT {_in_scope(earlier)}" for earlier in decided.cases[:place]),
            *([_in_scope(decided.cases[place])] if decided.cases[place].scope else ()),
            *([f"COALESCE({winner} NOT IN ({', '.join(stewards)}), true)"] if stewards else ()),
        ]
        numeric = bare_type(self._field(decided)) == "numeric"
        value = f"{said}::text" if numeric else said
        rule = decided.cases[place].rule.pk or 0
        entry = f"jsonb_build_array({rule}, s{source.pk}.{RECORD}, to_jsonb({value}))"
        return f"CASE WHEN {' AND '.join(conditions)} THEN {entry} END"

    def due(self) -> str:
        """When the next owner of the record will have been silent for long enough; NULL: never."""
        moments = [
            f"CASE WHEN {moment} > %(at)s THEN {moment} END"
            for rule in self._rules
            if rule.silence is not None
            for seen in [self._last_seen(rule)]
            if seen
            for moment in [f"{seen} + {_interval(rule)}"]
        ]
        return f"LEAST({', '.join(moments)})" if moments else "NULL::timestamptz"

    def _contribution(self, source: Source) -> str:
        """SQL that joins what one source says: its record's id and typed values, or NULLs.

        One call takes a record's fields apart; asking the jsonb for each costs three times that.
        """
        typed = ", ".join(
            f"{quoted(f.name)} {bare_type(f)}" for f in self._fields if self._is_read(source, f)
        )
        apart = f", jsonb_to_record(r.fields) AS x ({typed})" if typed else ""
        times = ""
        if any(rule.silence is not None for rule in self._rules):
            times += f", r.observed_at AS {SEEN}"
        if any(rule.others == Others.NEWEST for rule in self._rules):
            times += f", COALESCE(r.changed_at, r.observed_at) AS {CHANGED}"
        alias = f"s{source.pk}"
        return f"""
    LEFT JOIN LATERAL (
        SELECT r.id AS {RECORD}{times}{", x.*" if typed else ""} FROM catalog_sourcerecord r{apart}
        WHERE r.entity_key = t.key AND r.source_id = {source.pk} AND r.deleted_at IS NULL
        ORDER BY r.version DESC, r.id LIMIT 1) {alias} ON true"""

    def _is_read(self, source: Source, field: Field) -> bool:
        deciding = (self._resolved.fields[field.name], *self._resolved.locales.get(field.name, ()))
        holding = any(c.rule.others == Others.HOLD for d in deciding for c in d.cases)
        return holding or any(source in self._suppliers(decided) for decided in deciding)

    def _suppliers(self, decided: Decided) -> list[Source]:
        """The sources that may ever supply it, of a plain field the deciding one first."""
        rules: list[OwnershipRule | None] = [case.rule for case in decided.cases]
        if not decided.cases or decided.cases[-1].scope:
            rules.append(None)
        return list(dict.fromkeys(s for rule in rules for s in self._ranked(rule)))

    def _ranked(self, rule: OwnershipRule | None) -> list[Source]:
        """The sources that may win under a rule; stewards first, then in the rule's order."""
        if rule is None:
            return list(self._sources)
        named = [
            s for system in (STEWARD, *rule.order) for s in self._sources if s.system == system
        ]
        if rule.others in (Others.FALLBACK, Others.NEWEST):
            named += [s for s in self._sources if s not in named]
        return named

    def _winner(self, decided: Decided) -> str:
        """The number of the winning source, or NULL."""
        scoped = " ".join(
            f"WHEN {_in_scope(case)} THEN {self._by_rule(decided, case.rule)}"
            for case in decided.cases
            if case.scope
        )
        last = decided.cases[-1] if decided.cases else None
        rest = self._by_rule(decided, None if last is None or last.scope else last.rule)
        return f"CASE {scoped} ELSE {rest} END" if scoped else rest

    def _by_rule(self, decided: Decided, rule: OwnershipRule | None) -> str:
        steps = " ".join(
            f"WHEN {self._said(decided, source)} IS NOT NULL{condition} THEN {source.pk}"
            for source, condition in self._steps(decided, rule)
        )
        return f"CASE {steps} END" if steps else "NULL::int"

    def _steps(self, decided: Decided, rule: OwnershipRule | None) -> Iterator[tuple[Source, str]]:
        """The sources in the order in which they win, each with a further condition."""
        ranked = self._ranked(rule)
        if rule is None or rule.others not in (Others.FALLBACK, Others.NEWEST):
            yield from ((source, "") for source in ranked)
            return
        stewards = [s for s in ranked if s.system == STEWARD]
        rest = ranked[len(stewards) :]
        yield from ((source, "") for source in stewards)
        if rule.others == Others.NEWEST:
            for source in rest:
                yield source, self._newest(decided, source, rest)
            return
        owners = [s for s in rest if s.system == rule.owner]
        others = [s for s in rest if s.system not in rule.order]
        seen = self._last_seen(rule)
        fresh = f"COALESCE({seen} + {_interval(rule)} > %(at)s, false)" if seen else "false"
        yield from ((source, f" AND {fresh}") for source in owners)
        yield from ((source, "") for source in rest if source not in (*owners, *others))
        yield from ((source, f" AND NOT {fresh}") for source in others)
        yield from ((source, "") for source in owners)

    def _newest(self, decided: Decided, source: Source, all_of: Sequence[Source]) -> str:
        rivals = ", ".join(
            f"CASE WHEN {self._said(decided, s)} IS NOT NULL THEN s{s.pk}.{CHANGED} END"
            for s in all_of
            if s is not source
        )
        if not rivals:
            return ""
        return f" AND s{source.pk}.{CHANGED} >= COALESCE(GREATEST({rivals}), '-infinity')"

    def _last_seen(self, rule: OwnershipRule) -> str:
        """When anything was last read of the owner's; empty where it has no source."""
        owners = [f"s{s.pk}.{SEEN}" for s in self._sources if s.system == rule.owner]
        return f"GREATEST({', '.join(owners)})" if owners else ""

    def _said(self, decided: Decided, source: Source) -> str:
        """What a source says about it, or NULL."""
        column = f"s{source.pk}.{quoted(decided.field)}"
        if decided.locale:
            return f"NULLIF({column} -> {literal(decided.locale)}, 'null'::jsonb)"
        others = self._resolved.locales.get(decided.field, ())
        if others:
            listed = ", ".join(literal(other.locale) for other in others)
            return f"NULLIF({column} - ARRAY[{listed}], '{{}}'::jsonb)"
        return column

    def _won(self, decided: Decided, nobody: str) -> str:
        cases = " ".join(
            f"WHEN {s.pk} THEN {self._said(decided, s)}" for s in self._suppliers(decided)
        )
        return f"CASE w.{self._column(decided)} {cases} END" if cases else nobody

    def _supplier(self, decided: Decided) -> str:
        cases = " ".join(f"WHEN {s.pk} THEN s{s.pk}.{RECORD}" for s in self._suppliers(decided))
        return f"CASE w.{self._column(decided)} {cases} END" if cases else "NULL::bigint"

    def _one_value(self, name: str) -> str:
        """The value of a field that says what a row is for; worked out before the winners."""
        decided = self._resolved.fields[name]
        cases = " ".join(
            f"WHEN {s.pk} THEN {self._said(decided, s)}" for s in self._suppliers(decided)
        )
        nothing = f"NULL::{bare_type(self._field(decided))}"
        return f"CASE {self._winner(decided)} {cases} END" if cases else nothing

    def _column(self, decided: Decided) -> str:
        """Where `w` has the winner; a locale is what people wrote, so it is numbered."""
        if not decided.locale:
            return quoted(decided.field)
        return quoted(f"{decided.field}.{self._resolved.locales[decided.field].index(decided)}")

    def _field(self, decided: Decided) -> Field:
        return next(f for f in self._fields if f.name == decided.field)


def _as_known(field: Field, said: str) -> str:
    """A reference leads to the record that theirs was merged into, where it was."""
    target = field.related_model if isinstance(field, Reference) else None
    if isinstance(target, type) and issubclass(target, Entity):
        return known(target, said)
    return said


def _in_scope(case: Case) -> str:
    conditions = [f"d.{quoted(name)} = {literal(value)}" for name, value in case.scope.items()]
    return f"COALESCE({' AND '.join(conditions)}, false)"


def _interval(rule: OwnershipRule) -> str:
    return f"interval '{int(rule.silent_after or 0)} seconds'"


def json_object(pairs: Iterable[tuple[str, str]]) -> str:
    """A jsonb object {name: SQL} without its nulls."""
    listed = [f"{literal(name)}, {sql}" for name, sql in pairs]
    calls = [
        f"jsonb_build_object({', '.join(listed[i : i + PAIRS_A_CALL])})"
        for i in range(0, len(listed), PAIRS_A_CALL)
    ]
    return f"jsonb_strip_nulls({' || '.join(calls)})" if calls else "'{}'::jsonb"


def bare_type(field: Field) -> str:
    """The column's type without its modifiers.

    A cast to varchar(n) cuts in silence and one to numeric(p, s) fails later with less to say, so
    the cast is to the bare type and the column itself refuses what does not fit.
    """
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith("varchar") else kind.split("(")[0]


def literal(value: str) -> str:
    """A text in a statement that has parameters; what people wrote may hold anything."""
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"
