"""Which locale and which market a request is answered in.

    locale   the parameter `locale`; else `Accept-Language` (RFC 9110, section 12.5.4; matched by
             RFC 4647, section 3.4, "Lookup"); else the first of HEADWATER_LOCALES
    market   the parameter `market`, of which `all` means no choice; else the country that an edge
             says the visitor is in; else none: offers of all markets

What a header says that we do not have is passed over; of a parameter it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from hub import locales
from hub.problems import BadInputError

#: Cloudflare, Amazon CloudFront, Vercel, and whatever else stands in front.
COUNTRY_HEADERS = (
    "CF-IPCountry", "CloudFront-Viewer-Country", "X-Vercel-IP-Country", "X-Country-Code",
)  # fmt: skip
ALL_MARKETS = "all"
LONGEST = 512
_COUNTRIES = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in COUNTRY_HEADERS)
_RANGE = re.compile(
    r"[ \t]*(?P<range>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)
#: The headers that an answer may hang on, for `Vary` and for whoever keeps answers.
VARY = ("Accept-Language", *COUNTRY_HEADERS)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the headers of a request ask for: the locales to try, and the market, if any."""

    order: tuple[str, ...]
    market: str | None
    #: Tells them from any others.
    name: str = ""


def wishes(environ: Mapping[str, Any]) -> Wishes:
    """The wishes of a request's headers (a WSGI environment); parameters come before them."""
    accepted, country = environ.get("HTTP_ACCEPT_LANGUAGE", ""), ""
    for name in _COUNTRIES:
        if name in environ:
            country = environ[name]
            break
    return _wishes(accepted[:LONGEST], country[:8])


@lru_cache(maxsize=1024)
def _wishes(accepted: str, country: str) -> Wishes:
    order, found = accepted_order(accepted), market_of_country(country)
    return Wishes(order, found, f"{'+'.join(order)}/{found or ''}")


def accepted_order(header: str) -> tuple[str, ...]:
    """The chain of the first range that we have, by preference; the default where none is."""
    for wished in _preferred(header):
        steps = wished.split("-")
        for length in range(len(steps), 0, -1):
            try:
                return locales.chain("-".join(steps[:length]))
            except BadInputError:
                continue
    return locales.chain(None)


def market(wished: str | None, by_headers: str | None) -> str | None:
    """The market that is served; None: all. Raises BadInputError that lists what there is."""
    if wished is None:
        return by_headers
    known = settings.HEADWATER_MARKETS
    if wished == ALL_MARKETS:
        return None
    if wished.upper() not in known:
        shown = wished if wished.isprintable() and len(wished) <= 40 else ascii(wished[:40])
        raise BadInputError(
            f"unknown market {shown!r}; known are {', '.join((*known, ALL_MARKETS))}",
            parameter="market",
        )
    return wished.upper()


def market_of_country(country: str) -> str | None:
    """The market that serves a country (ISO 3166-1 alpha-2); None where none does."""
    country = country.upper()
    for name, countries in settings.HEADWATER_MARKETS.items():
        if country == name or country in countries:
            return str(name)
    return None


@lru_cache(maxsize=64)
def content_language(order: tuple[str, ...]) -> str:
    """`de_DE` as a language tag (RFC 5646). What each text is in stands in `locales`."""
    return order[0].replace("_", "-")


def _preferred(header: str) -> Iterator[str]:
    """The ranges of a header, best first; those of quality 0, `*` and broken ones are left out."""
    found = []
    for place, piece in enumerate(header.split(",")):
        matched = _RANGE.fullmatch(piece)
        if matched is None or matched["range"] == "*":
            continue
        quality = float(matched["quality"] or 1)
        if quality > 0:
            found.append((-quality, place, matched["range"]))
    return (wished for _, _, wished in sorted(found))
