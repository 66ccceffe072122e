"""What the supervisor looks after between its looks at the workers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from django.db import OperationalError, connection, transaction

from catalog.conflict_counts import ConflictCount
from catalog.entities import Product
from catalog.merge import Cause
from catalog.overrides import Decision, Override, override
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash
from connectors.runtime import wake
from connectors.runtime.duties import Duty, Round
from observability import incidents, retention
from observability.channels import Channel, Told
from observability.incidents import Incident
from tests.direct import written_directly

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def due() -> None:
    """A product whose derived columns are due, as after a migration and at midnight."""
    payload = json.dumps({"sku": "P-1"}).encode()
    source = source_id("erp", "product", "product")
    said = Contribution(source, "P-1", "P-1", payload, payload_hash(payload), {"slug": "p-1"}, 1)
    with transaction.atomic():
        apply_contributions([said], Cause(), entities=["product"])
    with written_directly():
        Product.objects.update(min_price_changes=date(2020, 1, 1))


@contextmanager
def locked() -> Iterator[None]:
    """A worker has merged the product, and is frozen before its commit."""
    worker = wake.dedicated()
    try:
        with worker.transaction():
            worker.execute("SELECT FROM catalog_product FOR UPDATE")
            yield
    finally:
        worker.close()


def test_a_frozen_worker_s_locks_do_not_hold_up_the_supervisor_who_is_to_end_it(due: None) -> None:
    del due
    ended = threading.Event()

    def look_after() -> None:
        try:
            Round().go()
            ended.set()
        finally:
            connection.close()

    thread = threading.Thread(target=look_after)
    with locked():
        thread.start()
        assert ended.wait(20)
    thread.join()
    assert Product.objects.get().min_price_changes is not None
    Round().go()
    assert Product.objects.get().min_price_changes is None


def test_incidents_that_ended_long_ago_are_forgotten() -> None:
    """A flapping upstream makes some hundreds a day."""
    for system, resolved in (("old", LONG_AGO), ("new", datetime.now(UTC)), ("open", None)):
        incidents.find(Incident.Kind.SYSTEM_DOWN, system, f"{system} is down")
        Incident.objects.filter(system=system).update(opened_at=LONG_AGO, resolved_at=resolved)
    old = Incident.objects.get(system="old")
    Incident.objects.filter(system="new").update(part_of=old)
    channel = Channel.objects.create(slug="duty", kind="email", address="duty@example.com")
    Told.objects.create(incident=old, channel=channel, state=Told.State.RESOLVED)
    assert retention.prune() == 1
    assert {row.system: row.part_of for row in Incident.objects.all()} == {
        "new": None,
        "open": None,
    }
    assert retention.prune() == 0


def test_a_duty_that_breaks_costs_neither_the_others_nor_the_supervisor() -> None:
    done: list[str] = []

    def broken() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    def away() -> None:
        raise OperationalError("the server closed the connection")

    def more() -> bool:
        done.append("more")
        return len(done) < 2

    looker = Round((Duty("one", 60, broken), Duty("two", 60, {}.popitem), Duty("three", 60, more)))
    looker.go(seconds=0)
    assert not done, "one at a time where there is no time"
    for _ in range(3):
        looker.go()
    assert done == ["more", "more"], "at once again while it says that there is more"
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
    with pytest.raises(OperationalError):
        Round((Duty("one", 60, away),)).go()


def test_overrides_end_and_conflicts_are_counted_without_anybody_asking(due: None) -> None:
    del due
    (made,) = override([Decision("product", "P-1", "slug", "tent")], by="ola", reason="nicer")
    Round().go()
    assert ConflictCount.objects.get(field="slug").live == 1
    Override.objects.filter(pk=made.pk).update(until=LONG_AGO)
    Round().go()
    assert Product.objects.get().slug == "p-1"
