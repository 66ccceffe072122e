"""Salesforce over REST and SOQL."""

from __future__ import annotations

from datetime import UTC
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.declare import Ask, Page, StreamSpec
from connectors.runtime.session import AuthBase, Response, TokenAuth, TokenRequest, decode
from connectors.salesforce import streams
from observability.context import current_id
from observability.errors import (
    AuthExpiredError,
    GarbledError,
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


class Said(msgspec.Struct):
    """One error; Salesforce sends an array of them."""

    errorCode: str  # noqa: N815 (Salesforce's name)


#: Refusals (400 and 403) that are none: the same query will be answered later (Salesforce, REST API,
#: "Status Codes and Error Responses"). Any other code is final.
KINDS: dict[str, type[UpstreamError]] = {
    "REQUEST_LIMIT_EXCEEDED": RateLimitedError,
    "QUERY_TIMEOUT": RetryableError,
    "SERVER_UNAVAILABLE": RetryableError,
    "INVALID_SESSION_ID": AuthExpiredError,
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
    )

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

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        url = ask.cursor or self._first(stream, ask)
        body = self._answer(url, {"Sforce-Query-Options": f"batchSize={stream.page_size}"})
        if body.done:
            return Page(body.records, None, body.total)
        if not body.next:
            raise GarbledError(
                "the query is not done, but no nextRecordsUrl leads on",
                connection=self.session.connection,
                correlation_id=current_id(),
            )
        return Page(body.records, self.session.relative(body.next), body.total)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        where = f"Id = '{_quoted(record_key)}'"
        found = self._answer(self._soql(stream, where)).records
        return bytes(found[0]) if found else None

    def _answer(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        response = self.session.get(url, headers=headers)
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
        return decode(Answer, self.session.checked(response), self.session.connection)

    def _first(self, stream: StreamSpec, ask: Ask) -> str:
        since = ""
        if ask.since:
            since = f"SystemModstamp >= {ask.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return self._soql(stream, since, " ORDER BY SystemModstamp, Id")

    def _soql(self, stream: StreamSpec, where: str, order: str = "") -> str:
        soql = f"SELECT {stream.options['select']} FROM {stream.options['object']}"  # noqa: S608 (SOQL; quoted)
        soql += (f" WHERE {where}" if where else "") + order
        return f"{ROOT}queryAll?{urlencode({'q': soql})}"


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
