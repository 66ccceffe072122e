"""Deterministic mixing, and identifiers that look like a vendor's and decode back to an index.

Every identifier is a bijection of a small index, so that the sandbox finds a record from its id
without keeping a list.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = {letter: number for number, letter in enumerate(_ALPHABET)}
# an odd factor is invertible modulo 2**64: neighbours get ids that look unrelated
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 1 << 64)
_WIDTH = 11  # digits of base 62 that hold 64 bits
_FILLER = "3HwSbx"
_SALESFORCE_POD = "5g00000"
_CHECK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def mix(seed: int, lane: int, index: int) -> int:
    """64 well-mixed bits for (seed, lane, index); the finaliser of splitmix64."""
    x = (seed * 0xD1342543DE82EF95 + lane * 0xA0761D6478BD642F + (index + 1) * _FACTOR) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def _base62(number: int, width: int) -> str:
    letters = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))


def _from_base62(text: str) -> int | None:
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            return None
        number = number * 62 + digit
    return number


def opaque_id(prefix: str, index: int) -> str:
    """A Stripe-like id: ``pi_3HwSbx`` and eleven letters."""
    return f"{prefix}{_FILLER}{_base62((index * _FACTOR) & _MASK, _WIDTH)}"


def opaque_index(prefix: str, text: str) -> int | None:
    """The index behind ``opaque_id``, or None for an id that it never gave out."""
    head = prefix + _FILLER
    if not text.startswith(head) or len(text) != len(head) + _WIDTH:
        return None
    number = _from_base62(text[len(head) :])
    return None if number is None or number > _MASK else (number * _INVERSE) & _MASK


def salesforce_id(prefix: str, index: int) -> str:
    """An 18-character Salesforce id; ``prefix`` is the three-letter key prefix of the object."""
    return salesforce_id18(f"{prefix}{_SALESFORCE_POD}{_base62(index, 5)}")


def salesforce_id18(id15: str) -> str:
    """Append the three check letters that tell which of the 15 letters are upper case."""
    check = ""
    for start in (0, 5, 10):
        bits = 0
        for place, letter in enumerate(id15[start : start + 5]):
            if "A" <= letter <= "Z":
                bits |= 1 << place
        check += _CHECK_LETTERS[bits]
    return id15 + check


def salesforce_index(prefix: str, text: str) -> int | None:
    """The index behind a 15- or 18-character id, or None when it is not of this object."""
    head = prefix + _SALESFORCE_POD
    if len(text) not in {15, 18} or not text.startswith(head):
        return None
    return _from_base62(text[10:15])


def gtin13(number: int) -> str:
    """A GTIN-13 with its check digit (GS1 General Specifications 7.9)."""
    body = f"40{number % 10_000_000_000:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))
    return f"{body}{-total % 10}"
