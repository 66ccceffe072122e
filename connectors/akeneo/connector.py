"""Akeneo PIM over its REST API: OAuth password grant, search_after paging."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.akeneo import streams
from connectors.akeneo.webhook import AkeneoWebhook
from connectors.runtime import connector
from connectors.runtime.declare import Ask, Page, StreamSpec
from connectors.runtime.session import AuthBase, TokenAuth, TokenRequest, decode
from connectors.webhooks.declare import Webhook

ROOT = "api/rest/v1/"


class Link(msgspec.Struct):
    href: str


class Links(msgspec.Struct):
    next: Link | None = None


class Embedded(msgspec.Struct):
    items: list[msgspec.Raw]


class Listing(msgspec.Struct):
    """HAL: links beside embedded items."""

    embedded: Embedded = msgspec.field(name="_embedded")
    links: Links = msgspec.field(name="_links")


class AkeneoSettings(connector.Settings):
    client_id: str
    client_secret: SecretStr
    username: str
    password: SecretStr


class AkeneoConnector(connector.Connector):
    """Follows `_links.next` and never builds it: the format of search_after is Akeneo's own."""

    slug: ClassVar[str] = "akeneo"
    label: ClassVar[str] = "Akeneo PIM"
    Settings: ClassVar[type[connector.Settings]] = AkeneoSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        streams.CATEGORIES,
        streams.PRODUCTS,
        streams.VARIANTS,
    )
    webhook: ClassVar[Webhook | None] = AkeneoWebhook()

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return TokenAuth(
            TokenRequest(
                path="api/oauth/v1/token",
                json={
                    "grant_type": "password",
                    "username": settings.username,
                    "password": settings.password.get_secret_value(),
                },
                basic=(settings.client_id, settings.client_secret.get_secret_value()),
            )
        )

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        url = ask.cursor or self._first(stream, ask)
        response = self.session.checked(self.session.get(url))
        body = decode(Listing, response, self.session.connection)
        following = body.links.next
        # Akeneo links to a next page even after the last full one; an empty page ends it.
        link = self.session.relative(following.href) if following and body.embedded.items else None
        return Page(body.embedded.items, link)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        url = f"{ROOT}{stream.options['path']}/{quote(record_key, safe='')}"
        response = self.session.get(url)
        return None if response.status_code == 404 else self.session.checked(response).content

    def _first(self, stream: StreamSpec, ask: Ask) -> str:
        query = {"limit": str(stream.page_size)}
        if stream.options["search_after"]:
            query["pagination_type"] = "search_after"
        if ask.since is not None:
            # `>` is exclusive and in whole seconds (Akeneo, "Filters"): one second earlier.
            since = ask.since.replace(microsecond=0).timestamp() - 1
            search = {"updated": [{"operator": ">", "value": _spelled(since)}]}
            query["search"] = json.dumps(search)
        return f"{ROOT}{stream.options['path']}?{urlencode(query)}"


def _spelled(seconds: float) -> str:
    """A time as Akeneo's filters want it: `2026-01-31 12:00:00`, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
