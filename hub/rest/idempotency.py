"""The header `Idempotency-Key`: draft-ietf-httpapi-idempotency-key-header-07, section 2.

    Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"     a string (RFC 8941, 3.3.3)
    Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324       the same key: many clients send it bare

A key is its caller's own. Its command, and the answer, are kept for as long as commands are.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter

from hub.problems import RequestError

HEADER, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
LONGEST = 255
# Parameters of the item are passed over (RFC 8941, 3.1.2: they may be added to what is there).
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"(?: *;.*)?')
# A comma would be two headers in one, or a list.
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_ESCAPED = re.compile(r"\\(.)")


class KeyMissingError(RequestError):
    """A write without a key."""

    code = "idempotency_key_missing"


class KeyInvalidError(RequestError):
    """A key that is none."""

    code = "idempotency_key_invalid"


class KeyReusedError(RequestError):
    """The key came with another request before."""

    code = "idempotency_key_reused"
    http_status = 422


class KeyInFlightError(RequestError):
    """The first request with the key is still being worked on."""

    code = "idempotency_key_in_flight"
    http_status = 409


def key_of(request: HttpRequest) -> str:
    """The key of a write. Raises KeyMissingError or KeyInvalidError."""
    return checked(request.headers.get(HEADER, ""))


def checked(given: str) -> str:
    """The key that was given in a header, or in its place. Raises as `key_of`."""
    text = given.strip()
    if not text:
        raise KeyMissingError(
            f"send a key of your own with each write, and the same one when you try it again: "
            f'`{HEADER}: "{{a UUID}}"`',
            parameter=HEADER,
        )
    quoted = _STRING.fullmatch(text)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or len(key) > LONGEST:
        raise KeyInvalidError(
            f"one string in double quotes is wanted, of 1 to {LONGEST} printable ASCII characters, "
            "for example a UUID",
            parameter=HEADER,
        )
    return key


PARAMETER: Any = OpenApiParameter(
    HEADER,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST + 2,
        "pattern": r'^("[!#-\[\]-~]+"|[!#-+\--\[\]-~]+)$',
    },
    OpenApiParameter.HEADER,
    required=True,
    description="A key of your own for this write, for example a UUID, in double quotes or bare. The same "
    "key and body again get the same answer, and nothing is done twice.",
)
