"""Can this process serve? Checks by name; a part that is only useful makes it degraded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django_redis import get_redis_connection
from redis.exceptions import RedisError


class Status(StrEnum):
    READY = "ready"
    DEGRADED = "degraded"
    UNREADY = "unready"


@dataclass(frozen=True, slots=True)
class Check:
    """One part. `probe` returns None when all is well, else one sentence for an operator."""

    name: str
    required: bool
    probe: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Report:
    status: Status
    checks: dict[str, str]

    def as_json(self) -> dict[str, object]:
        return {"status": self.status, "checks": self.checks}


def _database() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "PostgreSQL does not answer"
    return None


def _migrations() -> str | None:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unknown: PostgreSQL does not answer"
    return f"{len(missing)} not applied; run `manage.py migrate`" if missing else None


def _redis() -> str | None:
    try:
        get_redis_connection("default").ping()
    except (RedisError, OSError):
        return "Redis does not answer; reads and writes go on, slower"
    return None


CHECKS: tuple[Check, ...] = (
    Check("database", required=True, probe=_database),
    Check("migrations", required=True, probe=_migrations),
    # disposable: without it everything works, slower
    Check("redis", required=False, probe=_redis),
)


def report(checks: tuple[Check, ...] = CHECKS) -> Report:
    """Run every check. One that fails does not keep the others from being reported."""
    found = {check.name: check.probe() for check in checks}
    failed = {check.required for check in checks if found[check.name] is not None}
    status = Status.UNREADY if True in failed else Status.DEGRADED if failed else Status.READY
    return Report(status, {name: problem or "ok" for name, problem in found.items()})
