"""A random document that is valid, or nearly always: `ask(seed)` gives text and variables.

It uses what GraphQL offers to write one query in many ways: aliases, fields merged from several
places, fragments, inline fragments, @include and @skip, literals, variables, defaults, nulls.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_non_null_type,
)

DEEPEST = 6
#: What Graphene alone answers.
LEFT_OUT = {"explain"}
LOCALES: list[str | None] = ["de_DE", "de-DE", "fr", "en_US", "EN", None, "xx"]
MARKETS: list[str | None] = ["DE", "us", "all", None, "FR"]
#: Arguments with a few values: those that are right, and all.
USUAL: dict[str, tuple[list[str | None], list[str | None]]] = {
    "locale": (LOCALES[:5], LOCALES),
    "market": (MARKETS[:4], MARKETS),
}
TIMES = ["2026-01-01T00:00:00Z", "2026-02-01T12:00:00.5+02:00", "2030-01-01T00:00:00+00:00"]
TEXTS = ["Alpina", "Borea", "EUR", "DE", "AMS", "completed", "", "Zelt", "no\x00", "ü"]


@dataclass
class Asked:
    """One request."""

    text: str
    variables: dict[str, Any]
    name: str | None


@dataclass
class _Variables:
    """Variables that the operation declares as it goes."""

    chance: random.Random
    declared: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, value: Any, literal: str) -> str:
        """A new variable of this value; how the document names it."""
        name = f"v{len(self.declared)}"
        self.declared[name] = f"${name}: {kind}"
        chance = self.chance.random()
        if chance < 0.1 and not kind.endswith("!") and literal != "null":
            self.declared[name] += f" = {literal}"
            return f"${name}"
        if chance < 0.15 and not kind.endswith("!"):
            return f"${name}"
        self.given[name] = value
        return f"${name}"


class Documents:
    """Makes documents over a schema; `keys` has keys of records by entity's type name."""

    def __init__(self, schema: GraphQLSchema, keys: dict[str, list[str]]) -> None:
        assert schema.query_type is not None
        self.query, self.schema, self.keys = schema.query_type, schema, keys

    def ask(self, seed: str, values: str) -> Asked:
        """The document of a seed, its arguments by another: mostly of one shape for one seed."""
        return _Document(self, random.Random(seed), random.Random(f"{seed}/{values}")).asked()


