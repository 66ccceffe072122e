"""What the django-q cluster runs: claim due work until there is none, or until the time is up."""

from __future__ import annotations

from time import monotonic

import structlog
from django.db import close_old_connections
from django_q.conf import Conf

from connectors.runtime import bell, queue
from connectors.runtime.pull import execute

log = structlog.get_logger(__name__)

#: A task gives its worker back after this time, at a page's border; well below the cluster's own
#: time-out, which kills.
BUDGET_SECONDS = min(240, Conf.TIMEOUT or 240)


def work() -> int:
    """Execute due runs, one after the other; the number of runs that were worked on."""
    close_old_connections()
    deadline, done = monotonic() + BUDGET_SECONDS, 0
    while monotonic() < deadline:
        taken = queue.claim()
        if taken is None:
            return done
        execute(*taken, deadline=deadline)
        done += 1
    bell.ring()
    return done
