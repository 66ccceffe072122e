"""A statement ready to run: its SQL in two spellings, its parameters, and what goes around its JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hub.cache.tags import Reads
from hub.reads.build import Binder, Build
from hub.reads.reasons import NotCompiledError
from hub.usage.uses import Uses

#: Planning 50,000 characters takes PostgreSQL a tenth of a second, once a connection. A product with
#: everything and its provenance has 12,000.
LONGEST = 48_000


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `$n`, the same for Django's cursor, a name for preparing it, and its parameters.

    It gives one row of JSON texts, a column for each root field; `pieces` go before and between
    them: `{"data":{"product":`, `,"products":`, `}}`. One that is `versioned` has a last column
    more: the record's version.
    """

    sql: str
    named: str
    name: bytes
    binders: tuple[Binder, ...]
    pieces: tuple[bytes, ...]
    reads: Reads
    uses: Uses
    versioned: bool = False


def statement_of(
    columns: Sequence[str], build: Build, around: Iterable[bytes] = (), *, versioned: bool = False
) -> Statement:
    """The statement of these SELECTs, each of one value. Raises NotCompiledError.

    `versioned`: the only one selects a version beside its value.
    """
    text = _versioned(columns[0]) if versioned else _one_row(columns)
    if len(text) > LONGEST:
        raise NotCompiledError(f"a statement of more than {LONGEST} characters")
    return Statement(
        sql=text,
        named=re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%")),
        name=hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode(),
        binders=tuple(build.parameters),
        pieces=tuple(around),
        reads=build.noting.noted(),
        uses=build.uses,
        versioned=versioned,
    )


def pieces(order: Sequence[str], looked_up: set[str], query: str) -> Iterator[bytes]:
    """What stands before, between and after the columns of an operation's statement."""
    text = '{"data":{'
    for place, name in enumerate(order):
        text += f'{"," if place else ""}"{name}":'
        if name in looked_up:
            yield text.encode()
            text = ""
        else:
            text += f'"{query}"'
    yield f"{text}}}}}".encode()


def _versioned(select: str) -> str:
    return f"SELECT x.document::text, x.version FROM ({select}) x(document, version)"


def _one_row(columns: Sequence[str]) -> str:
    if len(columns) == 1:
        return f"SELECT x.document::text FROM ({columns[0]}) x(document)"
    return "SELECT " + ", ".join(f"({column})::text" for column in columns)
