"""A kept connection to PostgreSQL, before it is used again."""

from __future__ import annotations

import psycopg
import pytest
from django.db import close_old_connections, connection

pytestmark = pytest.mark.django_db(transaction=True)
PID = "SELECT pg_backend_pid()"


def test_one_that_stands_is_not_asked_and_one_that_was_ended_is_noticed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(PID)
        ((pid,),) = cursor.fetchall()
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in {"cursor_factory", "context", "prepare_threshold"}
    }
    with psycopg.connect(**parameters, autocommit=True) as other:
        assert connection.is_usable()
        (last,) = other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
        assert last[0].startswith(PID)
        # Waits until it is gone.
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)
    assert not connection.is_usable()
    close_old_connections()
    with connection.cursor() as cursor:
        cursor.execute(PID)
        assert cursor.fetchone()[0] != pid
