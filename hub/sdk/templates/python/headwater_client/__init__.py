"""The typed client of a Headwater hub.

hub = Headwater("https://hub.example", "hw_…")
product = hub.product(sku="P-000001", locale="de_DE", include=["provenance"])
"""

from headwater_client.client import Headwater
from headwater_client.errors import HeadwaterError

__all__ = ["Headwater", "HeadwaterError"]
