"""Posts that have to be manned: each resident drain holds an advisory lock while it works.

The lock ends with the drain's connection, however the drain ended, so an empty post shows at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

APPLIER, SECOND_APPLIER = "inbox.apply", "inbox.apply.second"
CAREFUL_APPLIER, ASKER = "inbox.apply.careful", "inbox.ask"
SENDER = "outbox.send"
COMMANDER = "commands.run"
POSTS = (APPLIER, SECOND_APPLIER, CAREFUL_APPLIER, ASKER, SENDER, COMMANDER)
#: Workers that man no post: they are left for pulls.
PULLERS = int(str(settings.Q_CLUSTER["workers"])) - len(POSTS)

#: First key of the two-key advisory locks: `posts` of Headwater.
CLASS = 0x486F7374

#: A drain looks into the database every second. Longer than two leases: who thaws before that has
#: lost his claims, and does no harm.
FROZEN_SECONDS = 25

MANNED = """
SELECT l.objid::bigint FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

FROZEN = f"""{MANNED} AND EXISTS (
    SELECT 1 FROM pg_stat_activity a WHERE a.pid = l.pid AND a.state LIKE 'idle%%'
      AND a.state_change < now() - interval '{FROZEN_SECONDS} seconds')"""  # noqa: S608 (our own constants)


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
    manned = _numbers(MANNED)
    return [post for number, post in enumerate(POSTS) if number not in manned]


def frozen() -> list[str]:
    """The posts whose holder does nothing any more, and may hold rows and locks with it."""
    return [POSTS[number] for number in sorted(_numbers(FROZEN))]


def _numbers(statement: str) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [CLASS])
        return {row[0] for row in cursor.fetchall()}
