"""Whom a caller may act for: the rows of `Mandate`; a caller without any acts for every customer."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from catalog.entities import Customer
from connectors.commands.declare import Refused
from connectors.models import Mandate


def must_act_for(caller: str, customer: str, parameter: str = "customer") -> None:
    """Raises Refused: `customer_unknown`, `customer_not_allowed`."""
    his = Mandate.objects.filter(caller=caller)
    found = (
        Customer.objects.filter(key=customer, deleted_at__isnull=True)
        .annotate(allowed=Q(~Exists(his)) | Q(Exists(his.filter(customer=OuterRef("key")))))
        .values_list("allowed", flat=True)
        .first()
    )
    if found is None:
        raise Refused("customer_unknown", f"there is no customer {customer!r}", parameter=parameter)
    if not found:
        raise Refused(
            "customer_not_allowed",
            f"this key may not act for customer {customer}",
            status=403,
            parameter=parameter,
        )
