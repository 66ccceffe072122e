"""Checks of a decoded request body: known names, integers where integers belong."""

from __future__ import annotations

from typing import Any

from connectors.sandbox import stripe_errors as errors

Params = dict[str, Any]

MAX_AMOUNT = 99_999_999  # "amount_too_large" above eight digits
CURRENCIES = frozenset(
    [
        "bhd",
        "isk",
        "jod",
        "krw",
        "kwd",
        "tnd",
        "ugx",
        "aud",
        "cad",
        "chf",
        "czk",
        "dkk",
        "eur",
        "gbp",
        "huf",
        "jpy",
        "nok",
        "nzd",
        "pln",
        "ron",
        "sek",
        "usd",
    ]
)

_EVERYWHERE = frozenset({"expand", "metadata"})


def check(params: Params, allowed: str) -> None:
    """`allowed`: the endpoint's own parameters, space-separated."""
    for name in params:
        if name not in _EVERYWHERE and name not in allowed.split():
            raise errors.unknown(name)
    if not isinstance(params.get("metadata", ""), (dict, str)) or params.get("metadata"):
        _metadata(params["metadata"])


def _metadata(value: Any) -> None:
    if not isinstance(value, dict):
        raise errors.invalid("metadata", "Invalid object")
    for name, text in value.items():
        if len(name) > 40 or len(text) > 500:
            message = f"Metadata {name!r}: keys may hold 40 and values 500 characters."
            raise errors.invalid(f"metadata[{name}]", message)


def integer(params: Params, name: str, default: int | None = None, *, low: int, high: int) -> int:
    """Raises StripeError when it is missing (and has no default), no integer, or out of range."""
    text = params.get(name)
    if text is None or text == "":
        if default is None:
            raise errors.missing(name)
        return default
    code = "parameter_invalid_integer"
    try:
        value = int(text)
    except (TypeError, ValueError):
        raise errors.invalid(name, f"Invalid integer: {text}", code) from None
    if value < low:
        message = f"This value must be greater than or equal to {low}."
        raise errors.invalid(name, message, code)
    if value > high:
        raise errors.invalid(name, f"This value must be less than or equal to {high}.", code)
    return value


def currency(params: Params) -> str:
    value = str(params.get("currency") or "").lower()
    if not value:
        raise errors.missing("currency")
    if value not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        message = f"Invalid currency: {value}. Stripe currently supports these currencies: {known}"
        raise errors.invalid("currency", message)
    return value


def in_whole_units(amount: int, money: str) -> int:
    """The amount. Raises StripeError where the currency has no such amounts (docs, "Special cases"
    and "Three-decimal currencies": ISK and UGX without a fraction, the others in tens).
    """
    step = 100 if money in {"isk", "ugx"} else 10 if money in {"bhd", "jod", "kwd", "tnd"} else 1
    if amount % step:
        message = f"Invalid amount for {money}: it must be a multiple of {step}."
        raise errors.invalid("amount", message, "parameter_invalid_integer")
    return amount


def choice(params: Params, name: str, *options: str) -> str | None:
    value = params.get(name)
    if value is not None and value not in options:
        raise errors.invalid(name, f"Invalid {name}: must be one of {', '.join(options)}")
    return value


def flag(params: Params, name: str) -> bool:
    value = params.get(name, "false")
    if value not in {"true", "false"}:
        raise errors.invalid(name, f"Invalid boolean: {value}")
    return bool(value == "true")


def merged_metadata(current: dict[str, str], params: Params) -> dict[str, str]:
    """Given keys are set, empty values unset their key, and an empty `metadata` unsets all."""
    given = params.get("metadata")
    if given is None:
        return current
    if given == "":
        return {}
    return {name: text for name, text in {**current, **given}.items() if text != ""}
