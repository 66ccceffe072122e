"""Vendors' own clients speak through our session: one host, one correlation id, one limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from simple_salesforce import exceptions
from simple_salesforce.api import Salesforce

from connectors.runtime.session import HubSession
from observability.context import correlation
from tests.sandboxes import running
from tests.unit.connectors.hostile import Answer, hostile

SALESFORCE_TOKEN = {"grant_type": "client_credentials", "client_id": "headwater",
                    "client_secret": "sandbox-salesforce"}  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(60) as server:
        yield server.url


def stripe_through(session: HubSession) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_headwater",
        base_addresses={"api": session.base_url.rstrip("/")},
        http_client=stripe.RequestsClient(session=session),
        max_network_retries=0,
    )


def test_the_stripe_sdk_reads_and_writes(url: str) -> None:
    with HubSession("stripe", url) as session:
        client = stripe_through(session)
        payments = client.v1.payment_intents.list({"limit": 5}).data
        assert len(payments) == 5
        changed = client.v1.payment_intents.update(payments[0].id, {"description": "Größe 42"})
        assert changed.description == "Größe 42"


def test_the_stripe_sdk_sees_its_own_errors(url: str) -> None:
    with (
        HubSession("stripe", url) as session,
        pytest.raises(stripe.InvalidRequestError, match="No such payment_intent"),
    ):
        stripe_through(session).v1.payment_intents.retrieve("pi_none")


class Untls(HTTPAdapter):
    """simple-salesforce speaks https and nothing else; the sandbox has no certificate."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def test_simple_salesforce_queries_and_describes(url: str) -> None:
    address = url.replace("http://", "https://")
    with HubSession("salesforce", address) as session:
        session.mount("https://", Untls())
        token = session.post("services/oauth2/token", data=SALESFORCE_TOKEN).json()["access_token"]
        client: Any = Salesforce(
            instance_url=address, session_id=token, version="60.0", session=session
        )
        assert len(client.query_all("SELECT Id, Name FROM Account")["records"]) == 50
        assert client.Account.describe()["name"] == "Account"
        with pytest.raises(exceptions.SalesforceMalformedRequest):
            client.query("SELECT Nothing FROM Account")


def test_their_calls_carry_our_headers_and_their_own() -> None:
    with hostile() as upstream, HubSession("stripe", upstream.url) as session:
        upstream.then(Answer(body=b'{"object": "list", "data": [], "has_more": false}'))
        with correlation("support-case-17"):
            stripe_through(session).v1.payment_intents.list()
    headers = upstream.asked[0].headers
    assert headers["X-Correlation-ID"] == "support-case-17"
    assert headers["Authorization"] == "Bearer sk_test_headwater"


def test_they_cannot_leave_the_connections_host() -> None:
    with hostile() as upstream, hostile() as other, HubSession("stripe", upstream.url) as session:
        client = stripe.StripeClient(
            "sk_test_headwater",
            base_addresses={"api": other.url},
            http_client=stripe.RequestsClient(session=session),
            max_network_retries=0,
        )
        with pytest.raises(stripe.APIConnectionError, match="refused to leave"):
            client.v1.payment_intents.list()
    assert other.asked == []


def test_a_page_without_end_is_bounded_for_them_too() -> None:
    with hostile() as upstream, HubSession("stripe", upstream.url, max_body_bytes=1000) as session:
        upstream.then(Answer(body=b" " * 2000))
        with pytest.raises(stripe.APIConnectionError, match="limit"):
            stripe_through(session).v1.payment_intents.list()
