"""The typed client of a Headwater hub.

hub = Headwater("https://hub.example", "hw_…")
product = hub.product(sku="P-000001", locale="de_DE", include=["provenance"])
"""

from headwater_client.client import Headwater
from headwater_client.errors import HeadwaterError
from headwater_client.transport import etag_of
from headwater_client.writing import Written

__all__ = ["Headwater", "HeadwaterError", "Written", "etag_of"]
