"""Wakes a worker. A task means "there may be work": losing or repeating one changes nothing."""

from __future__ import annotations

import structlog
from django_q.tasks import async_task

log = structlog.get_logger(__name__)

WORK = "connectors.runtime.tasks.work"


def ring() -> None:
    """Put one wake-up on the task queue. Never fails: the sweeper rings again for what waits."""
    try:
        async_task(WORK, task_name="work")
    except Exception:
        log.exception("the bell could not be rung; the sweeper will")
