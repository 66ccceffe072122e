"""Rules judged against signals: when an incident opens, what it is part of, when it ends."""

from __future__ import annotations

import pytest
from django.db import connection

from observability import alerts, signals
from observability.alerts import AlertRule, AlertState
from observability.incidents import Incident
from observability.signals import Row, Signal

pytestmark = pytest.mark.django_db

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
