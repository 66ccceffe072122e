"""Which system decides a field. A rule is one row; the merge compiles the rows into SQL.

`catalog.survivorship` says which rule decides where several do, `catalog.rule_checks` which rows
are refused, and `catalog.rule_changes` how a rule changes and what follows from it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

EVERY_FIELD = ""
#: Of a locale, channel or market: the rule is not narrowed by it.
EVERYWHERE = ""
#: The system in whose name a person decides a field: it goes before every rule.
STEWARD = "steward"


class Others(models.TextChoices):
    """What happens to a system that is neither owner nor fallback, and says something else."""

    REJECT = "reject", "rejected, and recorded"
    FALLBACK = "fallback", "accepted once the owner has been silent for so long"
    NEWEST = "newest", "the newest value wins, whoever says it"
    HOLD = "hold", "held for a person"


class OwnershipRule(models.Model):
    """`owner` decides `field` of `entity`; `fallbacks` are asked, in order, when it is silent.

    An empty field means every field of the entity that has no rule of its own. A rule may be
    narrowed: to one locale of localized texts, to the rows of one market or channel, to a time
    (`valid_from` inclusive, `valid_to` exclusive, by the database's clock). What is said of each
    policy in `Others`:

    * reject: owner, then fallbacks; nobody else can change the field.
    * fallback: so while the owner's record was read less than `silent_after` seconds ago. Once it
      is older, or absent, the fallbacks go before it, then all others, and its old value is last.
    * newest: of all that say something, what changed last at its source (`changed_at`, else
      `observed_at`); of several at once the owner, then the fallbacks in order.
    * hold: as reject, and what differs is listed in `catalog.held` for a person to decide.
    """

    entity = models.TextField()
    field = models.TextField(blank=True, default=EVERY_FIELD)
    locale = models.TextField(
        blank=True, default=EVERYWHERE, help_text="Of localized texts this locale alone: de_DE."
    )
    channel = models.TextField(
        blank=True, default=EVERYWHERE, help_text="The rows of this channel alone."
    )
    market = models.TextField(
        blank=True, default=EVERYWHERE, help_text="The rows of this market alone: DE."
    )
    valid_from = models.DateTimeField(null=True, blank=True, help_text="In force from then on.")
    valid_to = models.DateTimeField(null=True, blank=True, help_text="In force until before then.")
    owner = models.TextField(help_text="Slug of the system, for example sap.")
    fallbacks = ArrayField(models.TextField(), default=list, blank=True)
    others = models.TextField(choices=Others.choices, default=Others.REJECT)
    silent_after = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds; for others that are accepted in silence."
    )
    reason = models.TextField(blank=True, default="")
    in_force = models.BooleanField(
        null=True, editable=False, help_text="Of a rule with a window: as the last remap found it."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["entity", "field", "locale", "channel", "market", "valid_from", "valid_to"],
                name="one_rule_a_scope",
                nulls_distinct=False,
            )
        ]
        ordering: ClassVar = ["entity", "field", "locale", "market", "channel", "valid_from", "pk"]

    def __str__(self) -> str:
        return f"{self.scope} belongs to {self.owner}"

    @property
    def order(self) -> tuple[str, ...]:
        """Owner first, then the fallbacks."""
        return (self.owner, *self.fallbacks)

    @property
    def scope(self) -> str:
        """What it decides: `price.amount, market DE, until 2026-02-01 00:00`."""
        said = [f"{self.entity}.{self.field or '*'}"]
        said += [f"{name} {value}" for name, value in self.narrowed.items()]
        said += [
            f"{word} {moment:%Y-%m-%d %H:%M}"
            for word, moment in (("from", self.valid_from), ("until", self.valid_to))
            if moment is not None
        ]
        return ", ".join(said)

    @property
    def narrowed(self) -> dict[str, str]:
        """{locale, market, channel: value}, as far as the rule is narrowed by them."""
        names = ("locale", "market", "channel")
        return {name: getattr(self, name) for name in names if getattr(self, name) != EVERYWHERE}

    @property
    def silence(self) -> timedelta | None:
        """How long the owner may be silent before others are accepted; None: for good."""
        if self.others != Others.FALLBACK or self.silent_after is None:
            return None
        return timedelta(seconds=self.silent_after)

    def active(self, at: datetime) -> bool:
        """Whether it is in force at a moment."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )

    def as_json(self) -> dict[str, Any]:
        """All that a person set, for the history of rules."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name in SET_BY_PEOPLE
            for value in [getattr(self, name)]
        }


SET_BY_PEOPLE = (
    "entity", "field", "locale", "channel", "market", "valid_from", "valid_to", "owner",
    "fallbacks", "others", "silent_after", "reason",
)  # fmt: skip

#: SQL: whether a rule (alias `r`) is in force at `at`; as `OwnershipRule.active`.
IN_FORCE = (
    "(r.valid_from IS NULL OR r.valid_from <= at) AND (r.valid_to IS NULL OR at < r.valid_to)"
)


def rules_in_force(entity: str) -> models.QuerySet[OwnershipRule]:
    """The rules of an entity that are in force now, by the database's clock."""
    begun = Q(valid_from=None) | Q(valid_from__lte=Now())
    return OwnershipRule.objects.filter(
        begun, Q(valid_to=None) | Q(valid_to__gt=Now()), entity=entity
    )
