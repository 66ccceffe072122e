"""Signals about systems and about the hub itself: credentials, what is forgotten, clocks, workers."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.db import connection

from connectors.alerting.streams import LAST, SAID
from connectors.inbox.care import at_risk
from connectors.runtime import clocks, posts, queue
from observability.display import duration
from observability.signals import Row, Signal

# Runs and what waits in the boxes are refused alike: the credentials are the connection's.
CREDENTIALS = f"""
SELECT slug, '', '', count(*)::float8, (array_agg(error))[1], 'credentials'
FROM (
    SELECT c.slug, {SAID.format(error="last.error")} AS error
    FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id AND c.enabled
    {LAST}
    WHERE s.enabled AND last.error_code IN ('upstream.auth_expired', 'configuration')
    UNION ALL
    SELECT c.slug, left(m.error, 300) FROM connectors_inboxevent m
    JOIN connectors_connection c ON c.id = m.connection_id AND c.enabled
    WHERE m.state = 'retrying' AND m.error_code IN ('upstream.auth_expired', 'configuration')
    UNION ALL
    SELECT c.slug, left(m.error, 300) FROM connectors_outboxcommand m
    JOIN connectors_connection c ON c.id = m.connection_id AND c.enabled
    WHERE m.state = 'retrying' AND m.error_code IN ('upstream.auth_expired', 'configuration')
) refused GROUP BY 1"""  # noqa: S608 (our own SQL)

BUSY = "SELECT count(*) FROM connectors_syncrun WHERE state = 'running' AND lease_until >= now()"


def retention() -> Iterable[Row]:
    """Streams that have used up much of the time for which their upstream keeps its events."""
    for risk in at_risk():
        left = risk.left.total_seconds()
        cause = (
            f"the upstream forgets in {duration(left)} what was not read"
            if left > 0
            else "the upstream has forgotten what was not read: reconcile it"
        )
        share = risk.lag / risk.kept
        yield risk.stream.connection.slug, risk.stream.slug, "", share, cause, "inbox"


def clock_skew() -> Iterable[Row]:
    """The database's clock against this machine's, and those of upstreams against their callers'."""
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        database = cursor.fetchone()[0]
    told = {"": database - (before + time.time()) / 2, **clocks.ahead()}
    for system, seconds in told.items():
        whose = "the database's clock" if not system else "its clock"
        way = "ahead of" if seconds > 0 else "behind"
        cause = f"{whose} is {duration(abs(seconds))} {way} the hub's"
        yield system, "", "", abs(seconds), cause, "clock"


def workers() -> Iterable[Row]:
    """For how long runs wait though workers should be free."""
    waiting, seconds = queue.due()
    if not waiting:
        return
    with connection.cursor() as cursor:
        cursor.execute(BUSY)
        idle = posts.PULLERS - cursor.fetchone()[0]
    if idle > 0:
        yield "", "", "runs", seconds, f"{waiting} runs wait, and {idle} workers take none", "inbox"


def unmanned() -> Iterable[Row]:
    """Posts that nobody holds."""
    for post in posts.vacant():
        hop = "inbox" if post.startswith("inbox.") else "outbox"
        yield "", "", post, 1.0, "nobody is there to work it", hop


SIGNALS = (
    Signal("credentials", "does not accept the credentials", "streams and messages", CREDENTIALS),
    Signal("retention", "is about to forget what was not read", "of the time kept", retention, 60),
    Signal("clock", "has another time", "s", clock_skew, 30),
    Signal("workers", "does not get on with its work", "s", workers),
    Signal("posts", "has a post that nobody works", "posts", unmanned),
)
