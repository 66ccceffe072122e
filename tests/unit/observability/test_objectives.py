"""Freshness objectives: late is what changed upstream and is not here, and only while it counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from observability import attainment, judging, metrics
from observability.alerts import AlertRule
from observability.calendars import INSIDE, Calendar
from observability.freshness import advance, promise
from observability.incidents import Incident
from observability.judging import Watched
from observability.objectives import FreshnessObjective
from observability.silences import Silence

pytestmark = pytest.mark.django_db
PRICES = ("sap", "prices")


COUNT = f"""
SELECT count(*) FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 minute',
                                     interval '1 minute') AS m (at)
LEFT JOIN observability_calendar c ON c.id = %s WHERE {INSIDE.format(moment="m.at")}"""  # noqa: S608 (our own SQL)


def minutes_inside(calendar: Calendar, first: datetime, hours: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [first, first + timedelta(hours=hours), calendar.pk])
        return int(cursor.fetchone()[0])


def test_calendars_count_the_minutes_of_the_local_clock() -> None:
    nights = Calendar.objects.create(
        name="nights", time_zone="Europe/Berlin", opens=time(0), closes=time(6)
    )
    # The day on which clocks go back has 25 hours, the one on which they go forward 23.
    for midnight, hours, wanted in (
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 25, 7),
        (datetime(2026, 3, 28, 23, tzinfo=UTC), 23, 5),
        (datetime(2026, 5, 3, 22, tzinfo=UTC), 24, 6),
    ):
        assert minutes_inside(nights, midnight, hours) == 60 * wanted
    work = Calendar(
        name="work", time_zone="Europe/Berlin", weekdays=[1, 2, 3, 4, 5], opens=time(6),
        closes=time(20), holidays=[date(2026, 12, 25)],
    )  # fmt: skip
    work.full_clean()
    work.save()
    # Monday 21 to Sunday 27 December: five workdays, one of them a holiday.
    assert minutes_inside(work, datetime(2026, 12, 20, 23, tzinfo=UTC), 7 * 24) == 4 * 14 * 60
    over_midnight = Calendar.objects.create(name="late", opens=time(22), closes=time(2))
    assert minutes_inside(over_midnight, datetime(2026, 5, 4, tzinfo=UTC), 24) == 4 * 60
    assert minutes_inside(
        Calendar.objects.create(name="always"), datetime(2026, 5, 4, tzinfo=UTC), 24
    ) == 24 * 60  # fmt: skip
    for wrong in ({"time_zone": "Europe/Bonn"}, {"weekdays": [0]}, {"weekdays": [1, 1]}):
        with pytest.raises(ValidationError):
            Calendar(name="wrong", **wrong).full_clean()


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def watched(*, read: timedelta, waiting: timedelta | None = None, interval: int = 60) -> Watched:
    """The stream of prices, last read in full so long ago, promised within five minutes."""
    promise(*PRICES, 300)
    advance(*PRICES, now() - read)
    since = None if waiting is None else now() - waiting
    return Watched(*PRICES, interval, since, ("price",))


def late_now() -> dict[str, float]:
    """{objective: 1 where the stream is late in the present minute}."""
    told = metrics.latest("freshness_late", {"system": "sap"})
    return {labels["objective"]: value for labels, value in told}


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
GOOD, LATE = {"streams": 0, "prices": 0}, {"streams": 1, "prices": 1}


@pytest.mark.parametrize(
    ("stream", "verdict"),
    [
        # Nothing changes: as long as it is read, that is no lag.
        ({"read": MINUTE}, GOOD),
        # The source changed while we failed: the event waits, or nobody could look.
        ({"read": MINUTE, "waiting": 6 * MINUTE}, LATE),
        ({"read": 20 * MINUTE}, LATE),
        # Not yet: within what was promised, and within the stream's own interval.
        ({"read": 4 * MINUTE, "waiting": 4 * MINUTE}, GOOD),
        ({"read": 20 * MINUTE, "interval": 3600}, GOOD),
    ],
)
def test_late_is_what_changed_or_may_have_and_is_not_here(
    stream: dict[str, timedelta], verdict: dict[str, float]
) -> None:
    judging.judge([watched(**stream)])  # type: ignore[arg-type]
    assert late_now() == verdict
    # Judged again it is the same minute; the sum over an objective's streams is kept beside them.
    judging.judge([watched(**stream)])  # type: ignore[arg-type]
    points = metrics.series(
        "freshness_late", labels={"objective": "prices", "system": "", "stream": ""},
        minutes=5, step=1,
    )  # fmt: skip
    assert [(p.count, p.total) for p in points if p.count] == [(1, verdict["prices"])]


def test_what_is_outside_of_its_calendar_never_read_or_of_another_class_is_not_judged() -> None:
    never = Calendar.objects.create(
        name="never", holidays=[now().date() + n * DAY for n in (-1, 0, 1)]
    )
    FreshnessObjective.objects.filter(name="prices").update(calendar=never)
    judging.judge([watched(read=20 * MINUTE), Watched("wms", "stock", 60, None, ("stock",))])
    assert late_now() == {"streams": 1}


def minutes_later(minutes: int) -> None:
    """Let what was judged have been judged so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE observability_measurement SET at = at - %s * interval '1 minute'", [minutes]
        )


