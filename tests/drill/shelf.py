"""The connector of the drill, as it is deployed: stock levels of the upstream of the fault tests.

A deploy writes this file anew, with another member for MAPPED, and starts the workers again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from connectors.runtime import connector
from connectors.runtime.declare import From, StreamSpec
from connectors.webhooks.declare import Webhook
from connectors.wms.connector import STOCK
from tests.faults.connector import Events, FaultyConnector, PoisonableLevel, available

#: The member that `stock.available` is read from.
MAPPED = "available"

LEVELS: StreamSpec = replace(
    STOCK,
    contract=PoisonableLevel,
    page_size=100,
    fields={**STOCK.fields, "available": From(MAPPED, available, more=("poison",))},
)


@connector.register
class ShelfConnector(FaultyConnector):
    slug: ClassVar[str] = "shelf"
    label: ClassVar[str] = "The upstream of the fault drill"
    streams: ClassVar[tuple[StreamSpec, ...]] = (LEVELS,)
    webhook: ClassVar[Webhook | None] = Events()
