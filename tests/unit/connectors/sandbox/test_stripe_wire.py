"""What the SDK hides of Stripe's wire format."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import requests

from connectors.sandbox.stripe_form import decode
from tests.sandboxes import running, set_fault

KEY = {"Authorization": "Bearer sk_test_headwater"}


@pytest.fixture
def url() -> Iterator[str]:
    with running(60) as server:
        yield server.url


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("amount=5&metadata[a]=b&metadata[c]=", {"amount": "5", "metadata": {"a": "b", "c": ""}}),
        ("expand[]=a&expand[]=b", {"expand": ["a", "b"]}),
        ("expand[0]=a&expand[1]=b", {"expand": ["a", "b"]}),
        ("created%5Bgte%5D=1&x=%C3%A9+1", {"created": {"gte": "1"}, "x": "é 1"}),
        ("items[0][price]=p&items[0][quantity]=2", {"items": [{"price": "p", "quantity": "2"}]}),
        ("", {}),
    ],
)
def test_form_encoding(text: str, value: object) -> None:
    assert decode(text) == value


def test_the_key_may_be_the_basic_user_and_must_be_there(url: str) -> None:
    target = f"{url}/v1/account"
    assert requests.get(target, auth=("sk_test_headwater", ""), timeout=5).status_code == 200
    refused = requests.get(target, timeout=5)
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_request_error")
    assert "You did not provide an API key" in refused.json()["error"]["message"]


def test_every_answer_has_a_request_id_and_the_callers_version(url: str) -> None:
    headers = {**KEY, "Stripe-Version": "2024-06-20"}
    answer = requests.get(f"{url}/v1/charges/ch_nope", headers=headers, timeout=5)
    assert answer.status_code == 404
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2024-06-20"
    assert answer.json()["error"]["doc_url"].endswith("resource-missing")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("starting_after=pi_nope", "starting_after"),
        ("starting_after=a&ending_before=b", "ending_before"),
        ("created[gte]=soon", "created[gte]"),
        ("colour=red", "colour"),
    ],
)
def test_a_bad_list_parameter_is_named(url: str, query: str, param: str) -> None:
    answer = requests.get(f"{url}/v1/payment_intents?{query}", headers=KEY, timeout=5)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_unknown_paths(url: str) -> None:
    answer = requests.get(f"{url}/v1/nothing", headers=KEY, timeout=5)
    assert answer.status_code == 404
    assert "Unrecognized request URL (GET: /v1/nothing)" in answer.json()["error"]["message"]


def test_two_captures_at_once_take_the_money_once(url: str) -> None:
    form = {"amount": "100", "currency": "eur", "capture_method": "manual", "confirm": "true"}
    form["payment_method"] = "pm_card_visa"
    target = f"{url}/v1/payment_intents"
    made = requests.post(target, form, headers=KEY, timeout=5).json()["id"]
    codes: list[int] = []

    def capture() -> None:
        answer = requests.post(f"{target}/{made}/capture", headers=KEY, timeout=5)
        codes.append(answer.status_code)

    threads = [Thread(target=capture) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 400, 400, 400, 400, 400]


def test_scripted_faults_in_stripe_s_words(url: str) -> None:
    target = f"{url}/v1/customers?limit=10"
    set_fault(url, "stripe", kind="unauthorized")
    assert requests.get(target, headers=KEY, timeout=5).json()["error"]["code"] == "api_key_expired"
    set_fault(url, "stripe", kind="rate_limited", retry_after="2.5")
    limited = requests.get(target, headers=KEY, timeout=5)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "2.5")
    assert limited.json()["error"]["code"] == "rate_limit"
    set_fault(url, "stripe", kind="renamed_field", field="email", to="email_address")
    assert "email_address" in requests.get(target, headers=KEY, timeout=5).json()["data"][0]
    set_fault(url, "stripe", kind="stuck_cursor")
    first = requests.get(target, headers=KEY, timeout=5).json()["data"]
    after = f"{target}&starting_after={first[-1]['id']}"
    assert requests.get(after, headers=KEY, timeout=5).json()["data"] == first
