"""Connectors as a connection opens them, and a stream read to its end as a pull reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.runtime.connector import Connector, connector_class
from connectors.runtime.declare import Ask, StreamSpec
from connectors.runtime.session import HubSession

#: What the sandbox accepts.
CREDENTIALS: dict[str, dict[str, str]] = {
    "akeneo": {
        "client_id": "1_headwater",
        "client_secret": "akeneo-secret",
        "username": "headwater",
        "password": "sandbox-akeneo",
    },
    "salesforce": {"client_id": "headwater", "client_secret": "sandbox-salesforce"},
    "stripe": {"api_key": "sk_test_headwater"},
    "sap": {"user": "HEADWATER", "password": "sandbox-sap", "client": "100"},
    "wms": {"token": "wms-sandbox-token"},
}


def opened(slug: str, url: str, *, retries: int = 1, **settings: Any) -> Connector:
    """A connector at an address; `settings` replace those that the sandbox accepts."""
    cls = connector_class(slug)
    told = cls.Settings(**{**CREDENTIALS[slug], **settings})
    auth = cls.auth(told, url)
    return cls(HubSession(slug, url, auth=auth, timeout=(2, 10), retries=retries), told)


def everything(
    connector: Connector, stream: str, since: datetime | None = None, most: int = 200
) -> list[bytes]:
    """The raw records of all pages. Fails when the cursor leads on for more than `most` pages."""
    spec, cursor, found = connector.stream(stream), None, []
    for _ in range(most):
        page = connector.page(spec, Ask(since=since, cursor=cursor))
        found += [bytes(record) for record in page.records]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError(f"{stream} did not end within {most} pages")


def said(spec: StreamSpec, raw: bytes) -> tuple[str | None, dict[str, Any]]:
    """(natural key of the entity, mapped fields). Raises ValueError for a broken contract."""
    record = spec.contract.model_validate_json(raw)
    return spec.entity_key(record), spec.mapped(record)
