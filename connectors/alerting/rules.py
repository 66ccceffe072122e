"""The rules for this floor's signals that come with the hub. Rows, from then on a person's to change.

A page wakes somebody: values are old, or about to be lost. A ticket waits for the morning.
"""

from __future__ import annotations

from typing import Any

from observability.alerts import AlertRule
from observability.incidents import Incident

PAGE, TICKET = Incident.Severity.PAGE, Incident.Severity.TICKET
DOWN, DRIFT, RISE = (
    Incident.Kind.SYSTEM_DOWN,
    Incident.Kind.CONTRACT_DRIFT,
    Incident.Kind.CONFLICT_RISE,
)


def _rule(slug: str, title: str, signal: str | None = None, **values: Any) -> AlertRule:
    """A rule for the signal of its own name, unless another is named; empty: found elsewhere."""
    runbook = f"runbooks/{slug.replace('_', '-')}.md"
    watched = slug if signal is None else signal
    return AlertRule(slug=slug, title=title, signal=watched, runbook=runbook, **values)


#: Two per cent of a month's budget in an hour, five in six: Google, "The Site Reliability Workbook",
#: chapter 5, table 5-8.
WINDOWS = [[60, 5, 14.4], [360, 30, 6]]
#: What keeps a stream from being read, in the order in which one explains the next.
UNREAD = [DOWN, "credentials", "clock", DRIFT, "stream_stopped", "stuck_cursor", "run_failing"]

RULES = (
    _rule(DOWN, "System down", "", severity=PAGE),
    _rule(DRIFT, "Contract drift", ""),
    _rule(RISE, "Conflicts rise", ""),
    _rule("credentials", "Credentials not accepted", severity=PAGE, explained_by=[DOWN]),
    _rule(
        "lag", "Older than promised", severity=PAGE, for_seconds=30, ends_below=0.9,
        explained_by=[*UNREAD, "run_held", "workers", "posts"],
    ),
    _rule(
        "freshness", "Late too often", "freshness_burn", severity=PAGE, windows=WINDOWS,
        explained_by=[*UNREAD, "lag", "run_held", "workers", "posts"],
    ),
    _rule(
        "error_rate", "Calls fail too often", objective=0.99, windows=WINDOWS, minimum=20,
        ends_after_seconds=120, explained_by=[DOWN, "latency"],
    ),
    _rule(
        "latency", "Slower than usual", threshold=4, for_seconds=15, ends_below=2,
        ends_after_seconds=180, explained_by=[DOWN],
    ),
    _rule(
        "run_failing", "A stream cannot be read", threshold=3, ends_after_seconds=120,
        explained_by=[DOWN, "credentials", DRIFT, "stream_stopped", "stuck_cursor"],
    ),
    _rule("stuck_cursor", "A cursor stands still", severity=PAGE, explained_by=[DOWN]),
    _rule("stream_stopped", "A stream is stopped", explained_by=[DRIFT]),
    _rule("run_held", "A run is held", explained_by=[DOWN]),
    _rule(
        "quarantine", "The quarantine grows", threshold=20,
        explained_by=[DRIFT, "stream_stopped"],
    ),
    _rule(
        "retention", "An upstream is about to forget", severity=PAGE, threshold=0.75,
        ends_below=0.7,
    ),
    _rule(
        "inbox_waiting", "Events wait", severity=PAGE, threshold=60, for_seconds=20, ends_below=10,
        explained_by=[DOWN, "credentials", "stream_stopped", DRIFT, "posts", "workers"],
    ),
    _rule(
        "outbox_waiting", "Others are not told", threshold=60, for_seconds=20, ends_below=10,
        explained_by=[DOWN, "credentials", "posts", "subscriber_failing"],
    ),
    _rule(
        "dead_letters", "Dead letters",
        explained_by=[DOWN, "credentials", DRIFT, "subscriber_off", "subscriber_failing"],
    ),
    _rule("subscriber_off", "A subscriber was switched off"),
    # The seconds of a restart are none; purges that wait longer leave old pages behind.
    _rule("subscriber_failing", "A subscriber takes no calls", threshold=0.3,
          explained_by=["subscriber_off"]),
    _rule("command_left", "A failed command left something behind", severity=PAGE),
    _rule("clock", "Clocks differ", threshold=30, for_seconds=20, ends_below=10),
    _rule("workers", "Workers do not get on", severity=PAGE, threshold=60, for_seconds=10,
          explained_by=["posts"]),
    _rule("posts", "A post is empty", severity=PAGE, for_seconds=60),
    _rule("rate_limited", "An upstream limits our rate", for_seconds=10,
          explained_by=[DOWN, "credentials"]),
    _rule("events_missing", "Events never came", explained_by=["webhooks_refused"]),
    _rule("times_ahead", "Changes are dated in the future", threshold=60),
    _rule("webhooks_refused", "Webhooks are signed wrongly", severity=PAGE, threshold=3),
    _rule("keys_refused", "A key that was in use is refused", threshold=3),
    _rule("workers_restarting", "The workers keep ending", severity=PAGE, threshold=3),
    _rule("values_changed", "Many values changed at once", threshold=0.2,
          explained_by=["rules_changing"]),
    _rule("rules_changing", "A rule changed many records", threshold=0.2),
)  # fmt: skip
