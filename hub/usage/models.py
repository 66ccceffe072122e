"""What was read of our contract, by API key and day. Written by `hub.usage.counting` alone."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class FieldUsage(models.Model):
    """How many requests of a key read a field on a day (UTC).

    `key` is the prefix of an API key, or `jwt:` and the client of a token; no foreign key: what was
    read stays known when it is gone.
    """

    day = models.DateField()
    key = models.TextField(help_text="Prefix of the API key.")
    entity = models.TextField()
    field = models.TextField(help_text="By its name in the API.")
    requests = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "field usage"
        ordering: ClassVar = ["-day", "entity", "field", "key"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["entity", "field", "key", "day"], name="field_usage_of_a_day"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="field_usage_day")]

    def __str__(self) -> str:
        return f"{self.entity}.{self.field} on {self.day}"


class ObservedOperation(models.Model):
    """A GraphQL document, or an address of REST, that somebody used; values are left out of it."""

    digest = models.TextField(primary_key=True, help_text="SHA-256 of the text.")
    name = models.TextField()
    text = models.TextField()
    reads = ArrayField(models.TextField(), help_text="The fields, as product.brand.")
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class OperationUsage(models.Model):
    """How many requests of a key ran an operation on a day (UTC)."""

    day = models.DateField()
    key = models.TextField(help_text="Prefix of the API key.")
    operation = models.ForeignKey(
        ObservedOperation, on_delete=models.CASCADE, related_name="usage", db_constraint=False
    )
    requests = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "operation usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["operation", "key", "day"], name="operation_usage_of_a_day"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="operation_usage_day")]

    def __str__(self) -> str:
        return f"{self.operation_id} on {self.day}"
