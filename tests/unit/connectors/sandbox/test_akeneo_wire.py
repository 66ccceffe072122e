"""The simulated PIM, over HTTP, as a connector meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.sandbox.signing import AKENEO_SECRET, hex_hmac
from tests.sandboxes import receiving, running, set_fault

PRODUCTS = 150  # 300 variants
CLIENT = ("1_headwater", "akeneo-secret")
COLLECTION = "application/vnd.akeneo.collection+json"


class Pim(requests.Session):
    """A client with a token."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.granted = self.ask(
            grant_type="password", username="headwater", password="sandbox-akeneo"
        ).json()
        self.headers["Authorization"] = f"Bearer {self.granted['access_token']}"

    def ask(self, **grant: str) -> requests.Response:
        token = f"{self.url}/api/oauth/v1/token"
        return requests.post(token, json=grant, auth=CLIENT, timeout=5)

    def read(self, path: str, **query: Any) -> requests.Response:
        return self.get(f"{self.url}/api/rest/v1/{path}", params=query, timeout=5)

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item, by following the links."""
        page = self.read(path, pagination_type="search_after", **query).json()
        while True:
            yield from page["_embedded"]["items"]
            if "next" not in page["_links"]:
                return
            page = self.get(page["_links"]["next"]["href"], timeout=5).json()

    def patch_lines(self, path: str, *lines: dict[str, Any] | str) -> list[dict[str, Any]]:
        body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        target, kind = f"{self.url}/api/rest/v1/{path}", {"Content-Type": COLLECTION}
        answer = self.patch(target, data=body.encode(), headers=kind, timeout=5)
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.text.split("\n")]


@pytest.fixture
def pim() -> Iterator[Pim]:
    with running(PRODUCTS) as server:
        yield Pim(server.url)


def updated(operator: str, value: Any) -> str:
    return json.dumps({"updated": [{"operator": operator, "value": value}]})


def test_following_the_links_yields_every_record_once(pim: Pim) -> None:
    products = [item["identifier"] for item in pim.items("products", limit=100)]
    models = [item["code"] for item in pim.items("product-models", limit=100)]
    assert len(set(products)) == len(products) == PRODUCTS * 2
    assert len(set(models)) == len(models) == PRODUCTS


def test_a_variant_names_its_model_and_the_model_carries_texts(pim: Pim) -> None:
    variant = pim.read("products/P-000003-02").json()
    model = pim.read(f"product-models/{variant['parent']}").json()
    assert variant["values"].keys() == {"ean", "color", "size"}
    assert [v["locale"] for v in model["values"]["name"]][:2] == ["en_US", "de_DE"]
    assert model["values"]["brand"][0].keys() == {"locale", "scope", "data"}
    assert model["updated"].endswith("+00:00")
    assert pim.read(f"categories/{model['categories'][0]}").json()["labels"]["de_DE"]


def test_no_count_with_search_after_and_one_on_request_with_pages(pim: Pim) -> None:
    assert "items_count" not in pim.read("products", pagination_type="search_after").json()
    page = pim.read("products", page=2, limit=100, with_count="true").json()
    assert (page["items_count"], page["current_page"]) == (PRODUCTS * 2, 2)
    assert page["_links"].keys() == {"self", "first", "previous", "next"}


def test_an_update_shows_in_the_changes_and_nowhere_twice(pim: Pim) -> None:
    newest = pim.read(f"products/P-{PRODUCTS:06d}-01").json()["updated"][:19].replace("T", " ")
    assert list(pim.items("products", search=updated(">", newest))) == []
    pim.patch_lines("products", {"identifier": "P-000001-01", "enabled": False})
    changed = list(pim.items("products", search=updated(">", newest)))
    assert [item["identifier"] for item in changed] == ["P-000001-01"]
    assert len(list(pim.items("products", limit=100))) == PRODUCTS * 2


def test_filters(pim: Pim) -> None:
    def found(search: dict[str, Any]) -> list[str]:
        return [item["identifier"] for item in pim.items("products", search=json.dumps(search))]

    parent = {"parent": [{"operator": "=", "value": "P-000003"}]}
    assert found(parent) == ["P-000003-01", "P-000003-02", "P-000003-03"]
    named = {"identifier": [{"operator": "IN", "value": ["P-000005-01", "nope"]}]}
    assert found(named) == ["P-000005-01"]
    category = pim.read("products/P-000003-01").json()["categories"]
    in_category = {"categories": [{"operator": "IN", "value": category}]}
    assert "P-000003-01" in found(in_category)
    assert found(in_category | named | parent) == []


def test_between_takes_both_ends(pim: Pim) -> None:
    at = pim.read("product-models/P-000010").json()["updated"][:19].replace("T", " ")
    codes = [i["code"] for i in pim.items("product-models", search=updated("BETWEEN", [at, at]))]
    assert "P-000010" in codes
    assert len(codes) == 7  # neighbours that changed in the same second


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"limit": 101}, 422, "You cannot request more than 100 items."),
        ({"limit": "x"}, 422, '"x" is not a valid limit number.'),
        ({"search": "{"}, 400, "Search query parameter should be valid JSON."),
        ({"search": updated(">", "soon")}, 422, 'with the format "yyyy-mm-dd H:i:s", "soon" given'),
        ({"search": updated("LIKE", "x")}, 422, 'Filter on property "updated" is not supported'),
        ({"page": 101, "limit": 100}, 422, "Please use the search after pagination type"),
        ({"pagination_type": "offset"}, 422, "Pagination type is not supported."),
        (
            {"pagination_type": "search_after", "search_after": "%%"},
            422,
            "search_after value",
        ),
    ],
)
def test_a_bad_request_is_refused_in_words(
    pim: Pim, query: dict[str, Any], status: int, message: str
) -> None:
    answer = pim.read("products", **query)
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert message in answer.json()["message"]


def test_unknown_records_are_404(pim: Pim) -> None:
    answer = pim.read("products/nope")
    assert answer.status_code == 404
    assert answer.json()["message"].startswith('Product "nope" does not exist')


def test_patch_merges_by_locale_and_tells_the_fate_of_each_line(pim: Pim) -> None:
    text = [{"locale": "de_DE", "scope": None, "data": "Gaskocher, überarbeitet"}]
    lines = pim.patch_lines(
        "product-models",
        {"code": "P-000001", "values": {"name": text}},
        {"code": "NEW", "family_variant": "outdoor_gear_color_size"},
        {"code": "P-000002", "colour": "red"},
        {"code": "P-000002", "values": {"name": [{"data": "no locale"}]}},
        {"code": "P-000002", "categories": ["nope"]},
        "{broken",
    )
    assert [line["status_code"] for line in lines] == [204, 201, 422, 422, 422, 400]
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[3]["errors"][0]["message"] == "The name attribute requires a locale."
    names = {
        v["locale"]: v["data"] for v in pim.read("product-models/P-000001").json()["values"]["name"]
    }
    assert names["de_DE"] == "Gaskocher, überarbeitet"
    assert names["en_US"]


def test_too_many_lines_and_the_wrong_content_type_are_refused(pim: Pim) -> None:
    target = f"{pim.url}/api/rest/v1/products"
    body = "\n".join('{"identifier": "x"}' for _ in range(101))
    too_many = pim.patch(target, data=body, headers={"Content-Type": COLLECTION}, timeout=5)
    assert (too_many.status_code, too_many.json()["code"]) == (413, 413)
    assert pim.patch(target, json={"identifier": "x"}, timeout=5).status_code == 415


def test_one_record_is_created_changed_and_deleted(pim: Pim) -> None:
    target = f"{pim.url}/api/rest/v1/products"
    made = pim.post(target, json={"identifier": "N-1", "parent": "P-000001"}, timeout=5)
    assert (made.status_code, made.headers["Location"]) == (201, f"{target}/N-1")
    assert pim.post(target, json={"identifier": "N-1"}, timeout=5).status_code == 422
    siblings = json.dumps({"parent": [{"operator": "=", "value": "P-000001"}]})
    assert "N-1" in [item["identifier"] for item in pim.items("products", search=siblings)]
    assert pim.patch(f"{target}/N-1", json={"enabled": False}, timeout=5).status_code == 204
    assert pim.delete(f"{target}/N-1", timeout=5).status_code == 204
    assert pim.read("products/N-1").status_code == 404


def test_refresh_tokens_work_once_and_wrong_ones_never(pim: Pim) -> None:
    refresh = pim.granted["refresh_token"]
    assert pim.ask(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    assert pim.ask(grant_type="refresh_token", refresh_token=refresh).status_code == 422
    wrong = pim.ask(grant_type="password", username="headwater", password="wrong")
    assert wrong.json()["message"] == "No user found for the given username and password"


def test_revoked_tokens_stay_revoked(pim: Pim) -> None:
    set_fault(pim.url, "akeneo", kind="unauthorized", count=1)
    assert pim.read("products").status_code == 401
    again = pim.read("products")
    assert again.json() == {"code": 401, "message": "The access token provided is invalid."}
    assert Pim(pim.url).read("products").status_code == 200


def test_scripted_paging_faults(pim: Pim) -> None:
    query = {"pagination_type": "search_after", "limit": 20}
    honest = [
        item["identifier"] for item in pim.read("products", **query).json()["_embedded"]["items"]
    ]
    set_fault(pim.url, "akeneo", kind="overlapping_pages")
    first = pim.read("products", **query).json()
    second = pim.get(first["_links"]["next"]["href"], timeout=5).json()
    assert second["_embedded"]["items"][0]["identifier"] == honest[-2]
    set_fault(pim.url, "akeneo", kind="stuck_cursor")
    second = pim.get(first["_links"]["next"]["href"], timeout=5).json()
    third = pim.get(second["_links"]["next"]["href"], timeout=5).json()
    assert third["_embedded"] == second["_embedded"]


def test_events_are_signed_and_name_their_author(pim: Pim) -> None:
    with receiving(pim.url, "akeneo") as receiver:
        pim.patch_lines("products", {"identifier": "P-000001-01", "enabled": False})
        control = f"{pim.url}/_control/akeneo/product_models/P-000002"
        requests.post(control, json={"family_variant": "other"}, timeout=5).raise_for_status()
        requests.delete(control, timeout=5).raise_for_status()
        events = []
        for _ in range(3):
            headers, body = receiver.next()
            at = int(headers["X-Akeneo-Request-Timestamp"])
            assert headers["X-Akeneo-Request-Signature"] == hex_hmac(AKENEO_SECRET, at, body)
            events += json.loads(body)["events"]
    assert [(event["action"], event["author_type"]) for event in events] == [
        ("product.updated", "api"),
        ("product_model.updated", "ui"),
        ("product_model.removed", "ui"),
    ]
    assert events[0]["author"] == "headwater"
    assert events[0]["data"]["resource"]["identifier"] == "P-000001-01"
    assert events[2]["data"]["resource"]["code"] == "P-000002"
