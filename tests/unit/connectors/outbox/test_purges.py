"""Purges by tag: what each vendor is sent, in how many calls, when, and what the receipt says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from catalog import tags
from catalog.followers import HOLDS_SECONDS, NOTHING_SEEN, Patience, name_at
from catalog.notices import ChangeNotice, position
from connectors.models import InboxEvent, OutboxCommand, PurgeReceipt, Subscriber
from connectors.outbox import fanout, receipts, subscribers
from connectors.outbox.kinds import KINDS
from connectors.runtime import wake
from observability import retention
from tests import catalogue
from tests.endpoints import Endpoint, listening
from tests.telling import level, tell, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "token-of-the-vendor"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with listening() as made:
        yield made


def subscribed(kind: str, endpoint: Endpoint, **more: Any) -> Subscriber:
    row = Subscriber(slug=kind, kind=kind, url=endpoint.url, **more)
    if KINDS[kind].token:
        row.keep_token(TOKEN)
    else:
        row.new_secret()
    row.save()
    return row


def noticed(entity: str, *keys: str) -> ChangeNotice:
    return ChangeNotice.objects.create(
        entity=entity, keys=[*keys], kinds=["changed"] * len(keys), at=Now()
    )


def told(row: Subscriber) -> None:
    while fanout.tell():
        pass
    while subscribers.turn(row.pk):
        pass


@pytest.fixture
def shop() -> None:
    """Products P-1 and P-2, of which everybody was told."""
    catalogue.fill(2)
    ChangeNotice.objects.update(told=True)


# --- what is sent


@pytest.mark.usefixtures("shop")
def test_a_changed_price_purges_its_product_at_a_nextjs_app(endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint)
    catalogue.say("sap", "prices", catalogue.prices("P-1-01", amount="12.50"))
    told(row)
    ((headers, body),) = endpoint.taken
    assert headers["authorization"] == f"Bearer {row.live_secrets()[0]}"
    said = json.loads(body)
    assert {"prices", "variant:P-1-01", "product:P-1"} <= {*said["tags"]}
    assert "product:P-2" not in said["tags"]
    assert "everything" not in said


@pytest.mark.usefixtures("shop")
def test_fastly_is_sent_surrogate_keys(endpoint: Endpoint) -> None:
    row = subscribed("fastly", endpoint, place="SU1Z0isxPaozGVKXdv0eY")
    noticed("category", "cat_2")
    told(row)
    ((headers, body),) = endpoint.taken
    assert endpoint.paths == ["/changes/service/SU1Z0isxPaozGVKXdv0eY/purge"]
    assert headers["fastly-key"] == TOKEN
    assert headers["surrogate-key"].split() == ["categories", "category:cat_2"]
    assert body == b""


@pytest.mark.usefixtures("shop")
def test_cloudflare_is_sent_cache_tags(endpoint: Endpoint) -> None:
    row = subscribed("cloudflare", endpoint, place="023e105f4ecef8ad9ca31a8372d0c353")
    noticed("category", "cat_2")
    told(row)
    ((headers, body),) = endpoint.taken
    assert endpoint.paths == ["/changes/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache"]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(body) == {"tags": ["categories", "category:cat_2"]}


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("nextjs", "/changes", {"tags": [], "everything": True}),
        ("fastly", "/changes/service/A1/purge_all", None),
        ("cloudflare", "/changes/zones/A1/purge_cache", {"purge_everything": True}),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_load_of_changes_purges_everything(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, kind: str, path: str, body: Any
) -> None:
    monkeypatch.setattr(tags, "MOST_RECORDS", 2)
    row = subscribed(kind, endpoint, place="A1" if kind != "nextjs" else "")
    noticed("category", "a", "b", "c")
    told(row)
    ((_, sent),) = endpoint.taken
    assert endpoint.paths == [path]
    assert (json.loads(sent) if sent else None) == body


@pytest.mark.usefixtures("shop")
def test_only_tags_of_the_entities_that_it_listens_to(endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint, entities=["category"])
    noticed("review", "a01000000000001AAA")
    noticed("category", "cat_2")
    told(row)
    ((_, body),) = endpoint.taken
    assert json.loads(body)["tags"] == ["categories", "category:cat_2"]


@pytest.mark.parametrize(("kind", "most"), [("fastly", 256), ("cloudflare", 100)])
@pytest.mark.usefixtures("shop")
def test_no_call_names_more_tags_than_the_vendor_takes(
    endpoint: Endpoint, kind: str, most: int
) -> None:
    row = subscribed(kind, endpoint, place="A1")
    keys = [f"key-{number}" for number in range(3 * most)]
    noticed("category", *keys)
    told(row)
    named = [
        headers["surrogate-key"].split() if kind == "fastly" else json.loads(body)["tags"]
        for headers, body in endpoint.taken
    ]
    assert max(map(len, named)) <= most
    assert len(named) == 4
    assert {tag for tags_ in named for tag in tags_} == {"categories"} | {
        f"category:{key}" for key in keys
    }


# --- waiting, failing, and being one of several


@pytest.mark.usefixtures("shop")
def test_what_waits_for_one_endpoint_is_told_in_one_call(endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint)
    endpoint.status = 503
    for number in range(5):
        noticed("category", f"cat_{number}")
        fanout.tell()
    assert subscribers.turn(row.pk) == 0
    assert OutboxCommand.objects.filter(state="retrying").count() == 5
    endpoint.status = 200
    OutboxCommand.objects.update(next_attempt_at=Now())
    told(row)
    assert {c.state for c in OutboxCommand.objects.all()} == {"applied"}
    # One try while it was known to fail, then the rest together.
    tried, last = endpoint.taken[1:], json.loads(endpoint.taken[-1][1])["tags"]
    assert len(tried) == 2
    assert {"categories", "category:cat_4"} <= {*last}


# --- our own answers are purged before others are told


@pytest.fixture
def follower() -> Iterator[wake.Ear]:
    """A process that keeps answers, and has looked up to now."""
    ear = wake.Ear([wake.OUTBOX])
    ear.name(name_at(position()))
    yield ear
    ear.close()


@pytest.mark.usefixtures("shop")
def test_nobody_is_told_before_every_follower_has_seen_the_change(
    endpoint: Endpoint, follower: wake.Ear
) -> None:
    row = subscribed("nextjs", endpoint)
    patience = Patience()
    noticed("category", "cat_2")
    patience.look()
    assert patience.waits()
    assert fanout.tell(patience.over()) == 0
    follower.name(name_at(position()))
    patience.look()
    assert not patience.waits()
    assert fanout.tell(patience.over()) == 1
    assert subscribers.turn(row.pk) == 1


@pytest.mark.usefixtures("shop", "follower")
def test_a_follower_that_is_frozen_is_waited_for_as_long_as_it_could_use_what_it_kept(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed("nextjs", endpoint)
    seconds = [100.0]
    monkeypatch.setattr("catalog.followers.monotonic", lambda: seconds[0])
    patience = Patience()
    noticed("category", "cat_2")
    patience.look()
    seconds[0] += HOLDS_SECONDS - 0.01
    assert fanout.tell(patience.over()) == 0
    seconds[0] += 0.02
    assert fanout.tell(patience.over()) == 1


@pytest.mark.usefixtures("shop")
def test_who_has_ended_or_not_yet_looked(endpoint: Endpoint, follower: wake.Ear) -> None:
    subscribed("nextjs", endpoint)
    noticed("category", "cat_2")
    follower.name(name_at(NOTHING_SEEN))
    assert fanout.tell() == 0
    follower.close()
    eventually_told = any(fanout.tell() for _ in range(1000))
    assert eventually_told


def test_a_long_position_is_shortened_to_an_earlier_one() -> None:
    long = "900000001:900000999:" + ",".join(str(900000001 + n) for n in range(9))
    assert name_at("12:14:12") == "headwater follows 12:14:12"
    assert name_at(long) == "headwater follows 900000001:900000001:"


# --- receipts


def test_a_receipt_counts_from_the_upstreams_change_to_the_last_acknowledgement(
    endpoint: Endpoint,
) -> None:
    connection = telling()
    subscribed("nextjs", endpoint)
    with listening() as slow:
        second = subscribed("webhook", slow)
        tell(connection, "e1", "A", level("A", 5, 1))
        InboxEvent.objects.update(
            occurred_at=Now() - timedelta(seconds=30), received_at=Now() - timedelta(seconds=20)
        )
        work()
        slow.status = 500
        told(Subscriber.objects.get(slug="nextjs"))
        subscribers.turn(second.pk)
        receipt = PurgeReceipt.objects.get()
        assert (receipt.entities, receipt.notices, receipt.records) == (["stock"], 1, 1)
        event = InboxEvent.objects.get()
        assert (receipt.changed_at, receipt.received_at) == (event.occurred_at, event.received_at)
        figures = receipts.figures()
        assert (figures.told, figures.taken, figures.p50) == (1, 0, None)
        slow.status = 200
        OutboxCommand.objects.filter(state="retrying").update(next_attempt_at=Now())
        Subscriber.objects.update(paused_until=None)
        subscribers.turn(second.pk)
    # The second one acknowledged ten seconds after the first.
    second.commands.update(finished_at=F("finished_at") + timedelta(seconds=10))
    first = receipts.figures(Subscriber.objects.get(slug="nextjs").pk)
    everybody = receipts.figures()
    assert everybody.taken == 1
    assert first.p50 is not None
    assert everybody.p50 is not None
    assert 30 <= first.p50 < 40 <= everybody.p50


@pytest.mark.usefixtures("shop")
def test_what_a_run_read_counts_from_its_merge(endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint)
    catalogue.say("sap", "prices", catalogue.prices("P-1-01", amount="12.50"))
    told(row)
    receipt = PurgeReceipt.objects.get()
    assert receipt.changed_at == receipt.received_at == receipt.merged_at
    assert receipt.told_at > receipt.merged_at


@pytest.mark.usefixtures("shop")
def test_without_subscribers_there_are_no_receipts() -> None:
    noticed("category", "cat_2")
    assert fanout.tell() == 1
    assert not PurgeReceipt.objects.exists()


@pytest.mark.usefixtures("shop")
def test_receipts_are_pruned_by_age_but_not_before_their_calls(endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint)
    for key in ("cat_1", "cat_2", "cat_3"):
        noticed("category", key)
        told(row)
    young, with_calls, old = PurgeReceipt.objects.all()
    PurgeReceipt.objects.exclude(pk=young.pk).update(told_at=Now() - timedelta(days=30, hours=1))
    OutboxCommand.objects.filter(receipt=old).delete()
    assert retention.prune() == 1
    assert {r.pk for r in PurgeReceipt.objects.all()} == {young.pk, with_calls.pk}


# --- in the admin


FORM = {
    "slug": "edge", "kind": "fastly", "url": "", "place": "SU1Z0isxPaozGVKXdv0eY", "token": TOKEN,
    "entities": "", "enabled": "on", "timeout_seconds": "10", "retry_seconds": "[]",
}  # fmt: skip
ADD = "/admin/connectors/subscriber/add/"


@pytest.mark.parametrize(
    ("changed", "field", "wrong"),
    [
        ({"kind": "nextjs", "place": "", "token": ""}, "url", "address"),
        ({"place": ""}, "place", "id of the service"),
        ({"place": "../zones"}, "place", "letters and digits"),
        ({"token": ""}, "token", "API token"),
        ({"token": "with a blank"}, "token", "no blanks"),
        ({"kind": "nextjs", "url": "https://shop.example/api", "token": ""}, "place", "empty"),
        ({"kind": "nextjs", "url": "https://shop.example/api", "place": ""}, "token", "shown once"),
        ({"kind": "varnish"}, "kind", "valid choice"),
    ],
)
def test_bad_input_is_named_by_its_field(
    admin_client: Client, changed: dict[str, str], field: str, wrong: str
) -> None:
    answer = admin_client.post(ADD, {**FORM, **changed})
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert wrong in str(errors[field])
    assert TOKEN not in answer.content.decode()
    assert not Subscriber.objects.exists()


def test_a_vendors_token_is_encrypted_never_shown_and_kept_when_the_field_is_empty(
    admin_client: Client,
) -> None:
    assert admin_client.post(ADD, FORM).status_code == 302
    row = Subscriber.objects.get()
    assert row.url == "https://api.fastly.com"
    assert row.live_secrets() == [TOKEN]
    assert TOKEN not in row.secrets
    page = f"/admin/connectors/subscriber/{row.pk}/change/"
    shown = admin_client.get(page).content.decode()
    assert TOKEN not in shown
    assert "Fastly: purge by surrogate key" in shown
    again = {**FORM, "url": row.url, "token": "", "timeout_seconds": "7"}
    assert admin_client.post(page, again).status_code == 302
    row.refresh_from_db()
    assert (row.kind, row.timeout_seconds, row.live_secrets()) == ("fastly", 7, [TOKEN])
    before = row.secrets
    call_command("rotate_secrets")
    row.refresh_from_db()
    assert row.secrets != before
    assert row.live_secrets() == [TOKEN]


def test_the_secret_of_a_nextjs_app_is_made_here_and_shown_once(admin_client: Client) -> None:
    said = {**FORM, "kind": "nextjs", "url": "https://shop.example/api", "place": "", "token": ""}
    shown = admin_client.post(ADD, said, follow=True).content.decode()
    (secret,) = Subscriber.objects.get().live_secrets()
    assert secret in shown
    assert secret not in admin_client.get("/admin/connectors/subscriber/").content.decode()


@pytest.mark.usefixtures("shop")
def test_receipts_are_shown_with_their_seconds(admin_client: Client, endpoint: Endpoint) -> None:
    row = subscribed("nextjs", endpoint)
    other = subscribed("webhook", endpoint, entities=["review"])
    noticed("category", "cat_2")
    told(row)
    receipt = PurgeReceipt.objects.get()
    OutboxCommand.objects.update(finished_at=receipt.changed_at + timedelta(seconds=1.5))
    listed = admin_client.get("/admin/connectors/purgereceipt/").content.decode()
    assert "category: 1 record" in listed
    assert "1 of 1" in listed
    assert "p50 1.50 s" in listed
    page = admin_client.get(f"/admin/connectors/purgereceipt/{receipt.pk}/change/").content.decode()
    assert "nextjs" in page
    assert "1.50 s" in page
    of = "/admin/connectors/purgereceipt/?subscriber="
    assert "category: 1 record" in admin_client.get(of + row.slug).content.decode()
    assert "category: 1 record" not in admin_client.get(of + other.slug).content.decode()
    own = admin_client.get(f"/admin/connectors/subscriber/{row.pk}/change/").content.decode()
    assert "p95 1.50 s" in own
