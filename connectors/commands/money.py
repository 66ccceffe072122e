"""Amounts in operations: decimal strings in major units, and how many decimals a currency has."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from connectors.commands.declare import Refused

Amount = Annotated[
    str,
    Field(
        pattern=r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,9})?$",
        description="In major units, as a text: 129.90",
    ),
]
Currency = Annotated[str, Field(min_length=1, max_length=8, description="ISO 4217 code.")]

#: Active codes by the digits of their minor unit (ISO 4217, table A.1, of 2025); without codes for
#: funds, metals and testing.
_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD"
    " HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA"
    " MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN"
    " QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP"
    " TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
DIGITS = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}


def amount_of(text: str, currency: str, parameter: str) -> Decimal:
    """The amount. Raises Refused: `currency_unknown`, `amount_not_positive`, `amount_precision`."""
    amount, digits = Decimal(text), digits_of(currency)
    if amount <= 0:
        raise Refused(
            "amount_not_positive", f"{parameter} is {text}; it must be above 0", parameter=parameter
        )
    if amount != round(amount, digits):
        raise Refused(
            "amount_precision",
            f"{parameter} is {text}, but {currency} has {digits or 'no'} decimals",
            parameter=parameter,
            decimals=digits,
        )
    return amount


def digits_of(currency: str) -> int:
    """The decimals of a currency. Raises Refused: `currency_unknown`."""
    if currency not in DIGITS:
        raise Refused(
            "currency_unknown",
            f"{currency!r} is no ISO 4217 code; write it as EUR",
            parameter="currency",
        )
    return DIGITS[currency]


def spelled(amount: Decimal, currency: str) -> str:
    """An amount as the currency writes it: `129.90`, `1200` (JPY)."""
    return f"{amount:.{DIGITS.get(currency, 2)}f}"
