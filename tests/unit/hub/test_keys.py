"""API keys: shown once, recognised by digest, refused when expired or revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from hub.auth.keys import issue_key, recognise
from hub.auth.models import ApiKey

pytestmark = pytest.mark.django_db


def test_a_key_is_recognised_and_kept_nowhere() -> None:
    key = issue_key("shop")
    assert recognise(key) == "shop"
    row = ApiKey.objects.get()
    assert key.rpartition("_")[2] not in f"{row.digest!r}{row.prefix}{row}"
    assert row.prefix in str(row)


def test_a_key_that_is_wrong_expired_or_revoked_is_nobodys() -> None:
    key = issue_key("shop")
    assert recognise(key[:-1] + ("a" if key[-1] != "a" else "b")) is None
    for odd in ("", "hw_", "hw_x", "Bearer", key + "\n", "hw_" + "ü" * 40):
        assert recognise(odd) is None
    ApiKey.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert recognise(key) is None
    ApiKey.objects.update(expires_at=Now() + timedelta(hours=1))
    assert recognise(key) == "shop"
    ApiKey.objects.update(revoked_at=Now())
    assert recognise(key) is None


def test_recognising_is_one_statement_and_its_use_is_noted_once_a_minute() -> None:
    key = issue_key("shop")
    recognise(key)
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    with CaptureQueriesContext(connection) as seen:
        recognise(key)
    assert len(seen) == 1
    ApiKey.objects.update(last_used_at=noted - timedelta(minutes=2))
    recognise(key)
    assert ApiKey.objects.get().last_used_at != noted - timedelta(minutes=2)


def test_the_command_prints_a_key_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("api_key", "partner")
    assert recognise(capsys.readouterr().out.strip()) == "partner"
