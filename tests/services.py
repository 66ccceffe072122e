"""A pytest plugin: PostgreSQL and Valkey for the tests, up before Django reads its settings.

Servers named by `DATABASE_URL` and `REDIS_URL` are used as they are; the others are embedded, in a
directory that is gone afterwards. It is loaded by `-p tests.services`, in pyproject.toml. Each process
of a run that is spread over several (pytest-xdist, `-n 2`) starts its own: a test may empty or stop them.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.launch import binaries, privileges
from hub.launch.postgres import THROW_AWAY, Postgres
from hub.launch.privileges import Engine, spawn_command
from hub.launch.valkey import Valkey

START_SECONDS = 60.0
#: Names the variables that a process of ours has set, which are no wish of the developer's.
OURS = "HEADWATER_TESTS_STARTED"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The first hook that runs; pytest-django reads the settings in the next one."""
    del parser
    # Nothing of a developer's own state may reach a test.
    directory = Path(tempfile.mkdtemp(prefix="headwater-tests-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ["HEADWATER_STATE"] = str(directory)
    os.environ.setdefault("HEADWATER_SECRET_KEY", secrets.token_urlsafe())
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    os.environ.setdefault("HEADWATER_ENCRYPTION_KEYS", key)
    ours = os.environ.get(OURS, "").split()
    for variable, start in (("DATABASE_URL", start_postgres), ("REDIS_URL", start_valkey)):
        if variable in ours or not os.environ.get(variable):
            os.environ[variable] = start(directory)
            os.environ[OURS] = " ".join({*os.environ.get(OURS, "").split(), variable})
        elif "PYTEST_XDIST_WORKER" in os.environ:
            raise pytest.UsageError(
                f"several processes cannot share one server: unset {variable}, or test with -n 0"
            )


def start_postgres(directory: Path, password: str | None = None) -> str:
    """Start one in a directory of its own; its URL. It ends with this process.

    With a password, the one that is there already is started again.
    """
    found = binaries.find_postgres()
    engine = privileges.choose(directory, found.server)
    password = password or secrets.token_hex()
    postgres = Postgres(found, engine, engine.directory("run"), password, THROW_AWAY)
    postgres.prepare()
    _run(postgres.command(), engine, postgres.ready, directory / "postgres.log", signal.SIGINT)
    return postgres.url


def start_valkey(directory: Path) -> str:
    """Start one in a directory of its own; its URL. It ends with this process."""
    found = binaries.find_valkey()
    engine = privileges.choose(directory, found)
    valkey = Valkey(found, engine, engine.directory("run"))
    _run(valkey.command(), engine, valkey.ready, directory / "valkey.log", signal.SIGTERM)
    return valkey.url


def _run(
    command: list[str],
    engine: Engine,
    ready: Callable[[], bool],
    log: Path,
    stop: signal.Signals,
) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(
            spawn_command(command, drop=engine.drop, death_signal=stop),
            stdout=output,
            stderr=output,
            # Ctrl-C ends the tests first, and the services after them
            start_new_session=True,
        )
    atexit.register(_stop, process, stop)
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise pytest.UsageError(f"{command[0]} does not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(stop)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What a process remembers of the database is not kept from test to test."""
    from connectors.commands import doors
    from connectors.runtime import clocks
    from hub import suppliers, use_limits
    from observability import degradation, flushing

    for kept in (clocks, degradation, doors, flushing, suppliers, use_limits):
        kept.forget()
    yield
    if front := sys.modules.get("hub.wsgi"):
        # Who changes something waits for every process that keeps answers.
        front.reads.shelf.unfollow()


def pytest_sessionstart() -> None:
    """What gathers in the process of the tests is passed on by the test that wants it alone.

    Before the first test module is read, because reading `hub.wsgi` begins it.
    """
    from observability.flushing import Flusher

    @functools.wraps(Flusher._begin)
    def nothing_behind_a_test(_: Flusher) -> None:
        """See above."""

    Flusher._begin = nothing_behind_a_test  # type: ignore[assignment, method-assign]


@pytest.fixture(autouse=True, scope="session")
def emptied_despite_deadlocks() -> Iterator[None]:
    """A server that a test left running may read while its tables are emptied: then once more."""
    from django.core.management import CommandError
    from django.test import TransactionTestCase

    from connectors.runtime.deadlocks import despite_deadlocks

    empty = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def emptied(case: TransactionTestCase) -> None:
        from django.db import connection

        # The audit log lets nobody empty it.
        keeper = "ALTER TABLE observability_auditentry {} TRIGGER audit_never_emptied"
        try:
            with connection.cursor() as cursor:
                cursor.execute(keeper.format("DISABLE"))
            empty(case)
            with connection.cursor() as cursor:
                cursor.execute(keeper.format("ENABLE"))
                _give_back_what_migrations_made(cursor)
        except CommandError as error:  # the flush command hides what it met
            raise error.__cause__ or error from None

    def patiently(case: TransactionTestCase) -> None:
        despite_deadlocks(lambda: emptied(case))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", patiently)
        yield


#: Copies of the rows that are there once the test database is made.
KEPT = "made_by_migrations"


def keep_what_migrations_made() -> None:
    """Before anything else commits, a fixture among it (tests/conftest.py)."""
    from django.apps import apps
    from django.db import connection

    ours = ("observability", "catalog", "connectors", "hub")
    tables = [m._meta.db_table for label in ours for m in apps.get_app_config(label).get_models()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [KEPT])
        if cursor.fetchone()[0]:
            return  # a database that is used again (--reuse-db) has them from when it was made
        cursor.execute(f"CREATE SCHEMA {KEPT}")
        for table in tables:
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}")')
            if cursor.fetchone()[0]:
                cursor.execute(f'CREATE TABLE {KEPT}."{table}" AS TABLE "{table}"')


def _give_back_what_migrations_made(cursor: Any) -> None:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [KEPT])
    for (table,) in cursor.fetchall():
        cursor.execute(
            f'INSERT INTO "{table}" SELECT * FROM {KEPT}."{table}" ON CONFLICT DO NOTHING'
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Before the databases of the tests are dropped, give up what keeps connections to one."""
    if nextitem is None:
        from connectors.commands import sidebyside
        from connectors.runtime import wake

        wake.CHANGES.close()
        wake.WRITES.close()
        sidebyside.close()
