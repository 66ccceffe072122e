"""Rules judged against signals: when an incident opens, what it is part of, when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models.functions import Now

from observability import alerts, degradation, incidents, signals
from observability.alerts import AlertRule, AlertState
from observability.incidents import Incident
from observability.signals import Counts, Rate, Row, Signal
from observability.silences import Silence, end

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
#: What the signal of the tests says.
SAID: list[Row] = []
signals.add(Signal("tested", "is tested", "s", lambda: list(SAID)))


@pytest.fixture(autouse=True)
def said() -> list[Row]:
    SAID.clear()
    AlertRule.objects.update(enabled=False)
    return SAID


def rule(**values: object) -> AlertRule:
    made = AlertRule(slug="tested", title="Tested", signal="tested", **values)
    made.full_clean()
    made.save()
    return made


def later(seconds: int) -> None:
    """As if what is known had begun so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE observability_alertstate SET since = since - %(s)s * interval '1 second',"
            " below_since = below_since - %(s)s * interval '1 second',"
            " found_at = found_at - %(s)s * interval '1 second'",
            {"s": seconds},
        )


def test_all_signals_that_come_with_the_hub_can_be_read() -> None:
    AlertRule.objects.update(enabled=True)
    alerts._read_at.clear()
    rules = list(AlertRule.objects.exclude(signal=""))
    assert len(rules) > 12
    read = alerts._read({r.signal for r in rules}, rules, at_once=True)
    assert {r.slug for r in rules} == set(read)


def test_a_breach_has_to_last_and_ends_below_another_value(said: list[Row]) -> None:
    rule(threshold=10, for_seconds=60, ends_below=5, ends_after_seconds=30)
    said.append(("sap", "stock", "", 12.0, "slow", "upstream"))
    alerts.evaluate()
    assert not Incident.objects.exists()
    later(61)
    assert alerts.evaluate().found == 1
    incident = Incident.objects.get()
    assert (incident.kind, incident.title) == ("tested", "sap.stock is tested")
    assert incident.details["hop"] == "upstream"
    said[:] = [("sap", "stock", "", 7.0, "", "")]  # below the threshold, and not below its end
    later(31)
    alerts.evaluate()
    later(31)
    assert alerts.evaluate().ended == 0
    said.clear()
    assert alerts.evaluate().ended == 0
    later(31)
    assert alerts.evaluate().ended == 1
    assert not AlertState.objects.exists()


def test_what_ends_and_is_found_again_soon_goes_on_as_the_same(said: list[Row]) -> None:
    rule(ends_after_seconds=0)
    for _ in range(3):
        said[:] = [("sap", "", "", 2.0, "", "")]
        alerts.evaluate()
        said.clear()
        alerts.evaluate()
    incident = Incident.objects.get()
    assert incident.count == 3
    assert incident.reopened_at is not None
    Incident.objects.update(resolved_at=LONG_AGO)
    said[:] = [("sap", "", "", 2.0, "", "")]
    alerts.evaluate()
    assert Incident.objects.count() == 2


def test_what_a_system_that_is_down_causes_is_part_of_that_and_ends_with_it(
    said: list[Row],
) -> None:
    rule(explained_by=["system_down"])
    said[:] = [(system, "stock", "", 2.0, "", "") for system in ("sap", "wms")]
    alerts.evaluate()
    down = incidents.find("system_down", "sap", "sap is down")
    alerts.evaluate()
    parts = Incident.objects.filter(kind="tested")
    assert list(parts.order_by("system").values_list("system", "part_of")) == [
        ("sap", down), ("wms", None),
    ]  # fmt: skip
    assert Incident.objects.get(pk=down).severity == "page"
    incidents.resolve("system_down", "sap", by="the breaker")
    alerts.evaluate()
    ended = parts.get(system="sap")
    assert ended.resolved_by == "it ended with its cause"
    # Still wrong, though the system is back: then it is wrong by itself.
    alerts.evaluate()
    ended.refresh_from_db()
    assert (ended.resolved_at, ended.part_of) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_a_silence_holds_for_its_place_and_time_and_marks_the_reads(said: list[Row]) -> None:
    rule()
    said[:] = [(system, "", "", 2.0, "", "") for system in ("sap", "wms")]
    window = Silence.objects.create(
        system="sap", starts_at=LONG_AGO, until=Now() + timedelta(hours=1), reason="a new release"
    )
    alerts.evaluate()
    silenced = Incident.objects.exclude(silenced_until=None)
    assert [row.system for row in silenced] == ["sap"]
    degradation.look()
    assert "sap is in maintenance since 2020" in (degradation.current().reason("sap") or "")
    assert "a new release" in degradation.current().reasons
    assert end(Silence.objects.filter(pk=window.pk)) == 1
    alerts.evaluate()
    degradation.look()
    assert degradation.current() is degradation.WELL
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM observability_incident WHERE silenced_until > now()")
        assert cursor.fetchone() == (0,)


def test_a_burn_rate_needs_both_its_windows_and_enough_of_them() -> None:
    made = AlertRule(slug="burn", signal="burn", objective=0.99, minimum=10,
                     windows=[[60, 5, 14.4], [360, 30, 6]])  # fmt: skip

    def counts(*windows: tuple[int, int, int]) -> list[Rate]:
        told = [Counts("sap", "", "", m, good, bad, "", "upstream") for m, good, bad in windows]
        return [one.rate(0.99) for one in told]

    slow = counts((60, 860, 140), (5, 80, 20), (360, 5900, 140), (30, 380, 20))
    (reading,) = [r for r in alerts.burnt(made, slow) if r.value >= 0.9]
    assert reading.value == pytest.approx(14 / 14.4)
    fast = counts((60, 800, 200), (5, 80, 20))
    (reading,) = alerts.burnt(made, fast)
    assert reading.value == pytest.approx(20 / 14.4)
    assert reading.cause == "20 of 100 went wrong in 5 minutes, 20.0 times what is allowed"
    over = counts((60, 800, 200), (5, 100, 0))  # long ago by now
    assert [r.value for r in alerts.burnt(made, over)] == [0.0]
    assert alerts.burnt(made, counts((60, 1, 1), (5, 1, 1))) == []


def test_a_rule_that_could_never_be_judged_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        rule(ends_below=3, threshold=2)
    assert "at most the threshold" in str(refused.value)
    with pytest.raises(ValidationError) as refused:
        AlertRule(slug="x", title="x", signal="nothing_such").full_clean()
    assert "There is no such signal; there are" in str(refused.value)
