"""SOQL: text to a checked query. The subset a connector needs, with Salesforce's own errors.

    SELECT Id, Account.Name, … | COUNT() | FIELDS(ALL|STANDARD|CUSTOM)  FROM Type [alias]
    [WHERE …AND/OR/NOT… = != < <= > >= LIKE IN NOT IN]
    [ORDER BY a [ASC|DESC] [NULLS FIRST|LAST], …] [LIMIT n] [OFFSET n]

Datetimes are held as milliseconds since 1970 (UTC), ids as 18 characters, so that literals and
records compare alike. Source: Salesforce "SOQL and SOSL Reference", v60.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from connectors.sandbox.salesforce_schema import SCHEMA, Field, SObject, id_18

Value: TypeAlias = str | int | float | bool | None


class SoqlError(Exception):
    """A refused query: Salesforce's `errorCode` and the message it would show."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the queried type, or of its parent: `Account.Name` has relation `Account`."""

    field: Field
    relation: Field | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    column: Column
    operator: str  # = != < <= > >= like
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    column: Column
    values: frozenset[Value]
    negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    term: Condition


@dataclass(frozen=True, slots=True)
class Junction:
    """All (`every`) or any of the terms."""

    every: bool
    terms: tuple[Condition, ...]


Condition: TypeAlias = Compare | Among | Not | Junction


@dataclass(frozen=True, slots=True)
class Order:
    column: Column
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    sobject: SObject
    columns: tuple[Column, ...]  # empty for COUNT()
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


