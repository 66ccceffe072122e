"""What each system says: one row per upstream record, raw and mapped.

A source record is the reason that a rule can change, a mapping can be mended or a system be
replaced without asking any upstream again.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, models


class RawJSONField(models.Field[Any, Any]):
    """JSON text exactly as received: type `json`, which keeps spacing and key order, as str."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002 (Django's)
        return "json"

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:  # noqa: ARG002 (Django's)
        # psycopg would parse json into Python objects and lose the sender's own spelling.
        return f"{sql}::text", params


class Source(models.Model):
    """One stream of one system that speaks about one entity."""

    id = models.SmallAutoField(primary_key=True)
    system = models.TextField(help_text="Slug of the connection, for example sap.")
    stream = models.TextField(help_text="Slug of the stream, for example prices.")
    entity = models.TextField(help_text="Name of the entity it speaks about.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "stream", "entity"], name="source_once")
        ]

    def __str__(self) -> str:
        return f"{self.system}.{self.stream}"


class SourceRecord(models.Model):
    """What one system says about one of its records, as received and as mapped.

    `version` is the source's own ordering (its change time in microseconds, or a sequence);
    `changed_at` the same as a time where it is one; `observed_at` when the hub read it.
    `run_id`, `event_id` and `correlation_id` name what brought it, as plain values.
    """

    id = models.BigAutoField(primary_key=True)
    # No constraint: a check for each of a page's thousand rows costs more than the insert.
    source = models.ForeignKey(
        Source, on_delete=models.PROTECT, db_index=False, db_constraint=False
    )
    record_key = models.TextField(
        db_collation="C", help_text="The upstream's identifier of the record."
    )
    entity_key = models.TextField(
        db_collation="C", help_text="Natural key of the entity it speaks about."
    )
    previous_key = models.TextField(
        db_collation="C", null=True, help_text="The entity key that it had before."
    )
    told_key = models.TextField(
        db_collation="C",
        null=True,
        help_text="The key that its system told, where that was merged into another"
        " (catalog.matching).",
    )
    payload = RawJSONField(help_text="The record exactly as received.")
    payload_hash = models.BinaryField(max_length=16, help_text="BLAKE2b-128 of the payload.")
    fields = models.JSONField(help_text="The payload as mapped to the entity's fields.")
    version = models.BigIntegerField()
    changed_at = models.DateTimeField(null=True)
    observed_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)
    run_id = models.BigIntegerField(null=True)
    event_id = models.BigIntegerField(null=True)
    correlation_id = models.TextField(default="")
    contract = models.TextField(default="", help_text="Version of the contract that it passed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "record_key"], name="source_record_once")
        ]
        indexes = [models.Index(fields=["entity_key", "source"], name="source_record_entity")]
        permissions = [("see_personal", "Can see personal data (catalog.masking)")]

    def __str__(self) -> str:
        return f"{self.source} {self.record_key}"


def source_id(system: str, stream: str, entity: str) -> int:
    """The id of a source, registered on first use."""
    # Looked for first: an INSERT that finds its row uses up a number all the same, and of a
    # smallint there are 32,767.
    known = Source.objects.filter(system=system, stream=stream, entity=entity)
    found = known.values_list("id", flat=True).first()
    if found is not None:
        return int(found)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_source (system, stream, entity) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (system, stream, entity),
        )
    return int(known.values_list("id", flat=True).get())
