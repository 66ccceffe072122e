"""Pages of 1,000 records as four systems send them: small and large, flat and nested.

No two records of the pages are alike, and their change times all differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

SIZE = 1000
START = 1767225600000


def stock(n: int) -> dict[str, Any]:
    return {
        "sku": f"P-{n:06d}-01", "warehouse": "AMS" if n % 2 else "LYS", "on_hand": n % 900,
        "reserved": n % 7, "available": n % 900 - n % 7,
        "updated_at": f"2026-02-{n % 28 + 1:02d}T{n % 24:02d}:{n % 60:02d}:00Z",
    }  # fmt: skip


def product(n: int) -> dict[str, Any]:
    return {
        "Product": f"P-{n:06d}-01", "ProductType": "FERT",
        "CrossPlantConfigurableProduct": f"P-{n:06d}", "ProductGroup": f"G{n % 400:03d}",
        "BaseUnit": "PC", "ProductStandardID": str(4006381000000 + n),
        "LastChangeDateTime": f"/Date({START + n * 61_000}+0000)/",
    }  # fmt: skip


def order(n: int) -> dict[str, Any]:
    lines = [
        {
            "SalesOrder": f"{n:010d}", "SalesOrderItem": f"{line}0",
            "Material": f"P-{n * line % 99999:06d}-01", "RequestedQuantity": str(line),
            "NetAmount": f"{n % 500}.90",
        }
        for line in range(1, n % 4 + 2)
    ]  # fmt: skip
    return {
        "SalesOrder": f"{n:010d}", "SoldToParty": f"{10000000 + n % 5000}",
        "SalesOrganization": "1010" if n % 2 else "1710", "TransactionCurrency": "EUR",
        "TotalNetAmount": f"{n % 9000}.80", "OverallSDProcessStatus": "ABC"[n % 3],
        "CreationDate": f"/Date({START + n % 400 * 86_400_000})/",
        "LastChangeDateTime": f"/Date({START + n * 61_000}+0000)/", "to_Item": {"results": lines},
    }  # fmt: skip


def review(n: int) -> dict[str, Any]:
    return {
        "attributes": {"type": "Review__c", "url": f"/services/data/v60.0/sobjects/Review__c/{n}"},
        "Id": f"a01{n:012d}AAA", "ProductCode__c": f"P-{n:06d}", "Rating__c": n % 5 + 1.0,
        "Title__c": f"Review {n}", "Body__c": "Kept us dry in three days of rain. " * 6,
        "Author__c": None if n % 9 == 0 else f"Author {n % 800}", "IsDeleted": False,
        "CreatedDate": f"2026-02-{n % 28 + 1:02d}T{n % 24:02d}:{n % 60:02d}:00.000+0000",
        "SystemModstamp": f"2026-03-{n % 28 + 1:02d}T{n % 24:02d}:{n % 60:02d}:07.000+0000",
    }  # fmt: skip


#: Name: (connector, stream, maker of a record).
CASES: dict[str, tuple[str, str, Callable[[int], dict[str, Any]]]] = {
    "warehouse stock": ("wms", "stock", stock),
    "SAP products": ("sap", "products", product),
    "SAP orders": ("sap", "orders", order),
    "Salesforce reviews": ("salesforce", "reviews", review),
}


def page(name: str, number: int) -> bytes:
    """One page: a JSON array of `SIZE` records."""
    maker = CASES[name][2]
    records = [maker(number * SIZE + n) for n in range(1, SIZE + 1)]
    return json.dumps(records, separators=(",", ":")).encode()
