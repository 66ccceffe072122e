"""Wakes a worker. A task means "there may be work": losing or repeating one changes nothing."""

from __future__ import annotations

import structlog
from django_q.tasks import async_task

log = structlog.get_logger(__name__)

WORK = "connectors.runtime.tasks.work"
MAN = "connectors.runtime.tasks.man"
PROBE = "connectors.runtime.tasks.probe"
RULES = "connectors.runtime.tasks.rules"


def ring() -> None:
    """Have due runs looked for."""
    _enqueue(WORK, name="work")


def ring_for(post: str) -> None:
    """Have somebody sent to a post."""
    _enqueue(MAN, post, name=post)


def ring_to_probe(connection_id: int) -> None:
    """Have an upstream that is down asked whether it is back."""
    _enqueue(PROBE, connection_id, name="probe")


def ring_for_rules() -> None:
    """Have changed ownership rules applied, and what is due by the clock."""
    _enqueue(RULES, name="rules")


def _enqueue(task: str, *arguments: object, name: str) -> None:
    """Never fails: the supervisor rings again for what waits."""
    try:
        async_task(task, *arguments, task_name=name)
    except Exception:
        log.exception("the bell could not be rung; the supervisor will")
