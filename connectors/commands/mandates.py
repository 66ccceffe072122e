"""Whom a caller may act for: the rows of `Mandate`; a caller without any acts for every customer."""

from __future__ import annotations

from django.db import connection

from catalog.prepared import call
from connectors.commands.declare import Refused

ALLOWED = """
SELECT NOT EXISTS (SELECT FROM connectors_mandate WHERE caller = %(caller)s) OR EXISTS (
    SELECT FROM connectors_mandate WHERE caller = %(caller)s AND customer = %(customer)s)
FROM catalog_customer WHERE key = %(customer)s AND deleted_at IS NULL"""


def must_act_for(caller: str, customer: str, parameter: str = "customer") -> None:
    """Raises Refused: `customer_unknown`, `customer_not_allowed`."""
    allowed = call(ALLOWED, {"caller": "text", "customer": "text"})
    with connection.cursor() as cursor:
        cursor.execute(allowed, {"caller": caller, "customer": customer})
        found = cursor.fetchone()
    if found is None:
        raise Refused("customer_unknown", f"there is no customer {customer!r}", parameter=parameter)
    if not found[0]:
        raise Refused(
            "customer_not_allowed",
            f"this key may not act for customer {customer}",
            status=403,
            parameter=parameter,
        )
