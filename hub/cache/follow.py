"""The thread of a web process that follows change notices, and purges what they make wrong.

Each process looks for itself, so no purge can be lost on its way to it: while it looks, it knows
what is wrong; when it cannot look, it uses nothing that is kept. PostgreSQL's bell wakes it within
milliseconds; without the bell it looks a few times a second.

The order matters. Marks in Redis go first, then the answers of this process: a request that begins
after the second finds nothing old in the first. Then the follower says how far it is, and only when
all have, others are told of the change (`catalog.followers`).
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from time import monotonic

import structlog
from django.db import Error as DatabaseError
from django.db import connection
from psycopg import Error as EarError

from catalog import notices
from catalog.followers import HOLDS_SECONDS, NOTHING_SEEN, name_at
from catalog.notices import Changes
from catalog.tags import tags_of
from connectors.runtime import wake
from hub.cache.far import AWAY, Far
from hub.cache.near import Near

log = structlog.get_logger(__name__)

LOOK_SECONDS, QUIET_SECONDS, AWAY_SECONDS = 0.2, 0.02, 1.0
MOST_NOTICES = 1_000


class Follower:
    """What this process knows of the changes, and passes on to what is kept."""

    def __init__(self, near: Near, far: Far) -> None:
        self._near, self._far = near, far
        self._seen: str | None = None
        #: The position that others read of us.
        self._named = NOTHING_SEEN
        self._far_away_until = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cache follower", daemon=True)

    def start(self) -> None:
        """Follow, in a thread of its own, for as long as the process lives, or until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer: nothing is kept from now on."""
        self._stopped.set()
        self._thread.join()
        self._near.until = self._far.until = 0.0

    def look(self) -> bool:
        """Purge what changed since the last look; whether anything did. Raises django.db.Error."""
        began = monotonic()
        if self._seen is None:
            tags, seen = None, notices.position()
        else:
            tags, seen = _changed_since(self._seen)
        self._look_far(began, tags, seen)
        if tags is None or tags:
            self._near.purge(tags)
        self._near.until, self._seen = began + HOLDS_SECONDS, seen
        return tags is None or bool(tags)

    def _look_far(self, began: float, tags: set[str] | None, seen: str) -> None:
        if began < self._far_away_until:
            return
        try:
            same = self._far.beat()
            if not same:
                self._far.until = 0.0
            purged = self._far.seen()
            if purged is None:
                self._far.purge(None)
            elif not same:
                # Nobody knows what became of our purges: again from where Redis itself stands.
                tags, seen = _changed_since(purged)
                self._far.purge(tags)
            elif tags is None or tags:
                self._far.purge(tags)
            self._far.purged(seen)
        except AWAY as error:
            if self._far.until:
                log.warning("nothing is kept in Redis for now: it is away", error=str(error))
            # Its beats are not ours any more, so that the next look begins from its position.
            self._far.until, self._far_away_until = 0.0, monotonic() + AWAY_SECONDS
            self._far.forget_beat()
            return
        self._far.until = began + HOLDS_SECONDS

    def _run(self) -> None:
        ear: wake.Ear | None = None
        while not self._stopped.is_set():
            try:
                if ear is None:
                    ear = wake.Ear([wake.OUTBOX])
                    ear.name(name_at(NOTHING_SEEN))
                    self._named = NOTHING_SEEN
                changed = self.look()
                if self._seen is not None and (changed or self._named == NOTHING_SEEN):
                    # It may swallow a bell, so the next look is at once.
                    ear.name(name_at(self._seen))
                    self._named = self._seen
                else:
                    ear.wait(LOOK_SECONDS)
                # A bell that rings on and on is heard so often.
                time.sleep(QUIET_SECONDS)
            except (DatabaseError, EarError, OSError) as error:
                # Nobody sees any more that we follow, so nobody waits for us.
                self._near.until = self._far.until = 0.0
                log.warning("no answer is kept for now: changes are unknown", error=str(error))
                _let_go(ear)
                ear = None
                time.sleep(LOOK_SECONDS)
            except Exception:
                # Whatever it is: without a follower nothing is kept, and reads go on.
                log.exception("the cache's follower stumbled")
                time.sleep(AWAY_SECONDS)
        _let_go(ear)


def _let_go(ear: wake.Ear | None) -> None:
    """Close what may be broken already."""
    with suppress(DatabaseError, EarError, OSError):
        if ear is not None:
            ear.close()
    with suppress(DatabaseError, EarError, OSError):
        connection.close()


def _changed_since(seen: str) -> tuple[set[str] | None, str]:
    """The tags to purge, None: everything; and the position after that."""
    now, changes = notices.since(seen, MOST_NOTICES)
    if len(changes) == MOST_NOTICES or _from_elsewhere(seen, now):
        return None, now
    return _tags(changes), now


def _tags(changes: list[Changes]) -> set[str] | None:
    return tags_of(changes) if changes else set()


def _from_elsewhere(seen: str, now: str) -> bool:
    """Whether a position lies ahead: PostgreSQL was restored from a backup."""
    return int(seen.split(":")[1]) > int(now.split(":")[1])
