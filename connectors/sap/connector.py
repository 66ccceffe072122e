"""SAP S/4HANA over OData V2."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Capability, Push, Questions
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import AuthBase, BasicAuth, HubSession, decode
from connectors.sap import orders, questions, streams
from connectors.sap.webhook import SapWebhook
from connectors.sap.writing import Writer
from connectors.webhooks.declare import Webhook
from observability.context import current_id
from observability.errors import GarbledError

ROOT = "sap/opu/odata/sap/"
# Whole seconds, rounded down: servers disagree on how many decimals a literal may have.
DEFAULT_SINCE = "LastChangeDateTime ge datetimeoffset'{:%Y-%m-%dT%H:%M:%SZ}'"


class Results(msgspec.Struct):
    """The envelope of a collection; `__count` is a string on one server, a number on another."""

    results: list[msgspec.Raw]
    next: str | None = msgspec.field(name="__next", default=None)
    count: str | int | None = msgspec.field(name="__count", default=None)


class Collection(msgspec.Struct):
    d: Results


class One(msgspec.Struct):
    d: msgspec.Raw


class SapSettings(connector.Settings):
    """`client` is SAP's system client, sent as `sap-client`."""

    user: str
    password: SecretStr
    client: str = ""


class SapConnector(connector.Connector):
    """Reads collections in a stable order; follows `__next` on the connection's own host."""

    slug: ClassVar[str] = "sap"
    label: ClassVar[str] = "SAP S/4HANA"
    Settings: ClassVar[type[connector.Settings]] = SapSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        streams.PRODUCTS,
        streams.CUSTOMERS,
        streams.PRICES,
        streams.ORDERS,
        streams.STOCK,
    )
    webhook: ClassVar[Webhook | None] = SapWebhook()
    capabilities: ClassVar[tuple[Capability, ...]] = (orders.CREATE, orders.CANCEL)
    questions: ClassVar[Questions] = {
        "price.current": lambda self, values: questions.current_price(
            self.session, self._headers(), values
        ),
        "credit.available": lambda self, values: questions.available_credit(
            self.session, self._headers(), values
        ),
    }

    def __init__(self, session: HubSession, settings: Any) -> None:
        super().__init__(session, settings)
        self._writer = Writer(session, self._headers())

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return BasicAuth(settings.user, settings.password.get_secret_value())

    @classmethod
    def published(cls, stream: StreamSpec) -> Published | None:
        service, collection = stream.options["path"].split("/")
        return Published(f"{ROOT}{service}/$metadata", collection)

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        # Behind the `#`, which no server gets to see: the mark of the page before.
        url, _, before = (ask.cursor or self._first(stream, ask)).partition("#")
        response = self.session.checked(self.session.get(url, headers=self._headers()))
        body = decode(Collection, response, self.session.connection).d
        mark = sha256(body.results[0]).hexdigest()[:16] if body.results else ""
        if mark and mark == before:
            raise self._stuck("the page begins as the one before it", stream)
        following = self._next(url, body, stream)
        total = int(body.count) if body.count is not None else None
        return Page(body.results, following and f"{following}#{mark}", total)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        values = record_key.split("/")
        if len(stream.record_key) == 1 and "expand" not in stream.options:
            key = f"('{_quoted(values[0])}')"
            url = f"{ROOT}{stream.options['path']}{key}?$format=json"
            response = self.session.get(url, headers=self._headers())
            if response.status_code == 404:
                return None
            self.session.checked(response)
            return bytes(decode(One, response, self.session.connection).d)
        pairs = zip(stream.record_key, values, strict=True)
        wanted = " and ".join(f"{name} eq '{_quoted(value)}'" for name, value in pairs)
        url = self._query(stream, {"$filter": wanted})
        response = self.session.checked(self.session.get(url, headers=self._headers()))
        found = decode(Collection, response, self.session.connection).d.results
        return bytes(found[0]) if found else None

    def push(self, stream: StreamSpec, push: Push) -> str:
        if push.operation == orders.CREATE.slug:
            return orders.create(self.session, self._writer, push.body)
        if push.operation == orders.CANCEL.slug:
            return orders.cancel(
                self.session, self._writer, self._headers(), push.record_key, push.body
            )
        return super().push(stream, push)

    def find(self, stream: StreamSpec, push: Push) -> str | None:
        if push.operation == orders.CREATE.slug:
            return orders.find(self.session, self._headers(), push.idempotency_key)
        return super().find(stream, push)

    def _first(self, stream: StreamSpec, ask: Ask) -> str:
        query = {
            "$orderby": stream.options["order"],
            "$top": str(stream.page_size),
            "$inlinecount": "allpages",
        }
        if ask.since is not None:
            query["$filter"] = stream.options.get("since", DEFAULT_SINCE).format(ask.since)
        return self._query(stream, query)

    def _query(self, stream: StreamSpec, query: dict[str, str]) -> str:
        if "expand" in stream.options:
            query["$expand"] = stream.options["expand"]
        return f"{ROOT}{stream.options['path']}?{urlencode({**query, '$format': 'json'})}"

    def _next(self, url: str, body: Results, stream: StreamSpec) -> str | None:
        """The server's own link where it pages; else the next `$skip` after a full page."""
        if body.next:
            link = self.session.relative(body.next)
            if link == self.session.relative(url):
                raise self._stuck("the server's __next leads to the page itself", stream)
            return link
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        # With `$top` SAP ends at that many rows, so a full page may have a successor.
        if "$top" not in query or len(body.results) < int(query["$top"]):
            return None
        query["$skip"] = str(int(query.get("$skip", 0)) + len(body.results))
        # Counting is dear to the database behind, and the total is known by now.
        query.pop("$inlinecount", None)
        return f"{parts.path}?{urlencode(query)}"

    def _stuck(self, why: str, stream: StreamSpec) -> GarbledError:
        return GarbledError(
            f"the upstream's cursor stands still: {why}",
            connection=self.session.connection,
            stream=stream.slug,
            correlation_id=current_id(),
        )

    def _headers(self) -> dict[str, str]:
        client = {"sap-client": self.settings.client} if self.settings.client else {}
        return {"Accept": "application/json", "sap-language": "EN", **client}


def _quoted(value: str) -> str:
    """A value inside an OData string literal: quotes are doubled (OData V2, 2.2.2)."""
    return value.replace("'", "''")
