"""Who was turned away at our own doors: webhooks whose signature was wrong, API keys that have ended.

Counted in the process and written in sets, once a second, by a thread: one row for each minute and
subject. A process that is killed loses the last second's. Only subjects that are known to us are
named (a connection, a key that once was valid), so that strangers cannot fill the table.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import ClassVar

import structlog
from django.db import connection, models
from django.db.models.functions import Now

log = structlog.get_logger(__name__)

WEBHOOK, KEY = "webhook", "key"
#: Instead of an upstream: what is our own.
OURSELVES = "headwater"
WRITE_SECONDS = 1.0
MOST = 1_000
KEPT_DAYS = 7

#: (what, system, subject, code)
Refused = tuple[str, str, str, str]

WRITE = """
INSERT INTO observability_refusal AS r (minute, what, system, subject, code, count)
SELECT date_trunc('minute', now()), n.*
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[])
    n (what, system, subject, code, count)
ON CONFLICT (minute, what, system, subject, code) DO UPDATE
SET count = r.count + excluded.count, last_at = now()"""


class Refusal(models.Model):
    """How often somebody was refused within a minute."""

    id = models.BigAutoField(primary_key=True)
    minute = models.DateTimeField()
    what = models.TextField(help_text="webhook or key.")
    system = models.TextField()
    subject = models.TextField(default="", help_text="Prefix of the key.")
    code = models.TextField()
    count = models.PositiveIntegerField()
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["minute", "what", "system", "subject", "code"], name="refusal_once_a_minute"
            )
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.subject or self.system}: {self.count}"


_counted: Counter[Refused] = Counter()
_lock = threading.Lock()
_writer: threading.Thread | None = None


def note(what: str, system: str, subject: str, code: str) -> None:
    """Somebody was turned away."""
    global _writer  # noqa: PLW0603 (one writer a process, and none before it is needed: forks)
    with _lock:
        if (what, system, subject, code) in _counted or len(_counted) < MOST:
            _counted[what, system, subject, code] += 1
        if _writer is None or not _writer.is_alive():
            _writer = threading.Thread(target=_write_for_a_while, name="refusals", daemon=True)
            _writer.start()


def write() -> None:
    """Write what was counted. Raises django.db.Error."""
    with _lock:
        counted = dict(_counted)
        _counted.clear()
    if counted:
        columns = [list(column) for column in zip(*counted, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [*columns, list(counted.values())])


def prune() -> int:
    """Delete what is long past; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM observability_refusal WHERE minute < now() - %s * interval '1 day'",
            [KEPT_DAYS],
        )
        return int(cursor.rowcount)


def _write_for_a_while() -> None:
    """Until nothing more comes: a note that is made later finds the thread gone, and starts one."""
    while True:
        time.sleep(WRITE_SECONDS)
        try:
            write()
        except Exception as error:  # noqa: BLE001 (a count that is lost must not end the counting)
            log.warning("some refusals were not counted", error=str(error))
        finally:
            connection.close()
        with _lock:
            if not _counted:
                global _writer  # noqa: PLW0603 (see note)
                _writer = None
                return
