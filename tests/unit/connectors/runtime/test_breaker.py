"""The circuit breaker against a sandbox that is broken in its usual ways, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.db.models.functions import Now

from connectors.models import Breaker as Row
from connectors.models import Connection, Stream, SyncRun
from connectors.runtime import breaker as breakers
from connectors.runtime import circuit, queue
from connectors.runtime.box import failure
from connectors.runtime.breaker import Breaker
from connectors.runtime.connect import connect
from connectors.runtime.outcomes import Outcomes
from connectors.runtime.probe import first_page, probe
from connectors.runtime.pull import execute
from connectors.runtime.retry import DEFAULT
from connectors.sandbox.server import SandboxServer
from observability.errors import CircuitOpenError, PermanentError, UpstreamError
from observability.incidents import Incident
from tests.sandboxes import running, set_fault
from tests.vendors import CREDENTIALS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxServer]:
    with running(20) as server:
        yield server


@pytest.fixture
def sandbox(shared: SandboxServer) -> Iterator[SandboxServer]:
    yield shared
    shared.sandbox.reset()


@pytest.fixture
def sap(sandbox: SandboxServer) -> Connection:
    row = connect("sap", "sap", sandbox.url, CREDENTIALS["sap"])
    Connection.objects.filter(pk=row.pk).update(breaker_minimum_calls=4, breaker_probes=2)
    return Connection.objects.get(pk=row.pk)


def asked(row: Connection, times: int = 1) -> str:
    """Ask for a page so often, without repetitions; the code of the last error, or empty."""
    code = ""
    for _ in range(times):
        connector = row.open()
        connector.session._retries = 0
        try:
            connector.session.get("sap/opu/odata/sap/API_PRODUCT_SRV/A_Product?$top=1")
            code = ""
        except UpstreamError as error:
            code = error.code
    return code


def another_process(row: Connection) -> Breaker:
    """A breaker that knows nothing but what is shared."""
    return Breaker(row.slug, row.circuit_breaker.policy)


def heal(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "sap", kind="slow", seconds=0)


def cooled_down(row: Connection) -> None:
    """The cool-down is over, for every process."""
    Row.objects.filter(connection=row).update(retry_at=Now())
    row.circuit_breaker._seen_at = float("-inf")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "down"}, "connection closed without an answer"),
        ({"kind": "server_error", "status": 503}, "answers 503"),
        ({"kind": "truncated"}, "its answers cannot be read"),
    ],
)
def test_enough_failures_open_it_and_calls_fail_at_once(
    sandbox: SandboxServer, sap: Connection, fault: dict[str, object], reason: str
) -> None:
    set_fault(sandbox.url, "sap", **fault)
    assert asked(sap, 3) != "upstream.circuit_open"
    assert not Row.objects.exists()  # the minimum volume
    asked(sap)
    row = Row.objects.get()
    assert (row.state, row.reason, row.changed_by) == ("open", reason, "the breaker")
    incident = Incident.objects.get()
    assert (incident.kind, incident.system, incident.cause) == ("system_down", "sap", reason)
    assert incident.next_look_at == row.retry_at
    heal(sandbox)
    assert asked(sap) == "upstream.circuit_open"  # although it would answer


def test_garbage_that_only_its_reader_notices_counts_too(
    sandbox: SandboxServer, sap: Connection
) -> None:
    set_fault(sandbox.url, "sap", kind="garbage")
    for _ in range(4):
        with pytest.raises(UpstreamError):
            first_page(sap)
    assert Row.objects.get().reason == "its answers cannot be read"


@pytest.mark.parametrize("fault", [{"kind": "rate_limited", "retry_after": 0}])
def test_a_limit_is_no_failure(
    sandbox: SandboxServer, sap: Connection, fault: dict[str, object]
) -> None:
    set_fault(sandbox.url, "sap", **fault)
    assert asked(sap, 6) == "upstream.rate_limited"
    assert not Row.objects.exists()


def test_a_refusal_is_the_answer_of_a_system_that_is_well(sap: Connection) -> None:
    session = sap.open().session
    for _ in range(6):
        with pytest.raises(PermanentError):
            session.get_bytes("sap/opu/odata/sap/API_PRODUCT_SRV/A_Product?$filter=nonsense")
    assert not Row.objects.exists()


def test_less_than_the_share_leaves_it_closed(sandbox: SandboxServer, sap: Connection) -> None:
    assert asked(sap, 4) == ""
    set_fault(sandbox.url, "sap", kind="down", count=3)
    asked(sap, 3)
    assert asked(sap) == ""
    assert not Row.objects.exists()


def test_processes_count_together_and_see_the_same_state(
    sandbox: SandboxServer, sap: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 2)
    monkeypatch.setitem(breakers._breakers, "sap", another_process(sap))
    asked(sap, 2)
    assert Row.objects.get().state == "open"
    monkeypatch.setitem(breakers._breakers, "sap", another_process(sap))
    assert asked(sap) == "upstream.circuit_open"


def test_a_longer_window_begins_without_the_failures_of_the_shorter_one() -> None:
    """Their buckets have other numbers: they would be counted until Valkey forgets them."""
    counted = Outcomes(f"window-{time.monotonic_ns()}")
    assert counted.add(0, 3, 10.0) == (0, 3)
    assert counted.add(1, 0, 1000.0) == (1, 0)
    assert counted._add_own(0, 0, 100.0) == (1, 0)


def test_without_valkey_each_process_counts_its_own(
    sandbox: SandboxServer, sap: Connection, settings: object
) -> None:
    caches["default"].close()
    settings.CACHES = {  # type: ignore[attr-defined]
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.2},
        }
    }
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    assert Row.objects.get().state == "open"
    assert asked(sap) == "upstream.circuit_open"


def test_probes_that_go_well_close_it(sandbox: SandboxServer, sap: Connection) -> None:
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    heal(sandbox)
    cooled_down(sap)
    assert asked(sap) == ""
    assert Row.objects.get().state == "half_open"
    assert asked(sap) == ""
    row = Row.objects.get()
    assert (row.state, row.down_since, row.retry_at) == ("closed", None, None)
    assert Incident.objects.get().resolved_at is not None
    # Old failures are forgotten: one new one does not open it.
    set_fault(sandbox.url, "sap", kind="down", count=1)
    asked(sap)
    assert Row.objects.get().state == "closed"


def test_a_probe_in_vain_opens_it_again_and_the_incident_counts(
    sandbox: SandboxServer, sap: Connection
) -> None:
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    down_since = Row.objects.get().down_since
    set_fault(sandbox.url, "sap", kind="server_error", status=502)
    cooled_down(sap)
    assert asked(sap) == "upstream.circuit_open"  # it costs the work that made it nothing
    row = Row.objects.get()
    assert (row.state, row.reason, row.down_since) == ("open", "answers 502", down_since)
    incident = Incident.objects.get()
    assert (incident.count, incident.cause, incident.resolved_at) == (2, "answers 502", None)


def test_no_more_probes_run_at_once_than_are_allowed(
    sandbox: SandboxServer, sap: Connection
) -> None:
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    cooled_down(sap)
    first, second, third = (another_process(sap) for _ in range(3))
    with first.call(), second.call():
        with pytest.raises(CircuitOpenError), third.call():
            raise AssertionError("a third probe was let through")
        # A probe whose process died gives its place back.
        Row.objects.update(probe_until=Now())
        time.sleep(0.01)
        assert third._circuit.probe(2, 60.0)


def test_a_token_that_is_fetched_on_the_way_needs_no_probe_of_its_own(
    sandbox: SandboxServer,
) -> None:
    row = connect("akeneo", "akeneo", sandbox.url, CREDENTIALS["akeneo"])
    Connection.objects.filter(pk=row.pk).update(breaker_minimum_calls=1, breaker_probes=1)
    row.refresh_from_db()
    row.circuit_breaker._circuit.open("test", 0.0)
    row.circuit_breaker._seen_at = float("-inf")
    assert probe(row)


def test_a_run_is_parked_without_an_attempt_and_is_due_when_it_closes(
    sandbox: SandboxServer, sap: Connection
) -> None:
    stream = Stream.objects.select_related("connection").get(connection=sap, slug="products")
    run = queue.ask(stream, "full", asked_by="test")
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    for _ in range(3):
        SyncRun.objects.update(not_before=Now())
        taken = queue.claim()
        assert taken is not None
        execute(*taken)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.error_code) == ("queued", 0, "upstream.circuit_open")
    assert queue.claim() is None
    heal(sandbox)
    cooled_down(sap)
    assert probe(sap)
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    assert run.state == "done"


def test_the_request_that_opens_it_has_met_what_opened_it(
    sandbox: SandboxServer, sap: Connection
) -> None:
    """Else a record on which its upstream chokes would never use up its attempts."""
    Connection.objects.filter(pk=sap.pk).update(breaker_minimum_calls=1)
    stream = Stream.objects.select_related("connection").get(connection=sap, slug="products")
    run = queue.ask(stream, "full", asked_by="test")
    set_fault(sandbox.url, "sap", kind="server_error")
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.error_code) == ("queued", 1, "upstream.retryable")
    assert Row.objects.get().state == "open"


def test_after_a_probe_in_vain_the_next_one_is_another_s(
    sandbox: SandboxServer, sap: Connection
) -> None:
    """Else a record on which its upstream chokes would be every probe, and keep it open for ever."""
    stream = Stream.objects.select_related("connection").get(connection=sap, slug="products")
    run = queue.ask(stream, "full", asked_by="test")
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    cooled_down(sap)
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    row = Row.objects.get()
    assert row.retry_at is not None
    # By then the supervisor has asked.
    assert run.not_before > row.retry_at + timedelta(seconds=20)
    with pytest.raises(CircuitOpenError) as refused:
        sap.open().session.get("sap/opu/odata/sap/API_PRODUCT_SRV/A_Product?$top=1")
    spared = failure(refused.value, 1, 1, 1, DEFAULT)
    assert spared.wait is not None
    assert spared.wait <= sap.breaker_cooldown_seconds  # who was not a probe may be the next


def test_nobody_else_probes_what_the_supervisor_has_to(
    sandbox: SandboxServer, sap: Connection
) -> None:
    set_fault(sandbox.url, "sap", kind="down")
    asked(sap, 4)
    assert circuit.unprobed() == []
    Row.objects.update(retry_at="2026-01-01T00:00:00Z")
    assert circuit.unprobed() == [sap.pk]


def test_a_person_opens_it_until_a_person_closes_it(sap: Connection) -> None:
    sap.circuit_breaker.open_by("ola")
    assert asked(sap) == "upstream.circuit_open"
    row = Row.objects.get()
    assert (row.state, row.changed_by, row.retry_at) == ("open", "ola", None)
    assert circuit.unprobed() == []
    assert sap.circuit_breaker.close_by("ola")
    assert asked(sap) == ""
    assert Incident.objects.get().resolved_by == "ola"


def test_it_can_be_switched_off(sandbox: SandboxServer, sap: Connection) -> None:
    sap.breaker_enabled = False
    set_fault(sandbox.url, "sap", kind="down")
    assert asked(sap, 8) == "upstream.retryable"
    assert not Row.objects.exists()
