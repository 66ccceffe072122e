"""Durable messages: what was received (inbox) and what is to be sent (outbox), one state machine.

    received ──claim──▶ claimed ──▶ applied       it is done: merged, or delivered
                        │  ▲   ├──▶ superseded    nothing was left to do, and `note` says why
                        ▼  │   │                  (older than what is stored, our own echo, …)
                     retrying  └──▶ dead          after its last attempt, or refused for good
                                     │
                     received ◀──────┘ replay, by an operator; nothing else leaves `dead`

An attempt is counted when a message is claimed, before anything runs: what takes its process down
with it has still had its attempt. Claims carry a lease and a fencing token, both by the
database's clock. A message whose lease expired is claimed again *alone*: it may be what killed
its worker, and its neighbours shall not pay for it twice.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from connectors.models.connection import Connection


class Message(models.Model):
    """What every durable message has. See the module for its states."""

    class State(models.TextChoices):
        RECEIVED = "received"
        CLAIMED = "claimed"
        RETRYING = "retrying"
        APPLIED = "applied"
        SUPERSEDED = "superseded"
        DEAD = "dead"

    id = models.BigAutoField(primary_key=True)
    state = models.TextField(
        choices=State.choices, default=State.RECEIVED, db_default=State.RECEIVED
    )
    received_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    token = models.BigIntegerField(
        default=0, db_default=0, help_text="Fencing token: grows with each claim."
    )
    finished_at = models.DateTimeField(null=True)
    note = models.TextField(default="", db_default="", help_text="Why there was nothing to do.")
    error_code = models.TextField(default="", db_default="")
    error = models.TextField(default="", db_default="", help_text="What the last attempt met.")
    errors = models.JSONField(
        default=list, db_default=[], help_text="[{attempt, at, code, error}], oldest first."
    )
    correlation_id = models.TextField(default="", db_default="")
    replays = models.PositiveIntegerField(default=0, db_default=0)
    replayed_by = models.TextField(default="", db_default="")

    class Meta:
        abstract = True
        ordering: ClassVar = ["-id"]


def due_index(name: str, *fields: str) -> models.Index:
    """The index by which due messages are found; it holds the waiting ones alone."""
    return models.Index(
        fields=[*fields, "next_attempt_at", "id"],
        name=name,
        condition=models.Q(state__in=[Message.State.RECEIVED, Message.State.RETRYING]),
    )


def replayed_index(name: str) -> models.Index:
    """The index by which what was replayed is listed."""
    return models.Index(fields=["-id"], name=name, condition=models.Q(replays__gt=0))


def correlation_index(name: str) -> models.Index:
    """The index by which everything under one correlation id is found."""
    return models.Index(
        fields=["correlation_id"], name=name, condition=~models.Q(correlation_id="")
    )


def lease_index(name: str) -> models.Index:
    """The index by which expired leases are found."""
    return models.Index(
        fields=["lease_until"], name=name, condition=models.Q(state=Message.State.CLAIMED)
    )


class InboxEvent(Message):
    """One change that an upstream told us of, as received; deduplicated by the sender's id.

    `stream` and `record_key` say what it is about. `key_only` says that it carries no record, or one
    that cannot be ordered: the upstream is asked for the record itself.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="events")
    event_id = models.TextField(help_text="The sender's id.")
    kind = models.TextField(default="", help_text="The sender's own name for what happened.")
    stream = models.TextField(default="")
    record_key = models.TextField(default="", db_collation="C")
    key_only = models.BooleanField(default=False, db_default=False)
    sequence = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField(null=True)
    origin = models.TextField(default="", help_text="Who caused it, where the sender tells.")
    gap_since = models.DateTimeField(
        null=True, help_text="The sender left events out from then on."
    )
    body = models.BinaryField(help_text="The event exactly as received.")
    headers = models.JSONField(default=dict, db_default={})
    record = models.BinaryField(null=True, help_text="What the upstream said when it was asked.")
    asked_at = models.DateTimeField(null=True, help_text="When the upstream was asked.")
    gone = models.BooleanField(default=False, db_default=False, help_text="It had it no more.")

    class Meta(Message.Meta):
        abstract = False
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "event_id"], name="inbox_event_once")
        ]
        indexes: ClassVar = [
            due_index("inbox_due", "key_only"),
            lease_index("inbox_leases"),
            replayed_index("inbox_replayed"),
            correlation_index("inbox_correlation"),
            models.Index(
                fields=["connection", "-id"],
                name="inbox_dead",
                condition=models.Q(state=Message.State.DEAD),
            ),
            models.Index(fields=["record_key", "stream"], name="inbox_record"),
        ]

    def __str__(self) -> str:
        return f"{self.kind or 'event'} {self.event_id}"

    @property
    def text(self) -> str:
        """The body for a person."""
        return bytes(self.body).decode("utf-8", "replace")


class EventPosition(models.Model):
    """How far the events of a connection are known to be complete."""

    connection = models.OneToOneField(
        Connection, on_delete=models.CASCADE, related_name="event_position"
    )
    sequence = models.BigIntegerField(null=True, help_text="The last without a gap before it.")
    received_at = models.DateTimeField(null=True, help_text="When the last event came.")

    def __str__(self) -> str:
        return f"{self.connection.slug} up to event {self.sequence}"
