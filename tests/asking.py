"""Who asks in the tests of the compiled reads: whoever may see everything, and others."""

from __future__ import annotations

from typing import Any

from hub.auth.rights import EVERYTHING, FULL, Rights, rights_of
from hub.negotiation import Wishes, wishes

#: Whoever may see everything, and wishes nothing.
ALL: dict[str, Any] = {"rights": FULL, "wishes": wishes({})}

EVERYWHERE = ("read:*", "trace:*")
SCOPES: tuple[tuple[str, ...], ...] = (
    tuple(EVERYTHING),
    EVERYWHERE,
    (*EVERYWHERE, "class:personal"),
    (*EVERYWHERE, "class:internal"),
    ("read:*",),
    # some fields of some entities, references and texts and what a summary measures among them
    (
        "trace:*",
        "read:category",
        "read:price.amount",
        "read:order",
        "read:order_line",
        "read:payment",
        "read:customer.email",
        "read:customer.country",
        "read:stock.warehouse",
        "read:review.author",
        "read:review.title",
        "read:product.name",
        "read:product.slug",
        "read:product.in_stock",
        "read:variant.gtin",
        "read:variant.product",
        "class:personal",
    ),
    # neither prices nor stock, and so nothing that is derived from them
    ("trace:*", "read:product", "read:variant", "read:category.slug", "read:review"),
    # all of them but one, and not all that the lowest price is made of
    ("trace:*", "read:product", "read:category", "read:stock", "read:price.amount"),
)
RIGHTS: tuple[Rights, ...] = tuple(map(rights_of, SCOPES))
WISHES: tuple[Wishes, ...] = (
    wishes({}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "fr;q=0.2, de-AT", "HTTP_CF_IPCOUNTRY": "DE"}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "fr", "HTTP_X_COUNTRY_CODE": "us"}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "*, xx", "HTTP_CF_IPCOUNTRY": "XX"}),
)
