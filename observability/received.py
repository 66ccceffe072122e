"""The journal of requests that were made of us: what came to change something, and what broke.

Reads are not in it: they are thousands a second, change nothing, and each has its log line. Webhooks
that were accepted are in the inbox, each with its time and its body; refused ones are here. So a row
stands for a write, a form of the admin, a refused webhook, or an answer of 500 and above.
"""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from django.db import models
from django.db.models import Q

from observability.journal import Journal
from observability.redaction import redact_path

LONGEST = 300
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BROKEN = 500

INSERT = """
INSERT INTO observability_receivedrequest (at, method, path, status, milliseconds, correlation_id)
SELECT clock_timestamp() - n.age * interval '1 second', n.method, n.path, n.status, n.milliseconds,
       n.correlation
FROM unnest(%s::float8[], %s::text[], %s::text[], %s::int[], %s::float8[], %s::text[])
    n(age, method, path, status, milliseconds, correlation)"""


class ReceivedRequest(models.Model):
    """One request that changed something, was a refused webhook, or broke. `at`: when it came."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    method = models.TextField()
    path = models.TextField(help_text="Without its query.")
    status = models.IntegerField(help_text="Of the answer.")
    milliseconds = models.FloatField()
    correlation_id = models.TextField()

    class Meta:
        verbose_name = "received request"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["correlation_id"], name="request_correlation"),
            models.Index(fields=["-id"], name="request_broken", condition=Q(status__gte=BROKEN)),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"


_journal = Journal("received requests", INSERT, most=500)


def belongs(method: str, path: str, status: int) -> bool:
    """Whether a request is one to keep. GraphQL sends its reads by POST too; its writes are commands."""
    return status >= BROKEN or (method in CHANGING and path != "/graphql")


def note(method: str, path: str, status: int, milliseconds: float, correlation_id: str) -> None:
    """Keep a request that has just been answered."""
    path = redact_path(path[:LONGEST].replace("\x00", ""))
    row = (method[:LONGEST], path, status, milliseconds, correlation_id)
    _journal.put(monotonic() - milliseconds / 1000, row)
