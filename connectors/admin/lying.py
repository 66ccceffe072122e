"""How many messages lie in the outbox for each row of a list, however many were delivered."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, OuterRef, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from connectors.models import Message, OutboxCommand

#: As the partial indexes of the outbox have them (`connectors.models.messages.due_index`).
WAITING = (Message.State.RECEIVED, Message.State.RETRYING)


def waiting_for(kind: str) -> Any:
    """Beside a subscriber, connection or channel (`kind`): what is to be told to it still."""
    return _counted(kind, state__in=WAITING)


def dead_for(kind: str) -> Any:
    """The same of dead letters."""
    return _counted(kind, state=Message.State.DEAD)


def _counted(kind: str, **states: Any) -> Any:
    target = Concat(Value(f"{kind}/"), Cast(OuterRef("pk"), TextField()), output_field=TextField())
    lying = OutboxCommand.objects.filter(target=target, **states).order_by().values("target")
    return Coalesce(Subquery(lying.annotate(n=Count("pk")).values("n")), 0)
