"""Values that wait for a person: said by another than the owner of a field that holds them.

Kept by the merge: a row is there while its value differs from the one served. It goes when the
values are the same again, when the system withdraws it, or when a steward has decided the field.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class HeldValue(models.Model):
    """What one source says of one field, `name` or `name.de_DE`, of one record."""

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(db_collation="C", help_text="Natural key of the record.")
    field = models.TextField()
    source = models.ForeignKey(
        "catalog.Source", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    source_record_id = models.BigIntegerField()
    rule_id = models.BigIntegerField(help_text="The ownership rule that holds it.")
    value = models.JSONField(help_text="As history keeps values: decimals as text.")
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["entity", "key", "field", "source"], name="one_held_value_a_source"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["rule_id"], name="held_by_rule")]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}: {self.field}"
