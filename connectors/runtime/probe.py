"""The cheapest question to an upstream: the first page of its first stream. Nothing is stored."""

from __future__ import annotations

from connectors.models import Connection
from connectors.runtime.declare import Ask, Page, StreamSpec
from observability.errors import HubError


def first_page(row: Connection) -> tuple[StreamSpec, Page] | None:
    """The page; None where the connector has no stream. Raises HubError."""
    connector = row.open()
    try:
        if not connector.streams:
            return None
        spec = connector.streams[0]
        return spec, connector.page(spec, Ask())
    finally:
        connector.session.close()


def probe(row: Connection) -> bool:
    """Ask until the breaker has closed, or a question failed; whether it is closed."""
    breaker = row.circuit_breaker
    for _ in range(row.breaker_probes):
        if breaker.closed:
            return True
        try:
            if first_page(row) is None:
                return False
        except HubError:
            # Written down where it counts: at the breaker.
            return breaker.closed
    return breaker.closed
