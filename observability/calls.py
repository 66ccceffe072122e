"""The journal of outgoing calls: one row for each attempt, written about once a second.

Whoever calls another system notes each attempt here. The rows are for people (what was asked of whom
under a correlation id) and kept for a week; `LISTENERS` hear of each call at once, in the calling
thread, and must be quick. Bodies and queries are never kept, and a path only below the connection's
address: what stands in that may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from django.db import models
from django.db.models import Q

from observability.journal import Journal
from observability.redaction import redact_path

#: Characters of a path and of an operation that are kept.
LONGEST = 300

INSERT = """
INSERT INTO observability_outgoingcall
    (at, system, operation, method, path, status, error, milliseconds, sent_bytes, received_bytes,
     correlation_id, headroom)
SELECT clock_timestamp() - n.age * interval '1 second', n.system, n.operation, n.method, n.path,
       n.status, n.error, n.milliseconds, n.sent, n.received, n.correlation, n.headroom
FROM unnest(%s::float8[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
            %s::float8[], %s::int[], %s::int[], %s::text[], %s::float8[])
    n(age, system, operation, method, path, status, error, milliseconds, sent, received,
      correlation, headroom)"""


class OutgoingCall(models.Model):
    """One attempt of a call to another system. `at` is when it began, by the database's clock."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    system = models.TextField(help_text="Slug of the connection, or of the subscriber.")
    operation = models.TextField(help_text="Method and path with its ids replaced.")
    method = models.TextField()
    path = models.TextField(help_text="Below the connection's address, without its query.")
    status = models.IntegerField(null=True, help_text="Empty: no answer came.")
    error = models.TextField(default="", db_default="", help_text="Code, where it failed.")
    milliseconds = models.FloatField()
    sent_bytes = models.IntegerField()
    received_bytes = models.IntegerField()
    correlation_id = models.TextField(default="", db_default="")
    headroom = models.FloatField(
        null=True, help_text="Share of the rate limit that was left, 0 to 1, where the system says."
    )

    class Meta:
        verbose_name = "outgoing call"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["correlation_id"], name="call_correlation"),
            models.Index(fields=["system", "-id"], name="call_system"),
            # A few in a thousand, and what somebody looks for.
            models.Index(fields=["-id"], name="call_failed", condition=~Q(error="")),
        ]

    def __str__(self) -> str:
        return f"{self.system}: {self.operation}"


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, which has just ended. `error` is a code of the error tree; "": none."""

    system: str
    operation: str
    method: str
    path: str
    status: int | None
    error: str
    milliseconds: float
    sent_bytes: int
    received_bytes: int
    correlation_id: str
    headroom: float | None


#: Told of every call, in the thread that made it.
LISTENERS: list[Callable[[Call], None]] = []

_journal = Journal("outgoing calls", INSERT)


def note(call: Call) -> None:
    """Keep a call that has just ended, and tell the listeners."""
    _journal.put(
        monotonic() - call.milliseconds / 1000,
        (
            call.system,
            call.operation[:LONGEST],
            call.method,
            redact_path(call.path[:LONGEST]),
            call.status,
            call.error,
            call.milliseconds,
            call.sent_bytes,
            call.received_bytes,
            call.correlation_id,
            call.headroom,
        ),
    )
    for listener in LISTENERS:
        listener(call)
