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

# Nothing is emptied at commit: files that are cut, and the index of a TOAST table that is built anew, took
# longer than merging one record. What was staged lies there until the session stages again.
STAGE = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS stage (
    source_id smallint, record_key text, entity_key text, payload json, payload_hash bytea,
    fields jsonb, version bigint, changed_at timestamptz, deleted boolean,
    observed_at timestamptz, run_id bigint, event_id bigint, correlation_id text
) WITH (toast_tuple_target = 8160);
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    entity text, key text, record_id bigint, event_id bigint, correlation_id text
);
{UNSETTLED}"""

# A plan made while the tables are small would scan them, and be kept while they grow.
INDEX_PLANS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('work_mem', '32MB', true),
       set_config('plan_cache_mode', 'force_generic_plan', true)"""

EMPTY = f"""
DELETE FROM stage; DELETE FROM touched; DELETE FROM unsettled;{INDEX_PLANS};
"""  # noqa: S608 (our own constant)

#: What was deleted still takes up room, which is read. A file that held more is cut, which has plans that
#: read the table made anew: the one that stores reads `stage`, all merges read `touched`.
MOST_BYTES, MOST_ROWS = 1024 * 1024, 5000
#: Rows of a batch that is staged in one trip with what follows.
SMALL = 20


@dataclass(slots=True)
class _Held:
    """What the tables of a session have held since they were cut."""

    size: int = 0
    rows: int = 0


#: The tables stay, once a transaction that made them was committed.
_held: WeakKeyDictionary[Any, _Held] = WeakKeyDictionary()

COPY = "COPY stage FROM STDIN"
# The same lines by a statement that others can follow in one trip.
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


def emptied(cursor: Any, rows: int, size: int = 0) -> str:
    """SQL that goes before a batch: its tables, which there are by then, are empty.

    `rows` will be touched, and `size` bytes staged.
    """
    session, cut = connection.connection, []
    held = _held.get(session)
    if held is None:
        held = _Held()
        cursor.execute(STAGE)
        transaction.on_commit(partial(_held.__setitem__, session, held))
    if held.size > MOST_BYTES:
        cut, held.size = ["stage"], 0
    if held.rows > MOST_ROWS:
        cut, held.rows = [*cut, "touched", "unsettled"], 0
    held.size, held.rows = held.size + size, held.rows + rows
    return (f"TRUNCATE {', '.join(cut)};" if cut else "") + EMPTY


def staging(cursor: Any, lines: Sequence[bytes]) -> tuple[str, str]:
    """SQL that stages a small batch, and its parameter `lines`; a large one is staged by then."""
    text = b"\n".join(lines) + b"\n"
    empty = emptied(cursor, len(lines), len(text))
    if len(lines) <= SMALL:
        cells = [[_cell(cell) for cell in line.split(b"\t")] for line in lines]
        return f"{empty}{call(FEW, {'lines': 'jsonb'})};\n", msgspec.json.encode(cells).decode()
    cursor.execute(empty)
    with cursor.copy(COPY) as copy:
        copy.write(text)
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