_TOKENS = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d\b)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)
    | (?P<mark><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_NUMERIC = frozenset({"double", "int", "currency", "percent"})
MAX_OFFSET = 2000  # "Maximum SOQL offset allowed is 2000"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # a group name of _TOKENS, or "end"
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKENS.match(text, at)
        if match is None or match.lastgroup is None:
            bad = text[at:].lstrip()[0]
            raise SoqlError(
                "MALFORMED_QUERY", f"line 1:{at} no viable alternative at character '{bad}'"
            )
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        at = match.end()
    yield _Token("end", "<EOF>", end)


def milliseconds(text: str) -> int:
    """`2026-01-31T10:00:00.000+0000`, `…Z` or a bare date to milliseconds since 1970."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse(text: str) -> Query:
    """Raises SoqlError: MALFORMED_QUERY, INVALID_TYPE, INVALID_FIELD and others."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.position = 0
        self.sobject = SCHEMA["account"]
        self.alias = ""

    # -- reading tokens

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.position += 1
        return token

    def keyword(self, *words: str) -> bool:
        """Consumes the words when they come next; case does not matter."""
        following = self.tokens[self.position : self.position + len(words)]
        if [token.text.upper() for token in following] != list(words):
            return False
        self.position += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.keyword(word):
            raise self.unexpected()

    def unexpected(self, token: _Token | None = None) -> SoqlError:
        culprit = token or self.token
        return SoqlError("MALFORMED_QUERY", f"unexpected token: '{culprit.text}'")

    def pointed(self, code: str, token: _Token, message: str) -> SoqlError:
        """Salesforce quotes the query with a caret under the culprit."""
        start = max(0, token.at - 40)
        excerpt = self.text[start : token.at + 40].replace("\n", " ")
        caret = " " * (token.at - start) + "^"
        where = f"ERROR at Row:1:Column:{token.at + 1}"
        return SoqlError(code, f"\n{excerpt}\n{caret}\n{where}\n{message}")

    # -- grammar

    def query(self) -> Query:
        self.expect("SELECT")
        selected = self.select_list()
        self.expect("FROM")
        self.sobject = self.type_name()
        if self.token.kind == "word" and self.token.text.upper() not in {
            "WHERE", "ORDER", "LIMIT", "OFFSET", "USING", "GROUP", "HAVING", "FOR",
        }:  # fmt: skip
            self.alias = self.take().text
        columns = tuple(column for token in selected for column in self.expand(token))
        where = self.any_of() if self.keyword("WHERE") else None
        order = self.order_list() if self.keyword("ORDER", "BY") else ()
        limit = self.whole_number() if self.keyword("LIMIT") else None
        offset = self.whole_number() if self.keyword("OFFSET") else 0
        if self.token.kind != "end":
            raise self.unexpected()
        if offset > MAX_OFFSET:
            message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", message)
        return Query(self.sobject, columns, where, order, limit, offset)

    def select_list(self) -> list[_Token]:
        """The chosen names, in order; empty for COUNT(); `FIELDS(X)` becomes `fields:X`."""
        if self.keyword("COUNT", "(", ")"):
            return []
        chosen: list[_Token] = []
        while True:
            token = self.take()
            if token.kind != "word" or token.text.upper() == "FROM":
                raise self.unexpected(token)
            if token.text.upper() == "FIELDS" and self.keyword("("):
                token = _Token("word", f"fields:{self.take().text.lower()}", token.at)
                self.expect(")")
            chosen.append(token)
            if not self.keyword(","):
                return chosen

    def type_name(self) -> SObject:
        token = self.take()
        found = SCHEMA.get(token.text.lower())
        if token.kind != "word" or found is None:
            raise self.pointed(
                "INVALID_TYPE",
                token,
                f"sObject type '{token.text}' is not supported. If you are attempting to use a "
                "custom object, be sure to append the '__c' after the entity name. Please "
                "reference your WSDL or the describe call for the appropriate names.",
            )
        return found

    def expand(self, token: _Token) -> Iterator[Column]:
        if not token.text.startswith("fields:"):
            yield self.column(token)
            return
        scope = token.text.removeprefix("fields:")
        for field in self.sobject.fields.values():
            if scope == "all" or (scope == "custom") == field.custom:
                yield Column(field)

    def column(self, token: _Token) -> Column:
        head, _, tail = token.text.rpartition(".")
        if token.kind != "word":
            raise self.unexpected(token)
        if head and head.lower() not in {self.alias.lower(), self.sobject.name.lower()}:
            return self.parent_column(token, head, tail)
        field = self.sobject.field(tail)
        if field is None:
            raise self.no_such_column(token, tail, self.sobject)
        return Column(field)

    def parent_column(self, token: _Token, head: str, tail: str) -> Column:
        for relation in self.sobject.fields.values():
            if relation.relationship and relation.relationship.lower() == head.lower():
                parent = SCHEMA[relation.reference_to.lower()]
                field = parent.field(tail)
                if field is None:
                    raise self.no_such_column(token, tail, parent)
                return Column(field, relation)
        raise self.pointed(
            "INVALID_FIELD",
            token,
            f"Didn't understand relationship '{head}' in field path. If you are attempting to use "
            "a custom relationship, be sure to append the '__r' after the custom relationship "
            "name. Please reference your WSDL or the describe call for the appropriate names.",
        )

    def no_such_column(self, token: _Token, name: str, sobject: SObject) -> SoqlError:
        return self.pointed(
            "INVALID_FIELD",
            token,
            f"No such column '{name}' on entity '{sobject.name}'. If you are attempting to use a "
            "custom field, be sure to append the '__c' after the custom field name. Please "
            "reference your WSDL or the describe call for the appropriate names.",
        )

    def any_of(self) -> Condition:
        terms = [self.all_of()]
        while self.keyword("OR"):
            terms.append(self.all_of())
        return terms[0] if len(terms) == 1 else Junction(every=False, terms=tuple(terms))

    def all_of(self) -> Condition:
        terms = [self.term()]
        while self.keyword("AND"):
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else Junction(every=True, terms=tuple(terms))

    def term(self) -> Condition:
        if self.keyword("NOT"):
            return Not(self.term())
        if self.keyword("("):
            inner = self.any_of()
            self.expect(")")
            return inner
        column = self.column(self.take())
        negated = self.keyword("NOT")
        if self.keyword("IN"):
            return Among(column, self.value_list(column), negated)
        if negated:
            raise self.unexpected()
        operator = self.take()
        if operator.text.upper() == "LIKE":
            return Compare(column, "like", self.literal(column))
        if operator.kind != "mark" or operator.text in "(),":
            raise self.unexpected(operator)
        return Compare(column, operator.text.replace("<>", "!="), self.literal(column))

    def value_list(self, column: Column) -> frozenset[Value]:
        self.expect("(")
        values = {self.literal(column)}
        while self.keyword(","):
            values.add(self.literal(column))
        self.expect(")")
        return frozenset(values)

    def literal(self, column: Column) -> Value:
        token, kind = self.take(), column.field.type
        word = token.text.upper() if token.kind == "word" else ""
        if word == "NULL":
            return None
        if kind == "datetime" and token.kind in {"datetime", "date"}:
            return milliseconds(token.text)
        if kind == "boolean" and word in {"TRUE", "FALSE"}:
            return word == "TRUE"
        if kind in _NUMERIC and token.kind == "number":
            return float(token.text)
        if kind not in {"datetime", "boolean", *_NUMERIC} and token.kind == "string":
            text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1].lower(), m[1]), token.text[1:-1])
            return id_18(text) if kind in {"id", "reference"} else text
        if token.kind in {"end", "mark"}:
            raise self.unexpected(token)
        quoted = token.kind == "string"
        raise self.pointed(
            "INVALID_FIELD",
            token,
            f"filter criteria for field '{column.field.name}' "
            f"must be of type {kind} and {'should not' if quoted else 'should'} be enclosed in "
            "quotes",
        )

    def order_list(self) -> tuple[Order, ...]:
        orders: list[Order] = []
        while True:
            column = self.column(self.take())
            descending = not self.keyword("ASC") and self.keyword("DESC")
            last = self.keyword("NULLS", "LAST")
            if not last:
                self.keyword("NULLS", "FIRST")
            orders.append(Order(column, descending, last))
            if not self.keyword(","):
                return tuple(orders)

    def whole_number(self) -> int:
        if not self.token.text.isdigit():
            raise self.unexpected()
        return int(self.take().text)
