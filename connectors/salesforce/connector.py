"""Salesforce over REST and SOQL."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from connectors.runtime import connector
from connectors.runtime.declare import Ask, Page, StreamSpec
from connectors.runtime.session import AuthBase, TokenAuth, TokenRequest, decode
from connectors.salesforce import streams

ROOT = "services/data/v60.0/"


class Answer(msgspec.Struct):
    """The envelope of a query; `nextRecordsUrl` is relative."""

    records: list[msgspec.Raw]
    done: bool = True
    next: str | None = msgspec.field(name="nextRecordsUrl", default=None)
    total: int | None = msgspec.field(name="totalSize", default=None)


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
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:
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
        size = {"Sforce-Query-Options": f"batchSize={stream.page_size}"}
        response = self.session.checked(self.session.get(url, headers=size))
        body = decode(Answer, response, self.session.connection)
        link = self.session.relative(body.next) if body.next and not body.done else None
        return Page(body.records, link, body.total)

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        where = f"Id = '{_quoted(record_key)}'"
        response = self.session.checked(self.session.get(self._soql(stream, where)))
        found = decode(Answer, response, self.session.connection).records
        return bytes(found[0]) if found else None

    def _first(self, stream: StreamSpec, ask: Ask) -> str:
        since = f"SystemModstamp >= {ask.since:%Y-%m-%dT%H:%M:%SZ}" if ask.since else ""
        return self._soql(stream, since, " ORDER BY SystemModstamp, Id")

    def _soql(self, stream: StreamSpec, where: str, order: str = "") -> str:
        soql = f"SELECT {stream.options['select']} FROM {stream.options['object']}"  # noqa: S608 (SOQL; quoted)
        soql += (f" WHERE {where}" if where else "") + order
        return f"{ROOT}queryAll?{urlencode({'q': soql})}"


def _quoted(value: str) -> str:
    """A value inside a SOQL string literal (SOQL reference, "Quoted String Escape Sequences")."""
    return value.replace("\\", "\\\\").replace("'", "\\'")
