"""When each key was last used: written at most once a minute a key, apart from the requests.

A request only leaves a note, which is written within a second. A process that is killed loses its
notes; the key's next use notes it again.
"""

from __future__ import annotations

from django.db import connection

from observability.flushing import Flusher

SECONDS = 1.0
WRITE = """UPDATE hub_apikey SET last_used_at = now() WHERE id = ANY(%s)
  AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"""

_noted: set[int] = set()


def note(key_id: int) -> None:
    """The key of this id is in use."""
    _noted.add(key_id)
    _flusher.start()


def write() -> bool:
    """Write what was noted; whether there was something. Raises django.db.Error."""
    ids = [_noted.pop() for _ in range(len(_noted))]
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [sorted(ids)])
    return bool(ids)


#: Started by the first key that is used: most processes look at none.
_flusher = Flusher("key uses", SECONDS, write, dropped=_noted.clear)
