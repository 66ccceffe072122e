"""Stripe over its REST API."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Capability, Push
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import AuthBase, BearerAuth, Response, decode
from connectors.stripe import streams
from connectors.stripe.refusals import accepted
from connectors.stripe.webhook import StripeWebhook
from connectors.stripe.writes import CAPABILITIES, PATHS
from connectors.webhooks.declare import Webhook
from observability.context import current_id
from observability.errors import GarbledError, RefusedByUpstreamError

#: So many records cost less in a list than one by one.
SEVERAL = 4
#: Stripe API reference, "Pagination".
LONGEST_PAGE = 100


class Listing(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


class Identified(msgspec.Struct):
    """An object, or (`GET` of a customer who was deleted) what is left of one."""

    id: str
    deleted: bool = False
    #: Of a payout: whether Stripe made it, and can say what it consists of.
    automatic: bool = False
    #: Of a payment.
    status: str | None = None


class StripeSettings(connector.Settings):
    api_key: SecretStr


class StripeConnector(connector.Connector):
    """Lists by `starting_after`; whichever way round a server lists, the last id leads on."""

    slug: ClassVar[str] = "stripe"
    label: ClassVar[str] = "Stripe"
    Settings: ClassVar[type[connector.Settings]] = StripeSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        streams.PAYMENTS,
        streams.REFUNDS,
        streams.PAYOUTS,
        streams.ACCOUNTS,
    )
    capabilities: ClassVar[tuple[Capability, ...]] = CAPABILITIES
    webhook: ClassVar[Webhook | None] = StripeWebhook()

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return BearerAuth(settings.api_key.get_secret_value())

    @classmethod
    def published(cls, stream: StreamSpec) -> Published | None:
        # Published at github.com/stripe/openapi (spec3.json), not by the API itself. A payout with
        # what it consists of is put together here, and published nowhere.
        schema = stream.options.get("schema")
        return Published("", schema) if schema else None

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        query = {"limit": str(stream.page_size)}
        if ask.cursor:
            query["starting_after"] = ask.cursor
        url = f"{stream.options['path']}?{urlencode(query)}"
        response = self.session.checked(self.session.get(url))
        body = decode(Listing, response, self.session.connection)
        records = self._with_items(stream, body.data)
        return Page(records, self._last_id(body, response) if body.has_more else None)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        response = self.session.get(f"{stream.options['path']}/{quote(record_key, safe='')}")
        if response.status_code == 404:
            return None
        found = decode(Identified, self.session.checked(response), self.session.connection)
        if found.deleted:
            return None
        (record,) = self._with_items(stream, [msgspec.Raw(response.content)])
        return bytes(record)

    def records(
        self, stream: StreamSpec, record_keys: Collection[str]
    ) -> Mapping[str, bytes | None]:
        """See `Connector.records`. Several are looked for among the newest first, in one call.

        Who asks for several has just written them, or what was written moments before: most are on the
        first page. A payout says more when it is asked for by its id.
        """
        found: dict[str, bytes | None] = {}
        if len(record_keys) >= SEVERAL and stream is not streams.PAYOUTS:
            newest = f"{stream.options['path']}?limit={LONGEST_PAGE}"
            response = self.session.checked(self.session.get(newest))
            for raw in decode(Listing, response, self.session.connection).data:
                found[msgspec.json.decode(raw, type=Identified).id] = bytes(raw)
        found = {key: raw for key, raw in found.items() if key in record_keys}
        missing = [key for key in record_keys if key not in found]
        return {**found, **super().records(stream, missing)}

    def push(self, stream: StreamSpec, push: Push) -> str:
        """See `Connector.push`. Stripe keeps the idempotency key, and names it in its events."""
        if push.operation == "update":
            path = f"{stream.options['path']}/{{key}}"
        elif push.operation in PATHS:
            path = PATHS[push.operation]
        else:
            return super().push(stream, push)
        done = self._posted(path, push.record_key, push.body, push.idempotency_key)
        if push.operation == "payment.authorise" and done.status == "requires_action":
            # Only the payer could go on, and is not here: nothing may be left held.
            self._posted(PATHS["payment.cancel"], done.id, b"{}", f"{push.idempotency_key}.cancel")
            raise RefusedByUpstreamError(
                "the payer's bank wants the payer to confirm the payment",
                reason="authentication_required",
                connection=self.session.connection,
                record=done.id,
            )
        return done.id

    def _posted(self, path: str, key: str, body: bytes, idempotency_key: str) -> Identified:
        response = self.session.post(
            path.format(key=quote(key, safe="")),
            data=dict(_form("", msgspec.json.decode(body))),
            headers={"Idempotency-Key": idempotency_key},
        )
        return decode(Identified, accepted(self.session, response), self.session.connection)

    def _with_items(self, stream: StreamSpec, records: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
        """Payouts with the balance transactions that they consist of; other records as they are.

        Stripe says of an automatic payout alone what is in it, and only when asked for it by its id.
        """
        if stream is not streams.PAYOUTS:
            return list(records)
        found = []
        for raw in records:
            payout = msgspec.json.decode(raw, type=Identified)
            items = list(self._items(payout.id)) if payout.automatic else []
            told = msgspec.json.encode({"data": items})
            found.append(
                msgspec.Raw(
                    bytes(raw).rstrip().removesuffix(b"}") + b',"transactions":' + told + b"}"
                )
            )
        return found

    def _items(self, payout: str) -> Iterator[msgspec.Raw]:
        query = {"payout": payout, "limit": "100", "expand[]": "data.source"}
        while True:
            url = f"v1/balance_transactions?{urlencode(query)}"
            response = self.session.checked(self.session.get(url))
            body = decode(Listing, response, self.session.connection)
            yield from body.data
            if not body.has_more:
                return
            query["starting_after"] = self._last_id(body, response)

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
