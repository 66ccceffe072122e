"""Salesforce over REST and SOQL."""

from __future__ import annotations

from datetime import UTC
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.connector import Push
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import AuthBase, Response, TokenAuth, TokenRequest, decode
from connectors.salesforce import streams
from connectors.salesforce.webhook import SalesforceWebhook
from connectors.webhooks.declare import Webhook
from observability.context import current_id
from observability.errors import (
    AuthExpiredError,
    GarbledError,
    PermanentError,
    RateLimitedError,
    RetryableError,
    UpstreamError,
)

ROOT = "services/data/v60.0/"


class Answer(msgspec.Struct):
    """The envelope of a query; `nextRecordsUrl` is relative."""

    records: list[msgspec.Raw]
    done: bool = True
    next: str | None = msgspec.field(name="nextRecordsUrl", default=None)
    total: int | None = msgspec.field(name="totalSize", default=None)


class Stamped(msgspec.Struct):
    """A record's place in the order of change."""

    SystemModstamp: str


class Said(msgspec.Struct):
    """One error; Salesforce sends an array of them."""

    errorCode: str  # noqa: N815 (Salesforce's name)


class LostLocatorError(PermanentError):
    """The link to the next page leads nowhere any more."""


#: Refusals (400 and 403) that are none: the same query will be answered later (Salesforce, REST API,
#: "Status Codes and Error Responses"), a lost locator by a new one. Any other code is final.
KINDS: dict[str, type[UpstreamError]] = {
    "REQUEST_LIMIT_EXCEEDED": RateLimitedError,
    "QUERY_TIMEOUT": RetryableError,
    "SERVER_UNAVAILABLE": RetryableError,
    "INVALID_SESSION_ID": AuthExpiredError,
    "INVALID_QUERY_LOCATOR": LostLocatorError,
}


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
    )
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
        where = f"Id = '{_quoted(record_key)}'"
        found = self._answer(self._soql(stream, where)).records
        return bytes(found[0]) if found else None

    def push(self, stream: StreamSpec, push: Push) -> str:
        """Update a record. Its change event names our key in `changeOrigin` (`client=`)."""
        if push.operation != "update":
            return super().push(stream, push)
        address = f"{ROOT}sobjects/{stream.options['object']}/{quote(push.record_key, safe='')}"
        headers = {
            "Content-Type": "application/json",
            "Sforce-Call-Options": f"client={push.idempotency_key}",
        }
        self._accepted(self.session.patch(address, data=push.body, headers=headers))
        return push.record_key

    def _answer(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        response = self._accepted(self.session.get(url, headers=headers))
        return decode(Answer, response, self.session.connection)

    def _accepted(self, response: Response) -> Response:
        """The response, if it is a success. Raises UpstreamError, by Salesforce's own code."""
        kind, code = next(
            ((KINDS[code], code) for code in _codes(response) if code in KINDS), (None, "")
        )
        if kind:
            raise kind(
                f"Salesforce answered {code}",
                connection=self.session.connection,
                status=response.status_code,
                excerpt=response.content,
                correlation_id=current_id(),
            )
        return self.session.checked(response)

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


def _codes(response: Response) -> list[str]:
    """The error codes of an answer; none where it is no error in Salesforce's form."""
    if response.ok:
        return []
    try:
        return [said.errorCode for said in msgspec.json.decode(response.content, type=list[Said])]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _quoted(value: str) -> str:
    """A value inside a SOQL string literal (SOQL reference, "Quoted String Escape Sequences")."""
    return value.replace("\\", "\\\\").replace("'", "\\'")
