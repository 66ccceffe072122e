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


class ReservationRecord(Contract):
    """So much of one level, kept for somebody; `status` is active or released."""

    id: str
    reference: str
    sku: str
    warehouse: str
    quantity: Decimal
    status: str
    updated_at: datetime
