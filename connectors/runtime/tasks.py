"""What the django-q cluster runs: pulls until none is due, and the resident drains.

A drain keeps its worker, and holds an advisory lock by which the supervisor sees that its post is
manned. It gives the worker back from time to time, and comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic, sleep

import psycopg
import structlog
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django_q.conf import Conf

from connectors.commands import drain as commands
from connectors.inbox import drain as inbox
from connectors.models import Connection
from connectors.outbox import drain as outbox
from connectors.runtime import bell, posts, queue, wake
from connectors.runtime.probe import probe as probe_connection
from connectors.runtime.pull import execute
from connectors.runtime.rules import apply_rules
from observability import journal, metrics
from observability.context import correlation

log = structlog.get_logger(__name__)

#: A task gives its worker back after this time, at a page's border; well below the cluster's own
#: time-out, which kills.
BUDGET_SECONDS = min(240, Conf.TIMEOUT or 240)
#: How often a drain looks whether the database is back.
LOST_SECONDS = 0.2


def work() -> int:
    """Execute due runs, one after the other; the number of runs that were worked on."""
    _begin()
    deadline, done = monotonic() + BUDGET_SECONDS, 0
    while monotonic() < deadline and not wake.stopping():
        taken = queue.claim()
        if taken is None:
            return done
        execute(*taken, deadline=deadline)
        done += 1
    if not wake.stopping():
        bell.ring()
    return done


def probe(connection_id: int) -> None:
    """Ask an upstream that is down whether it is back."""
    _begin()
    with correlation():
        row = Connection.objects.filter(pk=connection_id, enabled=True).first()
        if row is not None and probe_connection(row):
            bell.ring()


def rules() -> None:
    """Apply changed ownership rules, and merge what is due."""
    _begin()
    with correlation():
        if apply_rules(monotonic() + BUDGET_SECONDS) and not wake.stopping():
            bell.ring_for_rules()


def _begin() -> None:
    close_old_connections()
    # Here, and not when the module is loaded: workers are forked.
    metrics.start()
    journal.start()


DRAINS: Mapping[str, Callable[[float], None]] = {
    posts.APPLIER: lambda until: inbox.apply_events(until, first=True),
    posts.SECOND_APPLIER: inbox.apply_events,
    posts.CAREFUL_APPLIER: lambda until: inbox.apply_events(until, careful=True),
    posts.ASKER: inbox.ask_upstreams,
    posts.SENDER: outbox.send,
    posts.COMMANDER: commands.run,
}


def man(post: str) -> None:
    """Hold a post until the budget is used up; at once done if somebody holds it already.

    It outlives PostgreSQL: a cluster that has lost the database takes no tasks for ten seconds
    (django-q's pusher sleeps), so whoever left the post now would be missed for as long.
    """
    _begin()
    deadline, lost = monotonic() + BUDGET_SECONDS, False
    while monotonic() < deadline and not wake.stopping():
        try:
            with posts.held(post) as mine:
                if not mine:
                    return
                lost = False
                DRAINS[post](deadline)
        except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
            if not lost:
                log.warning("a drain lost the database", post=post, error=str(error).strip())
            lost = True
            with suppress(Exception):
                connection.close()
            sleep(LOST_SECONDS)
    if not wake.stopping():
        bell.ring_for(post)
