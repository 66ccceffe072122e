"""Which locale a text is served in."""

from __future__ import annotations

import pytest

from hub import locales
from hub.problems import BadInputError

NAMES = {"en_US": "Tent", "de_DE": "Zelt", "it_IT": "Tenda"}


@pytest.mark.parametrize(
    ("wished", "served"),
    [
        ("de_DE", "Zelt"),
        ("de-DE", "Zelt"),
        ("DE", "Zelt"),
        ("fr_FR", "Tent"),  # has no French text: the first locale that it has
        (None, "Tent"),
    ],
)
def test_a_text_comes_in_the_wished_locale_or_the_first_that_it_has(
    wished: str | None, served: str
) -> None:
    assert locales.text(NAMES, locales.chain(wished)) == served


def test_an_empty_text_counts_as_none() -> None:
    order = locales.chain("de")
    assert locales.text({"de_DE": "", "en_US": "Tent"}, order) == "Tent"
    assert locales.locale_of({"de_DE": "", "en_US": "Tent"}, order) == "en_US"
    assert locales.text({}, order) is locales.text(None, order) is None


@pytest.mark.parametrize("wished", ["xx", "de_AT", "en_US,de_DE", "\x00"])
def test_an_unknown_locale_is_refused_with_what_there_is(wished: str) -> None:
    with pytest.raises(BadInputError, match="en_US, de_DE, fr_FR"):
        locales.chain(wished)
