"""Salesforce over REST and SOQL."""

from __future__ import annotations

from datetime import UTC
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Capability, Push
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import AuthBase, TokenAuth, TokenRequest, decode
from connectors.salesforce import streams, writing
from connectors.salesforce.answers import LostLocatorError, accepted
from connectors.salesforce.webhook import SalesforceWebhook
from connectors.salesforce.writing import ROOT, quoted
from connectors.webhooks.declare import Webhook
from observability.context import current_id
from observability.errors import GarbledError


class Answer(msgspec.Struct):
    """The envelope of a query; `nextRecordsUrl` is relative."""

    records: list[msgspec.Raw]
    done: bool = True
    next: str | None = msgspec.field(name="nextRecordsUrl", default=None)
    total: int | None = msgspec.field(name="totalSize", default=None)


class Stamped(msgspec.Struct):
    """A record's place in the order of change."""

    SystemModstamp: str


class SalesforceSettings(connector.Settings):
    """OAuth client credentials of a connected app."""

    client_id: str
    client_secret: SecretStr


class SalesforceConnector(connector.Connector):
    """Asks with `queryAll`, because `query` keeps silent about what was deleted."""

    slug: ClassVar[str] = "salesforce"
    label: ClassVar[str] = "Salesforce"
    Settings: ClassVar[type[connector.Settings]] = SalesforceSettings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        streams.ACCOUNTS,
        streams.CONTACTS,
        streams.REVIEWS,
        streams.LOTS,
        streams.ORDERS,
    )
    capabilities: ClassVar[tuple[Capability, ...]] = (writing.UPDATE, writing.RECORD)
    webhook: ClassVar[Webhook | None] = SalesforceWebhook()

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (needs no address)
        return TokenAuth(
            TokenRequest(
                path="services/oauth2/token",
                form={
                    "grant_type": "client_credentials",
                    "client_id": settings.client_id,
                    "client_secret": settings.client_secret.get_secret_value(),
                },
            )
        )

    @classmethod
    def published(cls, stream: StreamSpec) -> Published | None:
        name = stream.options["object"]
        return Published(f"{ROOT}sobjects/{name}/describe", name)

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        """A page; the cursor is the link to it and, after a space, the stamp that it begins at.

        A query locator dies with its session or after some days (SOQL and SOSL reference, "Query
        locators"). As pages are in the order of change, the stamp is enough to go on from.
        """
        url, _, stamp = (ask.cursor or self._first(stream, ask)).partition(" ")
        size = {"Sforce-Query-Options": f"batchSize={stream.page_size}"}
        try:
            body = self._answer(url, size)
        except LostLocatorError:
            if not stamp:
                raise
            body = self._answer(self._since(stream, stamp), size)
            body.total = None  # of what is left, not of the whole
        if body.done:
            return Page(body.records, None, body.total)
        if not body.next:
            raise GarbledError(
                "the query is not done, but no nextRecordsUrl leads on",
                connection=self.session.connection,
                correlation_id=current_id(),
            )
        link = f"{self.session.relative(body.next)} {_last_stamp(body)}".rstrip()
        return Page(body.records, link, body.total)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        where = f"Id = '{quoted(record_key)}'"
        found = self._answer(self._soql(stream, where)).records
        return bytes(found[0]) if found else None

    def push(self, stream: StreamSpec, push: Push) -> str:
        """Beside the capabilities, `update` changes a record by its id, in Salesforce's own words.

        The change event names our key in `changeOrigin` (`client=`).
        """
        if push.operation == writing.UPDATE.slug:
            return writing.update_customer(self.session, push)
        if push.operation == writing.RECORD.slug:
            return writing.record_order(self.session, push)
        if push.operation != "update":
            return super().push(stream, push)
        address = f"{ROOT}sobjects/{stream.options['object']}/{quote(push.record_key, safe='')}"
        headers = {**writing.JSON, **writing.cause(push)}
        accepted(self.session, self.session.patch(address, data=push.body, headers=headers))
        return push.record_key

    def find(self, stream: StreamSpec, push: Push) -> str | None:
        if push.operation == writing.RECORD.slug:
            return writing.find_order(self.session, push)
        return super().find(stream, push)

    def _answer(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        response = accepted(self.session, self.session.get(url, headers=headers))
        return decode(Answer, response, self.session.connection)

    def _first(self, stream: StreamSpec, ask: Ask) -> str:
        return self._since(
            stream, f"{ask.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if ask.since else ""
        )

    def _since(self, stream: StreamSpec, stamp: str) -> str:
        where = f"SystemModstamp >= {stamp}" if stamp else ""
        return self._soql(stream, where, " ORDER BY SystemModstamp, Id")

    def _soql(self, stream: StreamSpec, where: str, order: str = "") -> str:
        soql = f"SELECT {stream.options['select']} FROM {stream.options['object']}"  # noqa: S608 (SOQL; quoted)
        soql += (f" WHERE {where}" if where else "") + order
        return f"{ROOT}queryAll?{urlencode({'q': soql})}"


def _last_stamp(body: Answer) -> str:
    """The last record's SystemModstamp as SOQL spells it; empty where there is none to be had."""
    try:
        last = msgspec.json.decode(body.records[-1], type=Stamped)
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return last.SystemModstamp.replace("+0000", "Z")
