"""Which connection a write goes to, or a question: the one whose connector is able to.

Where several are, the one named first by the ownership rules of the entity decides, else the one
that was connected first.
"""

from __future__ import annotations

from collections.abc import Callable

from catalog.ownership import EVERY_FIELD, OwnershipRule
from connectors.models import Connection
from connectors.runtime.connector import Connector, installed
from observability.errors import ConfigurationError


def able_to(capability: str) -> Connection:
    """The enabled connection that writes go to that need `capability` (`order.create`).

    Raises ConfigurationError that names the connectors which have it.
    """

    def entity(cls: type[Connector]) -> str | None:
        return next(
            (cls.stream(c.stream).entity for c in cls.capabilities if c.slug == capability), None
        )

    return _chosen(entity, f"is able to {capability}")


def who_answers(question: str) -> Connection:
    """The enabled connection that is asked `question` (`price.current`), which begins with the
    entity that it is about. Raises ConfigurationError that names the connectors which answer it.
    """
    about = question.partition(".")[0]
    return _chosen(lambda cls: about if question in cls.questions else None, f"answers {question}")


def _chosen(entity: Callable[[type[Connector]], str | None], what: str) -> Connection:
    """The connection to take. `entity` is None for a connector that does not come into question."""
    found = {slug: of for slug, cls in installed().items() if (of := entity(cls)) is not None}
    rows = list(
        Connection.objects.filter(enabled=True, connector__in=found).order_by("created_at", "pk")
    )
    if not rows:
        able = ", ".join(sorted(found)) or "none of those installed"
        raise ConfigurationError(
            f"no enabled connection {what}. Connect a system by a connector that does: {able}"
        )
    if len(rows) == 1:
        return rows[0]
    named = _named_first({found[row.connector] for row in rows})
    return min(rows, key=lambda row: named.index(row.slug) if row.slug in named else len(named))


def _named_first(entities: set[str]) -> list[str]:
    """Systems in the order of the entities' rules: those for all rows at all times before the
    others, and of these those for every field.
    """
    rules = OwnershipRule.objects.filter(entity__in=entities).order_by("entity", "pk")

    def narrow(rule: OwnershipRule) -> tuple[bool, bool]:
        timed = rule.valid_from is not None or rule.valid_to is not None
        return bool(rule.narrowed) or timed, rule.field != EVERY_FIELD

    ranked = sorted(rules, key=narrow)
    return [system for rule in ranked for system in rule.order]
