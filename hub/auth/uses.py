"""When each key was last used: written by a thread of its own, at most once a minute a key.

A request only leaves a note. What is still noted when a process ends is lost; the key's next use
notes it again.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue

import structlog
from django.db import connection

log = structlog.get_logger(__name__)

#: Notes of so many seconds are written together.
GATHER_SECONDS = 1.0
WRITE = """UPDATE hub_apikey SET last_used_at = now() WHERE id = ANY(%s)
  AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"""

_noted: SimpleQueue[int] = SimpleQueue()
_starting = threading.Lock()
_writer: threading.Thread | None = None


def note(key_id: int) -> None:
    """The key of this id is in use."""
    global _writer  # noqa: PLW0603 (one writer a process, and none before it is needed: forks)
    _noted.put(key_id)
    if _writer is None or not _writer.is_alive():
        with _starting:
            if _writer is None or not _writer.is_alive():
                _writer = threading.Thread(target=_write_for_ever, name="key uses", daemon=True)
                _writer.start()


def _write_for_ever() -> None:
    while True:
        ids = {_noted.get()}
        time.sleep(GATHER_SECONDS)
        while not _noted.empty():
            ids.add(_noted.get())
        try:
            with connection.cursor() as cursor:
                cursor.execute(WRITE, [sorted(ids)])
        except Exception as error:  # noqa: BLE001 (a note that is lost must not end the writing)
            log.warning("the last use of some keys was not written", error=str(error))
        finally:
            connection.close()