class _Document:
    def __init__(self, documents: Documents, chance: random.Random, values: random.Random) -> None:
        self.all, self.chance, self.values = documents, chance, values
        self.variables = _Variables(chance)
        self.fragments: dict[str, tuple[str, str]] = {}
        self.left = chance.choice([6, 15, 30, 60])
        self.aliases = 0

    def asked(self) -> Asked:
        fields = self.all.query.fields
        roots = [
            self._root(name, fields[name])
            for name in self.chance.choices(list(fields), k=self.chance.choice([1, 1, 1, 2, 3]))
        ]
        if self._one_in(8):
            roots.insert(
                self.chance.randint(0, len(roots)), self._aliased("__typename", named=True)
            )
        if self._one_in(6):
            roots = [f"... on Query {{ {' '.join(roots)} }}"]
        inside = " ".join(self._directed(root) for root in roots)
        declared = ", ".join(self.variables.declared.values())
        name = "Q" if declared or self._one_in(2) else ""
        head = f"query {name}" + (f"({declared})" if declared else "")
        text = f"{head} {{ {inside} }}"
        for fragment, (kind, selection) in self.fragments.items():
            text += f"\nfragment {fragment} on {kind} {selection}"
        if name and self._one_in(10):
            text += "\nquery Other { __typename }"
            return Asked(text, self.variables.given, name)
        return Asked(text, self.variables.given, name if name and self._one_in(3) else None)

    # --- the root
    def _root(self, name: str, root: GraphQLField) -> str:
        given = {}
        for argument, declared in root.args.items():
            if is_non_null_type(declared.type) or self._one_in(2):
                given[argument] = self._argument(root, argument, declared.type)
        shown = ", ".join(f"{n}: {v}" for n, v in given.items())
        called = self._aliased(name, named=True) + (f"({shown})" if shown else "")
        return f"{called} {self._selection(get_named_type(root.type), DEEPEST)}"

    def _argument(self, root: GraphQLField, name: str, kind: Any) -> str:
        value = self._value(root, name, kind)
        return self._written(kind, value)

    def _written(self, kind: Any, value: Any) -> str:
        """A value as a literal, as a variable, or as an object of both."""
        plain = get_nullable_type(kind)
        literal = "null" if value is None else _literal(value, plain)
        if self._one_in(2):
            if value is None and is_non_null_type(kind):
                return literal
            spelled = str(plain) + (
                "!" if is_non_null_type(kind) or (value is not None and self._one_in(3)) else ""
            )
            return self.variables.add(spelled, value, literal)
        if isinstance(plain, GraphQLInputObjectType) and value is not None:
            members = (f"{n}: {self._written(plain.fields[n].type, v)}" for n, v in value.items())
            return f"{{{', '.join(members)}}}"
        return literal

    def _value(self, root: GraphQLField, name: str, kind: Any) -> Any:
        plain: Any = get_nullable_type(kind)
        target = get_named_type(root.type).name.removesuffix("Connection")
        if isinstance(plain, GraphQLInputObjectType):
            names = self.chance.sample(list(plain.fields), k=self.chance.choice([0, 1, 1, 2]))
            return {n: self._filter(target, n, plain.fields[n].type) for n in names}
        if name in USUAL:
            usual, every = USUAL[name]
            return self.values.choice(every if self._rarely(4) else usual)
        if name == "first":
            return self.values.choice([1, 2, 3, 5, 20] if not self._rarely(20) else [0, 100, 101])
        if name == "after":
            if self._rarely(15):
                return self.values.choice(["", "xx", "azo"])
            from hub.listing import cursor

            key = self.values.choice(self.all.keys[target])
            return cursor(type("Row", (), {"key": key})())
        return self._key(target)

    def _filter(self, target: str, name: str, kind: Any) -> Any:
        if self._rarely(10):
            return None
        scalar = get_named_type(kind).name
        if scalar == "Boolean":
            return self.values.random() < 0.5
        if scalar == "DateTime":
            return self.values.choice(TIMES)
        if scalar == "Int":
            return self.values.choice([0, 1, 4, 5, 70_000])
        referred = name[0].upper() + name[1:]
        if referred in self.all.keys and not self._rarely(8):
            return self._key(referred)
        del target
        return self.values.choice(TEXTS if self._rarely(3) else TEXTS[:6])

    def _key(self, kind: str) -> str:
        if self._rarely(12):
            return self.values.choice(["nope", "", "\x00", "ünknown 'key'"])
        return self.values.choice(self.all.keys[kind])

    # --- below the root
    def _selection(self, kind: Any, depth: int) -> str:
        assert isinstance(kind, GraphQLObjectType)
        fields = {n: f for n, f in kind.fields.items() if n not in LEFT_OUT}
        flat = [
            n
            for n, f in fields.items()
            if not isinstance(get_named_type(f.type), GraphQLObjectType)
        ]
        deep = [n for n in fields if n not in flat]
        chosen = self.chance.choices(flat or ["__typename"], k=self.chance.randint(1, 4))
        if depth > 0 and self.left > 0 and deep:
            chosen += self.chance.choices(deep, k=self.chance.choice([0, 1, 1, 2]))
        if not flat and deep:
            chosen += [self.chance.choice(deep)]
        self.chance.shuffle(chosen)
        pieces = [self._field(name, fields.get(name), depth) for name in chosen]
        if self._one_in(10):
            pieces.append(self._aliased("__typename"))
        if self._one_in(5):
            cut = self.chance.randint(0, len(pieces) - 1)
            pieces = [*pieces[:cut], self._fragment(kind, pieces[cut:])]
        return "{ " + " ".join(pieces) + " }"

    def _field(self, name: str, known: GraphQLField | None, depth: int) -> str:
        self.left -= 1
        text = self._aliased(name)
        if known is None or not isinstance(get_named_type(known.type), GraphQLObjectType):
            return self._directed(text)
        return self._directed(text, f" {self._selection(get_named_type(known.type), depth - 1)}")

    def _fragment(self, kind: GraphQLObjectType, pieces: list[str]) -> str:
        inside = f"{{ {' '.join(pieces)} }}"
        if self._one_in(2):
            condition = f"on {kind.name} " if self._one_in(2) else ""
            return f"... {condition}{self._directive()}{inside}"
        name = f"F{len(self.fragments)}"
        self.fragments[name] = (kind.name, inside)
        spread = f"...{name} {self._directive()}"
        return f"{spread} ...{name}" if self._one_in(4) else spread

    def _aliased(self, name: str, *, named: bool = False) -> str:
        # Ages are told by their alias, since two answers are given at two times.
        if name == "ageSeconds" or named or self._one_in(5):
            self.aliases += 1
            return f"{'age' if name == 'ageSeconds' else 'a'}{self.aliases}: {name}"
        return name

    def _directed(self, text: str, selection: str = "") -> str:
        if selection:
            return f"{text} {self._directive()}{selection}"
        if text.endswith("}"):  # a root field, whose directive would stand before its selection
            return text
        return f"{text} {self._directive()}"

    def _directive(self) -> str:
        if not self._one_in(8):
            return ""
        truth = self.chance.random() < 0.7
        value = str(truth).lower()
        if self._one_in(2):
            value = self.variables.add("Boolean!", truth, value)
        return f"@{self.chance.choice(['include', 'skip'])}(if: {value}) "

    def _one_in(self, times: int) -> bool:
        return self.chance.randrange(times) == 0

    def _rarely(self, times: int) -> bool:
        return self.values.randrange(times) == 0


def _literal(value: Any, kind: Any) -> str:
    if not isinstance(kind, GraphQLInputObjectType):
        return json.dumps(value, ensure_ascii=False)
    members = (
        f"{n}: {'null' if v is None else _literal(v, get_nullable_type(kind.fields[n].type))}"
        for n, v in value.items()
    )
    return f"{{{', '.join(members)}}}"
