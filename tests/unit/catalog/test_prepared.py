"""Statements that a session keeps: whatever becomes of the transaction that prepared them."""

from __future__ import annotations

import json

import pytest
from django.db import ProgrammingError, connection, transaction

from catalog import prepared
from catalog.entities import Variant
from catalog.merge import Cause
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash

pytestmark = pytest.mark.django_db(transaction=True)


def say(gtin: str, version: int) -> None:
    payload = json.dumps({"gtin": gtin}).encode()
    source = source_id("sap", "variants", "variant")
    said = Contribution(
        source, "V-1", "V-1", payload, payload_hash(payload), {"gtin": gtin}, version
    )
    apply_contributions([said], Cause(), entities=["variant"])


def test_a_merge_goes_on_in_a_session_whose_first_one_was_rolled_back() -> None:
    connection.close()
    with transaction.atomic():
        say("111", 1)
        # The temporary tables that its statements read go with it; the statements stay.
        transaction.set_rollback(True)
    assert not Variant.objects.exists()
    for version in (1, 2, 3):
        with transaction.atomic():
            say(f"{version}", version)
        assert Variant.objects.get().gtin == f"{version}"


def test_a_session_keeps_so_many_and_another_prepares_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepared, "MOST_KEPT", 2)
    connection.close()

    def run(number: int) -> tuple[int, str]:
        statement = f"SELECT %(n)s + {number}, 'of 100 %%'"
        with connection.cursor() as cursor:
            cursor.execute(prepared.call(statement, {"n": "int"}), {"n": 1})
            found: tuple[int, str] = cursor.fetchone()
            return found

    assert [run(n) for n in (1, 2, 3, 1)] == [(n + 1, "of 100 %") for n in (1, 2, 3, 1)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (2,)
    connection.close()
    assert run(1) == (2, "of 100 %")
    with pytest.raises(ProgrammingError):
        prepared.call("SELECT nothing_of_that_name", None)
    assert run(1) == (2, "of 100 %")
