"""What the warehouse's REST service promises."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from connectors.runtime.declare import Contract


class StockLevel(Contract):
    """One sku in one warehouse."""

    sku: str
    warehouse: str
    on_hand: Decimal
    reserved: Decimal
    available: Decimal
    updated_at: datetime
