"""Who keeps answers and follows change notices, and how far each follower is.

Whoever is told of a change asks us for the records again, and may keep what we say for good. So
nobody is told before every process that keeps answers has purged what the change made wrong.

A follower says how far it is in the `application_name` of a session of its own: PostgreSQL shows it
to every session, and forgets it with the process. A notice is everybody's once each follower has
seen its transaction, or has had HOLDS_SECONDS: by then a follower that is frozen, or
cut off, uses nothing that it kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from django.db import connection

from catalog.prepared import call

#: A look holds for so long: what is kept is never used later than that after the look's beginning.
HOLDS_SECONDS = 0.8

PREFIX = "headwater follows "
#: PostgreSQL cuts longer names off (NAMEDATALEN).
LONGEST_NAME = 63
#: The position of a follower who has not looked yet: it has seen nothing.
NOTHING_SEEN = "1:1:"
MOST_HELD = 10_000

#: A common table expression: the positions of all followers.
FOLLOWERS = rf"""
follower AS MATERIALIZED (
    SELECT substr(application_name, {len(PREFIX) + 1})::pg_snapshot AS seen
    FROM pg_stat_activity
    WHERE datname = current_database()
      AND application_name ~ '^{PREFIX}[0-9]+:[0-9]+:[0-9,]*$')"""  # noqa: S608 (our own constants)

#: About `n`, a notice: whether some follower may not have seen it.
UNSEEN = """
EXISTS (SELECT 1 FROM follower f WHERE NOT pg_visible_in_snapshot(n.xid::text::xid8, f.seen))"""

HELD = f"""
WITH {FOLLOWERS}
SELECT n.id FROM catalog_changenotice n WHERE NOT n.told AND {UNSEEN}
ORDER BY n.id LIMIT %(most)s"""  # noqa: S608 (our own constants)


def name_at(seen: str) -> str:
    """The `application_name` of a follower at a position (see `catalog.notices.position`)."""
    name = PREFIX + seen
    if len(name) <= LONGEST_NAME:
        return name
    # An earlier position: before all that was at work.
    oldest = seen.partition(":")[0]
    return f"{PREFIX}{oldest}:{oldest}:"


class Patience:
    """Notices that followers may not have seen yet, and since when they are waited for."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def waits(self) -> bool:
        """Whether there are any."""
        return bool(self._since)

    def look(self) -> None:
        """See who is waited for. Raises django.db.Error."""
        with connection.cursor() as cursor:
            cursor.execute(call(HELD, {"most": "int"}), {"most": MOST_HELD})
            held = [row[0] for row in cursor.fetchall()]
        now = monotonic()
        self._since = {pk: self._since.get(pk, now) for pk in held}

    def over(self) -> Sequence[int]:
        """Those that are waited for no longer: no follower can use what it kept before them."""
        end = monotonic() - HOLDS_SECONDS
        return [pk for pk, since in self._since.items() if since <= end]
