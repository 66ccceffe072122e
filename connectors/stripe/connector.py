"""Stripe over its REST API."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.declare import Ask, Page, StreamSpec
from connectors.runtime.session import AuthBase, BearerAuth, decode
from connectors.stripe import streams


class Listing(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


class Identified(msgspec.Struct):
    id: str


class StripeSettings(connector.Settings):
    api_key: SecretStr


class StripeConnector(connector.Connector):
    """Lists by `starting_after`; whichever way round a server lists, the last id leads on."""

    slug: ClassVar[str] = "stripe"
    label: ClassVar[str] = "Stripe"
    Settings: ClassVar[type[connector.Settings]] = StripeSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (streams.PAYMENTS, streams.ACCOUNTS)

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:
        return BearerAuth(settings.api_key.get_secret_value())

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        query = {"limit": str(stream.page_size)}
        if ask.cursor:
            query["starting_after"] = ask.cursor
        url = f"{stream.options['path']}?{urlencode(query)}"
        response = self.session.checked(self.session.get(url))
        body = decode(Listing, response, self.session.connection)
        following = None
        if body.has_more and body.data:
            following = msgspec.json.decode(body.data[-1], type=Identified).id
        return Page(body.data, following)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        response = self.session.get(f"{stream.options['path']}/{quote(record_key, safe='')}")
        return None if response.status_code == 404 else self.session.checked(response).content
