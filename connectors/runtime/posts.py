"""Posts that have to be manned: each resident drain holds an advisory lock while it works.

The lock ends with the drain's connection, however the drain ended, so an empty post shows at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

APPLIER, CAREFUL_APPLIER, ASKER = "inbox.apply", "inbox.apply.careful", "inbox.ask"
SENDER = "outbox.send"
POSTS = (APPLIER, CAREFUL_APPLIER, ASKER, SENDER)

#: First key of the two-key advisory locks: `posts` of Headwater.
CLASS = 0x486F7374

MANNED = """
SELECT objid::bigint FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@contextmanager
def held(post: str) -> Iterator[bool]:
    """Hold a post for the length of the block; False where it is taken."""
    number = POSTS.index(post)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [CLASS, number])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [CLASS, number])


def vacant() -> list[str]:
    """The posts that nobody holds."""
    with connection.cursor() as cursor:
        cursor.execute(MANNED, [CLASS])
        manned = {row[0] for row in cursor.fetchall()}
    return [post for number, post in enumerate(POSTS) if number not in manned]