def test_a_change_that_comes_late_makes_its_minutes_late_and_the_sums_tell_what_is_left() -> None:
    stream = watched(read=0 * MINUTE)
    judging.judge([stream])
    minutes_later(100)
    # Those that nobody judged are judged now: a hundred good ones.
    judging.judge([stream])
    assert attainment.burn(60) == [
        ("sap", "prices", "", 0.0, "objective prices: late in 0 of the last 60 minutes")
    ]
    # Eleven minutes ago it changed, promised within five: six or seven minutes were late.
    changed = judging.late(*PRICES, now() - 11 * MINUTE)
    assert judging.late(*PRICES, now() - 11 * MINUTE) == 0
    # Two objectives, each with the stream and its sum.
    minutes = changed // 4
    assert minutes in (6, 7)
    metrics.roll_up()
    window = {a.objective: a for a in attainment.over_window() if a.system}
    assert {name: (a.judged, a.late) for name, a in window.items()} == dict.fromkeys(
        ("prices", "streams"), (101, minutes)
    )
    prices = window["prices"]
    assert prices.share == pytest.approx(1 - minutes / 101)
    assert (prices.kept, prices.budget) == (False, 1.01)
    assert prices.left == pytest.approx(1 - minutes / 1.01)
    assert (
        sum(a.late for a in attainment.by_month(1) if a.system and a.objective == "prices")
        == minutes
    )
    assert {(a.objective, a.stream) for a in attainment.worst_days(9, 99)} == {
        (name, stream) for name in ("prices", "streams") for stream in ("", "prices")
    }
    ((system, name, _, rate, cause),) = attainment.burn(60)
    assert (system, name) == PRICES
    assert rate == pytest.approx(minutes / 60 / 0.01)
    assert f"late in {minutes} of the last 60 minutes" in cause
    # Just begun, one late minute is not all there is.
    assert attainment.burn(1000)[0][3] == pytest.approx(minutes / 500 / 0.01)


def test_minutes_that_an_incident_told_of_are_not_told_of_again() -> None:
    AlertRule.objects.create(
        slug="echo", signal="freshness_burn", explained_by=["lag", "system_down"]
    )
    judging.judge([watched(read=0 * MINUTE)])
    minutes_later(60)
    judging.judge([watched(read=0 * MINUTE)])
    judging.late(*PRICES, now() - 31 * MINUTE)

    def late() -> int:
        return round(attainment.burn(60)[0][3] * 0.6)

    def seen(kind: str, system: str = "sap", *, began: int, ended: int | None = None) -> None:
        Incident.objects.create(
            kind=kind, system=system, opened_at=now() - began * MINUTE,
            resolved_at=None if ended is None else now() - ended * MINUTE,
        )  # fmt: skip

    assert late() in (26, 27)
    # What is open has this as its part; that it was old is no cause, nor what is wrong with others.
    seen("system_down", began=10)
    seen("lag", began=40, ended=0)
    seen("system_down", "wms", began=40, ended=0)
    assert late() in (26, 27)
    # Until five minutes after its end, when all that was missed has been read.
    seen("system_down", began=40, ended=15)
    assert late() in (10, 11)


def maintenance(first: int, last: int) -> None:
    """Of the ERP, from `first` until `last` minutes from now, and said so before it began."""
    minute = now().replace(second=0, microsecond=0)
    begins, ends = minute + first * MINUTE, minute + last * MINUTE
    Silence.objects.create(
        system="sap", starts_at=begins, until=ends, reason="upgrade", made_at=begins - DAY
    )


def test_planned_maintenance_is_left_out_and_counted_and_time_counts_anew_from_its_end() -> None:
    old, others = watched(read=40 * MINUTE), Watched("wms", "stock", 60, None, ("stock",))
    promise("wms", "stock", 300)
    advance("wms", "stock", now())
    judging.judge([old, others])
    minutes_later(30)
    maintenance(-20, -10)
    judging.judge([old, others])
    metrics.roll_up()
    streams = {a.system: a for a in attainment.over_window() if a.objective == "streams"}
    # Nobody could look all the time: of these minutes ten are not judged, and five after them good.
    assert (streams["sap"].excused, streams["sap"].judged) == (10, 21)
    assert streams["sap"].late == 31 - 10 - 5
    assert (streams["wms"].excused, streams["wms"].judged, streams["wms"].late) == (0, 31, 0)
    # Of all together those of other systems are judged in these minutes too.
    assert (streams[""].excused, streams[""].judged, streams[""].late) == (10, 31, 16)
    # What turns out to have been late makes no minute of the maintenance late either.
    assert judging.late(*PRICES, now() - 40 * MINUTE) == 0


def test_what_was_said_afterwards_or_is_only_silent_excuses_nothing() -> None:
    Silence.objects.create(system="sap", starts_at=now() - DAY, until=now() + DAY, reason="oh")
    Silence.objects.create(system="sap", starts_at=now() - DAY, until=now() + DAY, reason="quiet",
                           made_at=now() - DAY, maintenance=False)  # fmt: skip
    judging.judge([watched(read=20 * MINUTE)])
    assert late_now() == LATE


def test_delays_tell_what_is_known_now() -> None:
    judging.note_delays([watched(read=MINUTE, waiting=5 * MINUTE)])
    metrics.flush()
    ((labels, seconds),) = metrics.latest("stream_delay_seconds")
    assert labels == {"system": "sap", "stream": "prices"}
    assert 299 < seconds < 305
