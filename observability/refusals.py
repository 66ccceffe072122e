"""Who was turned away at our own doors: webhooks whose signature was wrong, API keys that have ended.

Counted in the process and written in sets, once a second, by a thread: one row for each minute and
subject. A process that is killed loses the last second's. Only subjects that are known to us are
named (a connection, a key that once was valid), so that strangers cannot fill the table.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import ClassVar

from django.db import connection, models
from django.db.models.functions import Now

from observability.flushing import Flusher

WEBHOOK, KEY = "webhook", "key"
#: Instead of an upstream: what is our own.
OURSELVES = "headwater"
SECONDS = 1.0
MOST = 1_000

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


def note(what: str, system: str, subject: str, code: str) -> None:
    """Somebody was turned away."""
    with _lock:
        if (what, system, subject, code) in _counted or len(_counted) < MOST:
            _counted[what, system, subject, code] += 1
    _flusher.start()


def write() -> bool:
    """Write what was counted; whether there was something. Raises django.db.Error."""
    with _lock:
        counted = dict(_counted)
        _counted.clear()
    if counted:
        columns = [list(column) for column in zip(*counted, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [*columns, list(counted.values())])
    return bool(counted)


def forget() -> None:
    """Drop what was counted and not written."""
    global _lock  # noqa: PLW0603 (see Flusher)
    _lock = threading.Lock()
    _counted.clear()


#: Started by the first who is turned away: most processes open no door to anybody.
_flusher = Flusher("refusals", SECONDS, write, dropped=forget)
