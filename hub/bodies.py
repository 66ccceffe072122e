"""What comes in the body of a request: JSON of a certain size, and nothing that is not quite JSON."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.http import HttpRequest

from hub.problems import BadInputError, RequestError

JSON = "application/json"
#: A body that is refused is read to its end up to here, so that the sender hears why.
DRAINED_BYTES = 32 * 1024 * 1024


class TooLargeError(RequestError):
    """The body is over its limit."""

    code = "too_large"
    http_status = 413


class MediaTypeError(RequestError):
    """Something else than JSON."""

    code = "unsupported_media_type"
    http_status = 415


def body_of(request: HttpRequest, most_bytes: int, types: Collection[str] = (JSON,)) -> bytes:
    """The body. Raises TooLargeError or MediaTypeError."""
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > most_bytes:
        _drain(request, min(int(length), DRAINED_BYTES))
        raise TooLargeError(f"the body is larger than {most_bytes} bytes", parameter="body")
    if request.content_type not in types:
        raise MediaTypeError(f"send {JSON}", parameter="Content-Type")
    return request.body


def strict_object(raw: bytes) -> dict[str, Any]:
    """A JSON object that means one thing to everybody (RFC 8259, 4, 6, 8.2; RFC 7493).

    Names that come twice, numbers that no double holds, halves of characters and NUL, which
    PostgreSQL cannot store, are refused. Raises BadInputError that names what is wrong.
    """
    try:
        found = json.loads(
            raw, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite
        )
        _must_be_text(found)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the body is not JSON: {error}", parameter="body") from error
    if not isinstance(found, dict):
        raise BadInputError("send a JSON object, `{…}`", parameter="body")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} comes twice; send it once")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:80]} is larger than any number that we know")
    return number


def _must_be_text(value: Any) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _must_be_text(name)
            _must_be_text(item)
    elif isinstance(value, list):
        for item in value:
            _must_be_text(item)
    elif isinstance(value, str) and (
        "\0" in value or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        raise ValueError(f"{value[:80]!a} holds a character that is none; leave it out")


def _drain(request: HttpRequest, left: int) -> None:
    while left > 0 and (piece := request.read(min(left, 65536))):
        left -= len(piece)
