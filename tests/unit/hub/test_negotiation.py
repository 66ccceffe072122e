"""Locale and market of an answer: the parameter, else what the headers say, else the default."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from hub import locales, negotiation
from hub.auth.keys import issue_key
from hub.problems import BadInputError
from observability.errors import ConfigurationError
from tests import catalogue


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("", "en_US"),
        ("de", "de_DE"),
        ("de-CH", "de_DE"),  # RFC 4647: shortened until something is found
        ("fr-FR;q=0.3, de;q=0.8", "de_DE"),
        ("it, fr;q=0.1", "fr_FR"),
        ("de;q=0, fr", "fr_FR"),
        ("*", "en_US"),
        ("xx, *;q=0.5", "en_US"),
        ("de;q=2, fr;q=0.1", "fr_FR"),  # broken pieces are passed over
        ("\x00;;,,q=1", "en_US"),
        ("a" * 100_000, "en_US"),
    ],
)
def test_the_best_range_that_we_have_decides(header: str, first: str) -> None:
    found = negotiation.wishes({"HTTP_ACCEPT_LANGUAGE": header}).order
    assert found[0] == first
    assert found == locales.chain(first)


def test_a_declared_chain_is_followed_to_its_end_and_no_further(settings: Settings) -> None:
    settings.HEADWATER_LOCALES = ["en_US", "de_DE", "de_AT", "fr_FR"]
    settings.HEADWATER_FALLBACKS = {"de_AT": ("de_DE", "en_US"), "fr_FR": ()}
    assert locales.chain("de-at") == ("de_AT", "de_DE", "en_US")
    assert locales.chain("fr") == ("fr_FR",)
    assert locales.text({"en_US": "Tent", "fr_FR": ""}, locales.chain("fr")) is None
    assert locales.chain("en") == ("en_US", "de_DE", "de_AT", "fr_FR")


@pytest.mark.parametrize(
    ("headers", "market"),
    [
        ({}, None),
        ({"HTTP_CF_IPCOUNTRY": "DE"}, "DE"),
        ({"HTTP_CLOUDFRONT_VIEWER_COUNTRY": "us"}, "US"),
        ({"HTTP_X_VERCEL_IP_COUNTRY": "AT"}, "DE"),
        ({"HTTP_X_COUNTRY_CODE": "T1"}, None),
        ({"HTTP_CF_IPCOUNTRY": "US", "HTTP_X_COUNTRY_CODE": "DE"}, "US"),
    ],
)
def test_the_country_that_an_edge_says_has_a_market_or_none(
    headers: dict[str, str], market: str | None, settings: Settings
) -> None:
    settings.HEADWATER_MARKETS = {"DE": ("AT", "CH"), "US": ()}
    negotiation._wishes.cache_clear()
    assert negotiation.wishes(headers).market == market
    negotiation._wishes.cache_clear()


def test_a_parameter_comes_first_and_must_be_right() -> None:
    assert negotiation.market("us", "DE") == "US"
    assert negotiation.market("all", "DE") is None
    with pytest.raises(BadInputError, match="DE, US, all"):
        negotiation.market("FR", None)


def test_what_is_declared_wrongly_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from hub import env

    monkeypatch.setenv("X_TABLE", "en_US,de_AT=de_DE+en_US,fr_FR=")
    found = env.table("X_TABLE", {})
    assert found == {"en_US": None, "de_AT": ("de_DE", "en_US"), "fr_FR": ()}
    with pytest.raises(ConfigurationError, match="X_TABLE is 'de_DE'"):
        env.must_name("X_TABLE", {"de_AT": ("de_DE",)}, ["en_US", "de_AT"])
    monkeypatch.setenv("X_TABLE", "en_US,en_US")
    with pytest.raises(ConfigurationError, match="different names"):
        env.table("X_TABLE", {})


@pytest.mark.django_db
def test_an_answer_says_what_each_text_is_in_and_what_it_hangs_on(client: Client) -> None:
    catalogue.fill(1)
    headers = {"X-API-Key": issue_key("shop"), "Accept-Language": "de-AT, fr;q=0.5"}
    answer = client.get("/api/v1/products/P-1", headers=headers)
    assert answer.json()["name"] == "Zelt 1"
    assert answer.json()["locales"] == {"name": "de_DE", "description": "en_US"}
    assert answer["Content-Language"] == "de-DE"
    assert {"Accept-Language", "CF-IPCountry"} <= set(answer["Vary"].split(", "))
    asked = client.get("/api/v1/products/P-1?locale=en", headers=headers)
    assert (asked.json()["name"], asked["Content-Language"]) == ("Tent 1", "en-US")
    document = '{ product(sku: "P-1") { name locales { field locale } } }'
    found = client.post(
        "/graphql", {"query": document}, content_type="application/json", headers=headers
    ).json()["data"]["product"]
    assert found["name"] == "Zelt 1"
    assert found["locales"][0] == {"field": "name", "locale": "de_DE"}


@pytest.mark.django_db
def test_offers_are_those_of_the_visitors_market(client: Client) -> None:
    catalogue.fill(1)
    key = {"X-API-Key": issue_key("shop")}

    def markets(path: str, **headers: str) -> set[str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        variants = client.get(path, headers={**key, **named}).json()["variants"]
        return {price["market"] for variant in variants for price in variant["prices"]}

    one = "/api/v1/products/P-1"
    assert markets(one) == {"DE", "US"}
    assert markets(one, CF_IPCountry="DE") == {"DE"}
    assert markets(f"{one}?market=us", CF_IPCountry="DE") == {"US"}
    assert markets(f"{one}?market=all", CF_IPCountry="DE") == {"DE", "US"}
    wrong = client.get(f"{one}?market=FR", headers=key)
    assert (wrong.status_code, wrong.json()["errors"][0]["parameter"]) == (400, "market")
