"""Which locale of a text is served: the wished one, then those that stand in for it.

HEADWATER_LOCALES declares both: `en_US,de_DE,de_AT=de_DE+en_US` knows three, and what stands in
for Austria's German. Where nothing is declared, all others do, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from hub.problems import BadInputError


def chain(wished: str | None) -> tuple[str, ...]:
    """The locales to try, in order. Accepts `de_DE`, `de-DE` and `de`; None: the default.

    Raises BadInputError that lists what there is.
    """
    known: Sequence[str] = settings.HEADWATER_LOCALES
    if wished is None:
        wished = known[0]
    plain = wished.replace("-", "_").lower()
    first = [k for k in known if k.lower() == plain]
    first = first or [k for k in known if k.lower().split("_")[0] == plain]
    if not first:
        raise BadInputError(
            f"unknown locale {wished!r}; known are {', '.join(known)}", parameter="locale"
        )
    declared = settings.HEADWATER_FALLBACKS.get(first[0])
    others = known if declared is None else declared
    return tuple(dict.fromkeys((*first, *others)))


def spellings() -> list[str]:
    """Every way to ask for a locale: `de_DE`, `de-DE`, `de`."""
    known: Sequence[str] = settings.HEADWATER_LOCALES
    ways = (way for k in known for way in (k, k.replace("_", "-"), k.split("_")[0]))
    return list(dict.fromkeys(ways))


def text(values: Any, order: Sequence[str]) -> str | None:
    """The first text that there is, in this order of locales."""
    if not isinstance(values, Mapping):
        return None
    return next((str(values[locale]) for locale in order if values.get(locale)), None)


def locale_of(values: Any, order: Sequence[str]) -> str | None:
    """The locale of the text that `text` gives."""
    if not isinstance(values, Mapping):
        return None
    return next((locale for locale in order if values.get(locale)), None)
