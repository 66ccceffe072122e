"""Pages of other sites: those that were declared may ask, with a key and without cookies."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from hub import env
from hub.auth.keys import issue_key
from observability.errors import ConfigurationError
from tests import catalogue

SHOP, OTHER = "https://shop.example", "https://elsewhere.example"
ASKING = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}

pytestmark = pytest.mark.django_db


def test_nobody_may_unless_declared(client: Client) -> None:
    catalogue.fill(1)
    told = client.options("/graphql", headers={"Origin": SHOP, **ASKING})
    assert "Access-Control-Allow-Origin" not in told
    answer = client.get("/api/v1/products", headers={"Origin": SHOP, "X-API-Key": issue_key("s")})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer


def test_a_declared_page_may_ask_and_read_the_limit(client: Client, settings: Settings) -> None:
    settings.HEADWATER_CORS_ORIGINS = [SHOP]
    for path in ("/graphql", "/api/v1/products"):
        told = client.options(path, headers={"Origin": SHOP, **ASKING})
        assert (told.status_code, told["Access-Control-Allow-Origin"]) == (204, SHOP)
        assert "POST" in told["Access-Control-Allow-Methods"]
        assert "Authorization" in told["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in told
        assert "Origin" in told["Vary"]
        refused = client.options(path, headers={"Origin": OTHER, **ASKING})
        assert "Access-Control-Allow-Origin" not in refused
    # an error is readable too
    answer = client.get("/api/v1/products", headers={"Origin": SHOP})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (401, SHOP)
    assert "RateLimit" in answer["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in client.get("/admin/", headers={"Origin": SHOP})


@pytest.mark.parametrize(
    "wrong", ["shop.example", "https://shop.example/", "ftp://shop", "https://"]
)
def test_what_is_no_origin_stops_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_ORIGINS", f"https://fine.example,{wrong}")
    with pytest.raises(ConfigurationError, match="X_ORIGINS"):
        env.origins("X_ORIGINS")
