"""The temporary tables of a merge: what is said (`stage`), and which records that touches (`touched`).

Each session has its own, and keeps them. Lines are in COPY's text format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from django.db import connection, transaction

from catalog.derived import UNSETTLED
from catalog.prepared import call

STAGE = f"""
DROP TABLE IF EXISTS pg_temp.stage, pg_temp.touched, pg_temp.unsettled;
CREATE TEMPORARY TABLE stage (
    source_id smallint, record_key text, entity_key text, payload json, payload_hash bytea,
    fields jsonb, version bigint, changed_at timestamptz, deleted boolean,
    observed_at timestamptz, run_id bigint, event_id bigint, correlation_id text
) WITH (toast_tuple_target = 8160) ON COMMIT {{at_commit}} ROWS;
CREATE TEMPORARY TABLE touched (
    entity text, key text, record_id bigint, event_id bigint, correlation_id text
) ON COMMIT {{at_commit}} ROWS;
{UNSETTLED}"""

# A plan made while the tables are small would scan them, and be kept while they grow.
INDEX_PLANS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('work_mem', '32MB', true),
       set_config('plan_cache_mode', 'force_generic_plan', true)"""

# Of a small batch the rows stay until the next one; and who applies twice in a transaction has some too.
EMPTY = f"""
DELETE FROM stage; DELETE FROM touched; DELETE FROM unsettled;{INDEX_PLANS};
"""  # noqa: S608 (our own constant)

#: Rows of a small batch. A table that empties itself at each commit is truncated, which takes longer than
#: merging one record; of one that is emptied by DELETE the room is not used again.
SMALL = 20
#: So many rows have had room, when the tables are made anew.
ROOM = 2000


@dataclass(slots=True)
class _Tables:
    """Those of one session. Once a batch was not small, they empty themselves."""

    small: bool
    room: int


#: They stay, once a transaction that made them was committed.
_made: WeakKeyDictionary[Any, _Tables] = WeakKeyDictionary()

COPY = "COPY stage FROM STDIN"
# The same lines in one trip with what follows, which COPY cannot be.
FEW = """
INSERT INTO stage
SELECT (r ->> 0)::smallint, r ->> 1, r ->> 2, (r ->> 3)::json, (r ->> 4)::bytea, (r ->> 5)::jsonb,
       (r ->> 6)::bigint, (r ->> 7)::timestamptz, (r ->> 8)::boolean, (r ->> 9)::timestamptz,
       (r ->> 10)::bigint, (r ->> 11)::bigint, r ->> 12
FROM jsonb_array_elements(%(lines)s) AS r"""

# In COPY's text format a backslash, tab or line break in a value has to be escaped.
_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES}
_ESCAPE = re.compile(rb"\\.", re.DOTALL)


def emptied(cursor: Any, rows: int) -> str:
    """SQL that goes before a batch of so many rows: its tables, which there are by then, are empty."""
    session = connection.connection
    tables = _made.get(session)
    if tables is None or (tables.small and rows > min(SMALL, tables.room)):
        tables = _Tables(rows <= SMALL and (tables is None or tables.small), ROOM)
        cursor.execute(STAGE.format(at_commit="PRESERVE" if tables.small else "DELETE"))
        transaction.on_commit(partial(_made.__setitem__, session, tables))
    tables.room -= rows
    return EMPTY


def staging(cursor: Any, lines: Sequence[bytes]) -> tuple[str, str]:
    """SQL that stages a small batch, and its parameter `lines`; a large one is staged by then."""
    empty = emptied(cursor, len(lines))
    if len(lines) <= SMALL:
        cells = [[_cell(cell) for cell in line.split(b"\t")] for line in lines]
        return f"{empty}{call(FEW, {'lines': 'jsonb'})};\n", msgspec.json.encode(cells).decode()
    cursor.execute(empty)
    with cursor.copy(COPY) as copy:
        copy.write(b"\n".join(lines) + b"\n")
    return "", ""


def _cell(said: bytes) -> str | None:
    """A value of COPY's text format."""
    if said == b"\\N":
        return None
    return (_ESCAPE.sub(lambda found: _PLAIN[found[0]], said) if b"\\" in said else said).decode()


def escaped(value: bytes) -> bytes:
    """A value for a line."""
    for plain, said in _ESCAPES:
        if plain in value:
            value = value.replace(plain, said)
    return value
