"""Which key stands for which, and which pairs may be the same."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class SameAs(models.Model):
    """What systems say about `alias` they say about `key`, until it is taken apart (`ended_at`).

    `root` is where a chain of them ends: the key that source records are kept under. It is empty
    once the row has ended.
    """

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    alias = models.TextField(db_collation="C")
    key = models.TextField(db_collation="C")
    root = models.TextField(db_collation="C", null=True)
    score = models.FloatField(null=True)
    reason = models.TextField()
    merged_at = models.DateTimeField(db_default=Now())
    merged_by = models.TextField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.TextField(default="", db_default="")
    ended_because = models.TextField(default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "merged record"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["entity", "alias"], condition=Q(ended_at=None), name="same_as_once"
            ),
            models.CheckConstraint(condition=~Q(alias=F("key")), name="same_as_another"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["entity", "key"], condition=Q(ended_at=None), name="same_as_key")
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.alias} is {self.key}"


class MatchCandidate(models.Model):
    """Two records that may be about the same thing. `first` sorts before `second`.

    open ──▶ merged, or rejected, by a person or by its score
      ▲ ──▶ withdrawn: their values agree no longer; open again when they do
    """

    class State(models.TextChoices):
        OPEN = "open"
        MERGED = "merged"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    first = models.TextField(db_collation="C")
    second = models.TextField(db_collation="C")
    score = models.FloatField()
    reasons = models.JSONField(default=list, help_text="What they agree and disagree in.")
    state = models.TextField(choices=State.choices, default=State.OPEN, db_default=State.OPEN)
    found_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)
    decided_by = models.TextField(default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-score", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entity", "first", "second"], name="candidate_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["entity", "second"], condition=Q(state="open"), name="candidate_second"
            ),
            models.Index(fields=["-score", "id"], condition=Q(state="open"), name="candidate_open"),
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.first} and {self.second}"


class MatchPosition(models.Model):
    """Up to where in the change notices an entity's records were compared (a pg_snapshot)."""

    entity = models.TextField(primary_key=True)
    seen = models.TextField()

    def __str__(self) -> str:
        return f"{self.entity} up to {self.seen}"
