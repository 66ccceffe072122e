"""The console as support and operators use it, page by page."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.admin import entity_url
from catalog.entities import Price
from connectors.models import Connection, Stream, SyncRun
from tests import console_demo

pytestmark = pytest.mark.django_db

STATEMENTS = 18


@pytest.fixture
def demo() -> None:
    console_demo.fill()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    return client


@pytest.fixture
def support(client: Client) -> Client:
    """May look at everything, and ask for nothing."""
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def read(client: Client, address: str) -> str:
    """The page, which must need few statements."""
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(address)
    assert answer.status_code == 200, address
    assert len(seen) <= STATEMENTS, [q["sql"][:150] for q in seen.captured_queries]
    return answer.content.decode()


def page_of(name: str, key: str) -> str:
    return entity_url(name, key)


@pytest.mark.usefixtures("demo")
def test_every_list_and_the_overview_open_with_few_statements(operator: Client) -> None:
    console_demo.quarantined()
    console_demo.many_runs()
    lists = [
        reverse(f"admin:{app}_{model}_changelist")
        for app, models in {
            "catalog": (
                "product", "variant", "price", "stock", "review", "category", "customer", "order",
                "orderline", "payment", "refund", "payout", "payoutline", "sourcerecord", "ownershiprule", "revision",
            ),
            "connectors": ("connection", "stream", "syncrun", "quarantinedrecord"),
            "auth": ("user", "group"),
        }.items()
        for model in models
    ]  # fmt: skip
    for address in [reverse("admin:index"), *lists]:
        read(operator, address)


@pytest.mark.usefixtures("demo")
def test_lineage_names_system_record_rule_and_raw_member(operator: Client) -> None:
    page = read(operator, page_of("price", "T-1-01/DE/EUR/2026-01-01"))
    assert "199.9" in page
    assert "erp owns price" in page
    assert "Prices are set in the ERP." in page
    marked = '<span class="hw-line hw-marked">  &quot;Rate&quot;: &quot;199.90&quot;,\n</span>'
    assert marked in page


@pytest.mark.usefixtures("demo")
def test_lineage_shows_who_lost_and_why(operator: Client) -> None:
    page = read(operator, page_of("variant", "T-1-01"))
    assert "erp owns variant.gtin" in page
    assert "0000000000000" in page
    assert "may not decide" in page
    assert "Tent, green" in page
    assert "TENT 2P" in page


@pytest.mark.usefixtures("demo")
def test_a_product_shows_its_parts_and_links_to_them(operator: Client) -> None:
    page = read(operator, page_of("product", "T-1"))
    assert "Zelt für zwei" in page
    assert f'href="{page_of("variant", "T-1-02")}"' in page
    assert f'href="{page_of("price", "T-1-01/DE/EUR/2026-01-01")}"' in page


@pytest.mark.usefixtures("demo")
def test_history_shows_old_and_new_value_with_run_and_correlation(operator: Client) -> None:
    run = console_demo.say("erp", "prices", [{**console_demo.PRICE, "Rate": "189.00"}])
    page = read(operator, page_of("price", "T-1-01/DE/EUR/2026-01-01"))
    assert "<del>199.90</del>" in page
    assert "<ins>189.00</ins>" in page
    assert reverse("admin:connectors_syncrun_change", args=[run.pk]) in page
    assert console_demo.CORRELATION in page


@pytest.mark.usefixtures("demo")
def test_statements_do_not_grow_with_parts(operator: Client) -> None:
    with CaptureQueriesContext(connection) as few:
        operator.get(page_of("product", "T-1"))
    more = [{**console_demo.ARTICLE, "Product": f"T-1-{n}", "Gtin": None} for n in range(10, 30)]
    console_demo.say("erp", "articles", more)
    with CaptureQueriesContext(connection) as many:
        operator.get(page_of("product", "T-1"))
    assert len(many) <= len(few)


@pytest.mark.usefixtures("demo")
def test_resync_this_record_asks_every_system_that_speaks_about_it(operator: Client) -> None:
    address = reverse("admin:catalog_variant_changelist")
    back = page_of("variant", "T-1-01")
    answer = operator.post(address, {"one": "resync_record:T-1-01", "next": back})
    assert answer.status_code == 302
    assert answer["Location"] == back
    asked = SyncRun.objects.filter(state="queued", kind="record")
    assert {(str(r.stream), r.record_key, r.asked_by) for r in asked} == {
        ("erp.articles", "T-1-01", "ola"),
        ("pim.variants", "T-1-01", "ola"),
    }


@pytest.mark.usefixtures("demo")
def test_resync_of_a_nested_record_fetches_its_parent(operator: Client) -> None:
    operator.post(reverse("admin:catalog_orderline_changelist"), {"one": "resync_record:77/10"})
    run = SyncRun.objects.get(state="queued")
    assert (str(run.stream), run.record_key) == ("erp.orders", "77")


@pytest.mark.usefixtures("demo")
def test_the_button_never_leads_to_another_site(operator: Client) -> None:
    stream = Stream.objects.get(slug="prices")
    address = reverse("admin:connectors_stream_changelist")
    answer = operator.post(
        address, {"one": f"resync_now:{stream.pk}", "next": "https://evil.example/"}
    )
    assert answer["Location"] == address


@pytest.mark.usefixtures("demo")
def test_support_may_read_and_not_ask(support: Client) -> None:
    page = support.get(page_of("variant", "T-1-01")).content.decode()
    assert "erp owns variant.gtin" in page
    assert "Resync this record" not in page
    streams = support.get(reverse("admin:connectors_stream_changelist")).content.decode()
    assert "erp.prices" in streams
    assert "Resync now" not in streams
    answer = support.post(
        reverse("admin:catalog_variant_changelist"), {"one": "resync_record:T-1-01"}
    )
    assert answer.status_code == 403
    assert not SyncRun.objects.filter(state="queued").exists()


@pytest.mark.usefixtures("demo")
def test_entities_cannot_be_edited(operator: Client) -> None:
    address = page_of("price", "T-1-01/DE/EUR/2026-01-01")
    operator.post(address, {"amount": "1"})
    assert str(Price.objects.get(pk="T-1-01/DE/EUR/2026-01-01").amount) == "199.9000"
    assert operator.get(reverse("admin:catalog_price_add")).status_code == 403


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "T-1"}, True),
        ({"q": "zelt FÜR"}, True),
        ({"q": "nothing like it"}, False),
        ({"brand": "Alpina"}, True),
        ({"brand": "Other"}, False),
        ({"tombstones": "only"}, False),
    ],
)
def test_lists_are_searched_and_narrowed(
    operator: Client, query: dict[str, str], *, found: bool
) -> None:
    answer = operator.get(reverse("admin:catalog_product_changelist"), query)
    assert (page_of("product", "T-1") in answer.content.decode()) is found


def test_a_filter_of_the_wrong_type_finds_nothing(operator: Client) -> None:
    answer = operator.get(reverse("admin:catalog_review_changelist"), {"rating": "many"})
    assert answer.status_code == 200


@pytest.mark.usefixtures("demo")
def test_overview_puts_red_first(operator: Client) -> None:
    calm = read(operator, reverse("admin:index"))
    assert "all well" in calm
    console_demo.quarantined()
    console_demo.many_runs()
    page = read(operator, reverse("admin:index"))
    assert page.index("last run failed") < page.index("run held") < page.index('id="freshness"')
    assert "Maintenance" in page


def test_overview_without_any_connection_says_what_to_do(operator: Client) -> None:
    page = read(operator, reverse("admin:index"))
    assert reverse("admin:connectors_connection_add") in page


@pytest.mark.usefixtures("demo")
def test_secrets_are_on_no_page(operator: Client) -> None:
    row = Connection.objects.get(slug="erp")
    for address in (
        reverse("admin:connectors_connection_changelist"),
        reverse("admin:connectors_connection_change", args=[row.pk]),
        reverse("admin:index"),
    ):
        page = operator.get(address).content.decode()
        assert "s3cret-of-erp" not in page
        assert row.secrets not in page
