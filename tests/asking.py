"""Who asks in the tests of the compiled reads: whoever may see everything, and others."""

from __future__ import annotations

from typing import Any

from hub.auth.rights import FULL, Rights, rights_of
from hub.negotiation import Wishes, wishes

#: Whoever may see everything, and wishes nothing.
ALL: dict[str, Any] = {"rights": FULL, "wishes": wishes({})}

EVERYWHERE = ("read:*", "trace:*")
RIGHTS: tuple[Rights, ...] = (
    FULL,
    rights_of(EVERYWHERE),
    rights_of((*EVERYWHERE, "class:personal")),
    rights_of((*EVERYWHERE, "class:internal")),
    rights_of(("read:*",)),
    # some fields of some entities, references and texts and what a summary measures among them
    rights_of(
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
            "read:variant.gtin",
            "read:variant.product",
            "class:personal",
        )
    ),
    rights_of(("trace:*", "read:product", "read:variant", "read:category.slug", "read:review")),
)
WISHES: tuple[Wishes, ...] = (
    wishes({}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "fr;q=0.2, de-AT", "HTTP_CF_IPCOUNTRY": "DE"}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "fr", "HTTP_X_COUNTRY_CODE": "us"}),
    wishes({"HTTP_ACCEPT_LANGUAGE": "*, xx", "HTTP_CF_IPCOUNTRY": "XX"}),
)
