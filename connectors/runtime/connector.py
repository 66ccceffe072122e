"""The base of every connector, and the registry that finds them by folder.

A connector is one folder under `connectors/` with a `connector.py` that defines one subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, ClassVar, TypeAlias

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from requests.auth import AuthBase

import connectors
from connectors.runtime.declare import Ask, Page, Published, StreamSpec
from connectors.runtime.session import HubSession
from connectors.webhooks.declare import Webhook
from observability.errors import ConfigurationError, PermanentError


class Settings(BaseModel):
    """What a connection has to be told. Members of type SecretStr are encrypted at rest."""

    # What was entered may be a secret: an error names the member and repeats no input.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Webhook secret",
        description="With which the upstream signs what it sends. While it is rotated: the new and"
        " the old one, apart by a blank.",
    )

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        """The members that must never be shown."""
        return frozenset(name for name, f in cls.model_fields.items() if f.annotation is SecretStr)

    def webhook_secrets(self) -> list[str]:
        """The live secrets, any of which may have signed a webhook; usually one."""
        return self.webhook_secret.get_secret_value().split()


@dataclass(frozen=True, slots=True)
class Push:
    """One write to an upstream. `body` is JSON, in the upstream's own field names.

    `operation` is the slug of the capability; `record_key` is empty where it makes a record. The idempotency key is the same each time that this write is tried.
    """

    operation: str
    record_key: str
    body: bytes
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Capability:
    """One kind of write that an upstream can do, in words that every upstream shares.

    `slug` is `<what>.<verb>` (`order.create`); `stream` names the stream whose record it makes or
    changes. `body` turns neutral values and the idempotency key into the upstream's own JSON;
    `key` gives the record key of what is changed, empty for what is made. Both may raise
    ValueError that names the value and the remedy.
    """

    slug: str
    stream: str
    body: Callable[[Mapping[str, Any], str], dict[str, Any]]
    key: Callable[[Mapping[str, Any]], str] = lambda _values: ""

    def push(self, values: Mapping[str, Any], idempotency_key: str) -> Push:
        """The write as the connector takes it. Raises PermanentError for values it cannot put."""
        try:
            body = msgspec.json.encode(self.body(values, idempotency_key))
            return Push(self.slug, self.key(values), body, idempotency_key)
        except ValueError as error:
            raise PermanentError(f"{self.slug}: {error}", stream=self.stream) from error


#: Functions of (connector, neutral values), by the question's slug.
Questions: TypeAlias = Mapping[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]]


class Connector(ABC):
    """Speaks to one kind of upstream: how to authenticate, page and fetch. Holds no state."""

    slug: ClassVar[str]
    label: ClassVar[str]
    Settings: ClassVar[type[Settings]] = Settings
    streams: ClassVar[tuple[StreamSpec, ...]] = ()
    #: How the upstream tells of changes, where it does.
    webhook: ClassVar[Webhook | None] = None
    #: What can be written to it.
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    #: What it can be asked that is no mirrored record (`price.current`). Raises UpstreamError.
    questions: ClassVar[Questions] = {}

    def __init__(self, session: HubSession, settings: Any) -> None:
        self.session = session
        self.settings = settings

    @classmethod
    def auth(cls, settings: Any, base_url: str) -> AuthBase | None:  # noqa: ARG003 (for those who override it)
        """How requests are signed; an auth with a `renew(session)` method is renewed on a 401."""
        return None

    @abstractmethod
    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        """One page of a stream. Raises UpstreamError; GarbledError where it cannot be parsed."""

    @abstractmethod
    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        """The raw JSON of one record, as `page` gives it; None where the upstream has it no more."""

    def records(
        self, stream: StreamSpec, record_keys: Collection[str]
    ) -> Mapping[str, bytes | None]:
        """What `record` gives, for each of these keys; in fewer calls where the upstream can do that."""
        return {key: self.record(stream, key) for key in record_keys}

    def push(self, stream: StreamSpec, push: Push) -> str:
        """Write to the upstream; the key of the record that was written.

        Sent once: after an answer that never came, `find` is asked before it is tried again. An
        event that it causes should name the idempotency key as its origin, where the upstream has a
        way to say so. Raises UpstreamError; PermanentError for what it cannot do, and
        RefusedByUpstreamError where the upstream will not: nothing was written then.
        """
        raise PermanentError(
            f"connector {self.slug} cannot {push.operation} records of {stream.slug}",
            connection=self.session.connection,
            stream=stream.slug,
            record=push.record_key,
        )

    def find(self, stream: StreamSpec, push: Push) -> str | None:  # noqa: ARG002 (for those who override it)
        """The key of the record that an earlier try of this very push wrote; None: none did.

        None as well where repeating is harmless: an absolute update, or a vendor that itself knows
        a key again. Raises UpstreamError where that cannot be told now.
        """
        return None

    def ask(self, question: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one of `questions`. Raises UpstreamError; ConfigurationError for others."""
        if question not in self.questions:
            raise ConfigurationError(
                f"connector {self.slug} cannot be asked {question!r}",
                connection=self.session.connection,
            )
        return self.questions[question](self, values)

    @classmethod
    def capability(cls, slug: str) -> Capability:
        """The declared capability called `slug`. Raises ConfigurationError."""
        for one in cls.capabilities:
            if one.slug == slug:
                return one
        raise ConfigurationError(f"connector {cls.slug} is not able to {slug}")

    @classmethod
    def published(cls, stream: StreamSpec) -> Published | None:  # noqa: ARG003 (for those who override it)
        """Where the vendor publishes the shape of a stream's records; None where nowhere."""
        return None

    @classmethod
    def stream(cls, slug: str) -> StreamSpec:
        """The declared stream called `slug`. Raises ConfigurationError."""
        for spec in cls.streams:
            if spec.slug == slug:
                return spec
        raise ConfigurationError(f"connector {cls.slug} declares no stream {slug!r}", stream=slug)


_extra: dict[str, type[Connector]] = {}


def register(connector: type[Connector]) -> type[Connector]:
    """Make a connector known that lives outside `connectors/` (a benchmark's, a customer's)."""
    _extra[connector.slug] = connector
    return connector


@cache
def _discovered() -> dict[str, type[Connector]]:
    found: dict[str, type[Connector]] = {}
    for module in iter_modules(connectors.__path__):
        name = f"connectors.{module.name}.connector"
        if module.ispkg and module.name != "runtime" and find_spec(name):
            for item in vars(import_module(name)).values():
                if (
                    isinstance(item, type)
                    and issubclass(item, Connector)
                    and item.__module__ == name
                ):
                    found[item.slug] = item
    return found


def installed() -> dict[str, type[Connector]]:
    """Every connector by slug: one for each folder, and those registered."""
    return {**_discovered(), **_extra}


def connector_class(slug: str) -> type[Connector]:
    """The connector called `slug`. Raises ConfigurationError that lists those installed."""
    known = installed()
    if slug not in known:
        raise ConfigurationError(
            f"no connector {slug!r}; installed are {', '.join(sorted(known))}", connection=slug
        )
    return known[slug]
