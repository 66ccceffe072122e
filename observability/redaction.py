"""What must not be seen where it does not belong: secrets anywhere, personal data beyond the hub.

A secret is known by its name, by its form, or because this process has it: whoever unseals
credentials, or is given a token for them, says so by `remember`, and from then on the very value is
masked in every text that passes here: log lines, errors, journals, events for Sentry.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence

MASK = "•••"

# Names that hold secrets, wherever they stand in a longer name (`client_secret`, `X-Api-Key`).
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|authorization|cookie|credential|private[-_]?key"
    r"|api[-_]?key|access[-_]?key|encryption[-_]?key|signature$|^key$|^dsn$|database_url|redis_url",
    re.IGNORECASE,
)

# What gives itself away inside a sentence, whatever it is called.
_SECRET_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\b(sk|rk|pk)_(test|live)_\w+"), rf"\1_\2_{MASK}"),
    (re.compile(r"\bwhsec_[\w+/=-]+"), f"whsec_{MASK}"),
    # our own API keys: what comes first is known to many, and tells which
    (re.compile(r"\b(hw_[0-9a-f]{12})_[A-Za-z0-9_-]+"), rf"\1_{MASK}"),
    # RFC 7519: a JSON object in base64url, and two parts more
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?"), MASK),
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (
        re.compile(
            r"(?i)\b((?:access_|refresh_|id_)?token|password|passwd|pwd|client_secret|secret"
            r"|api[-_]?key|x-api-key|authorization|signature)"
            r"(['\"]?\s*[=:]\s*['\"]?)(?!(?:bearer|basic)\b)[^\s&\"',;}<]+"
        ),
        rf"\1\2{MASK}",
    ),
)

#: https://html.spec.whatwg.org/#valid-e-mail-address, without the rarest of its characters.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
#: With a country's code (ITU-T E.164), or a trunk's nought and parts set apart.
_PHONE = re.compile(
    r"(?<![\w./-])(?:\+\d[\d ()/.-]{6,18}\d|\(?0\d{1,4}\)?[ /-]\d[\d /-]{4,}\d)(?![\w-])"
)
#: ISO/IEC 7812: twelve to nineteen digits, the last of which checks the others.
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-])")

#: A value that is shorter may be a word of any sentence.
SHORTEST = 6
MOST_REMEMBERED = 500
_DEPTH = 6

_remembered: dict[str, None] = {}
_known: tuple[str, ...] = ()
_lock = threading.Lock()
_personal: set[str] = set()
#: Paths in which no pattern can be: each needs a blank, a colon, `_` or `=`.
_HARMLESS = re.compile(r"[A-Za-z0-9/.-]*")


def remember(values: Iterable[str]) -> None:
    """Mask these very values from now on, in this process; the latest `MOST_REMEMBERED` of them."""
    global _known  # noqa: PLW0603 (one a process)
    new = [value for value in values if len(value) >= SHORTEST and value not in _remembered]
    if not new:
        return
    with _lock:
        _remembered.update(dict.fromkeys(new))
        while len(_remembered) > MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        # The longest first: one may be the beginning of another.
        _known = tuple(sorted(_remembered, key=len, reverse=True))


def declare_personal(names: Iterable[str]) -> None:
    """Names of fields that hold data about people: masked by `scrubbed`."""
    _personal.update(name.lower() for name in names)


def redact_text(text: str) -> str:
    """Mask what looks like a secret, or is one, in a sentence, an excerpt or a URL."""
    for value in _known:
        # Looking for it first costs a fiftieth of an expression of all of them.
        if value in text:
            text = text.replace(value, MASK)
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def redact_address(path: str) -> str:
    """`redact_text` of a request's path; most cannot hold what looks like a secret."""
    return path if _HARMLESS.fullmatch(path) else redact_text(path)


def redact_path(path: str) -> str:
    """Mask secrets and e-mail addresses in a path; numbers in it are keys."""
    parts = redact_text(path.replace("%40", "@")).split("/")
    return "/".join(_EMAIL.sub(MASK, part) for part in parts)


def redacted(name: str, value: object, depth: int = _DEPTH) -> object:
    """A value under a name, its members included, without secrets."""
    if name and _SECRET_NAME.search(name) and value not in (None, "", True, False):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if depth and isinstance(value, Mapping):
        return {key: redacted(str(key), item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [redacted("", item, depth - 1) for item in value]
    return value


def scrub_text(text: str) -> str:
    """Mask secrets, and what looks like data about a person: addresses, telephone and card numbers."""
    text = _EMAIL.sub(MASK, redact_text(text))
    return _PHONE.sub(MASK, _CARD.sub(_unless_it_fails, text))


def scrubbed(name: str, value: object, depth: int = _DEPTH) -> object:
    """A value under a name, its members included, without secrets and data about people."""
    if value in (None, "", True, False):
        return value
    if name and (_SECRET_NAME.search(name) or name.lower() in _personal):
        return MASK
    if isinstance(value, Mapping) and depth:
        return {key: scrubbed(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [scrubbed(name, item, depth - 1) for item in value]
    # What is too deep, or of no JSON type, is told as a text.
    return value if isinstance(value, int | float) else scrub_text(str(value))


def _unless_it_fails(found: re.Match[str]) -> str:
    digits = [int(digit) for digit in found[0] if digit.isdecimal()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return found[0] if (sum(digits[::2]) + sum(doubled)) % 10 else MASK
