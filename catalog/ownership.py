"""Which system decides a field. A rule is one row; the merge compiles the rows into SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.postgres.fields import ArrayField
from django.db import models

from catalog.entities import entity, value_fields

EVERY_FIELD = ""
#: The system in whose name a person decides a field: it goes before every rule.
STEWARD = "steward"


class OwnershipRule(models.Model):
    """`owner` decides `field` of `entity`; `fallbacks` are asked, in order, when it is silent.

    An empty field means every field of the entity that has no rule of its own. A system that is
    neither owner nor fallback cannot change the field: what it says is kept as a losing value.
    """

    entity = models.TextField()
    field = models.TextField(blank=True, default=EVERY_FIELD)
    owner = models.TextField(help_text="Slug of the system, for example sap.")
    fallbacks = ArrayField(models.TextField(), default=list, blank=True)
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entity", "field"], name="one_rule_a_field")]
        ordering = ["entity", "field"]

    def __str__(self) -> str:
        return f"{self.entity}.{self.field or '*'} belongs to {self.owner}"

    @property
    def order(self) -> tuple[str, ...]:
        """Owner first, then the fallbacks."""
        return (self.owner, *self.fallbacks)


@dataclass(frozen=True, slots=True)
class Survivorship:
    """For each field of one entity: the systems that may supply it, in order, and the rule.

    A field without any rule is open: the first system that has a value wins, in the order in
    which the systems were connected.
    """

    order: dict[str, tuple[str, ...] | None]
    rule: dict[str, OwnershipRule | None]


def survivorship(entity_name: str, rules: Iterable[OwnershipRule] | None = None) -> Survivorship:
    """The rules of one entity, resolved for each of its fields."""
    rows = OwnershipRule.objects.filter(entity=entity_name) if rules is None else rules
    by_field = {rule.field: rule for rule in rows if rule.entity == entity_name}
    resolved = {
        f.name: by_field.get(f.name, by_field.get(EVERY_FIELD))
        for f in value_fields(entity(entity_name))
    }
    return Survivorship(
        order={name: rule.order if rule else None for name, rule in resolved.items()},
        rule=resolved,
    )
