"""Stripe over its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Push
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import AuthBase, BearerAuth, Response, decode
from connectors.stripe import streams
from connectors.stripe.webhook import StripeWebhook
from connectors.webhooks.declare import Webhook
from observability.context import current_id
from observability.errors import GarbledError


class Listing(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


class Identified(msgspec.Struct):
    """An object, or (`GET` of a customer who was deleted) what is left of one."""

    id: str
    deleted: bool = False


class StripeSettings(connector.Settings):
    api_key: SecretStr


class StripeConnector(connector.Connector):
    """Lists by `starting_after`; whichever way round a server lists, the last id leads on."""

    slug: ClassVar[str] = "stripe"
    label: ClassVar[str] = "Stripe"
    Settings: ClassVar[type[connector.Settings]] = StripeSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (streams.PAYMENTS, streams.ACCOUNTS)
    webhook: ClassVar[Webhook | None] = StripeWebhook()

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return BearerAuth(settings.api_key.get_secret_value())

    @classmethod
    def published(cls, stream: StreamSpec) -> Published | None:
        # Published at github.com/stripe/openapi (spec3.json), not by the API itself.
        return Published("", stream.options["schema"])

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        query = {"limit": str(stream.page_size)}
        if ask.cursor:
            query["starting_after"] = ask.cursor
        url = f"{stream.options['path']}?{urlencode(query)}"
        response = self.session.checked(self.session.get(url))
        body = decode(Listing, response, self.session.connection)
        return Page(body.data, self._last_id(body, response) if body.has_more else None)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        response = self.session.get(f"{stream.options['path']}/{quote(record_key, safe='')}")
        if response.status_code == 404:
            return None
        found = decode(Identified, self.session.checked(response), self.session.connection)
        return None if found.deleted else response.content

    def push(self, stream: StreamSpec, push: Push) -> str:
        """Update an object. Stripe keeps the idempotency key for a day, and names it in events."""
        if push.operation != "update":
            return super().push(stream, push)
        response = self.session.post(
            f"{stream.options['path']}/{quote(push.record_key, safe='')}",
            data=dict(_form("", msgspec.json.decode(push.body))),
            headers={"Idempotency-Key": push.idempotency_key},
        )
        return decode(Identified, self.session.checked(response), self.session.connection).id

    def _last_id(self, body: Listing, response: Response) -> str:
        """Where the next page begins. Raises GarbledError: a list must not end early unnoticed."""
        try:
            return msgspec.json.decode(body.data[-1], type=Identified).id
        except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GarbledError(
                "the list has more, but its last object names no id to go on from",
                connection=self.session.connection,
                status=response.status_code,
                excerpt=bytes(body.data[-1]) if body.data else response.content,
                correlation_id=current_id(),
            ) from error


def _form(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """JSON as Stripe's forms have it: `metadata[order]=1`, `items[0][price]=…`."""
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _form(f"{name}[{key}]" if name else str(key), inner)
    else:
        yield (
            name,
            value if isinstance(value, str) else json.dumps(value) if value is not None else "",
        )
