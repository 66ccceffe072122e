"""Answers as typed envelopes, or an error that says what came instead."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from requests import Response

from connectors.runtime.breaker import known_breaker
from observability.context import current_id
from observability.errors import GarbledError

T = TypeVar("T")


def decode(kind: type[T], response: Response, connection: str = "") -> T:
    """The JSON body as a msgspec type. Raises GarbledError that says what came instead."""
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = GarbledError(
            f"the answer of {urlsplit(response.url).path} cannot be read as"
            f" {kind.__name__} ({response.headers.get('Content-Type', 'no content type')}): {error}",
            connection=connection,
            status=response.status_code,
            excerpt=response.content,
            correlation_id=current_id(),
        )
        if breaker := known_breaker(connection):
            breaker.recant(problem)
        raise problem from error
