"""API keys: shown once, recognised by digest, refused when expired or revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hub.auth import uses
from hub.auth.keys import issue_key, recognise, rotate
from hub.auth.models import ApiKey
from hub.problems import BadInputError

pytestmark = pytest.mark.django_db


def holder(key: str) -> str | None:
    reader = recognise(key)
    return reader.name if reader else None


def test_a_key_is_recognised_and_kept_nowhere() -> None:
    key = issue_key("shop")
    assert holder(key) == "shop"
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
    assert holder(key) == "shop"
    ApiKey.objects.update(revoked_at=Now())
    assert recognise(key) is None


def test_recognising_is_one_statement_that_writes_nothing() -> None:
    key = issue_key("shop")
    with CaptureQueriesContext(connection) as seen:
        recognise(key)
    assert [query["sql"].lstrip()[:6] for query in seen] == ["SELECT"]


def test_its_use_is_noted_beside_the_requests_once_a_minute() -> None:
    key = issue_key("shop")
    recognise(key)
    assert ApiKey.objects.get().last_used_at is None
    assert uses.write()
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    recognise(key)
    assert not uses.write()
    assert ApiKey.objects.get().last_used_at == noted
    ApiKey.objects.update(last_used_at=noted - timedelta(minutes=2))
    recognise(key)
    assert uses.write()
    assert ApiKey.objects.get().last_used_at == noted


def test_a_rotated_key_has_the_same_rights_and_the_old_one_ends() -> None:
    old = issue_key("shop", ["read:product", "class:personal"], requests_per_minute=60)
    new = rotate(ApiKey.objects.get(), overlap=timedelta(hours=1))
    before, after = recognise(old), recognise(new)
    assert before is not None
    assert after is not None
    assert (after.rights, after.per_minute) == (before.rights, 60)
    assert after.rights.reads == {"product"}
    rotate(ApiKey.objects.get(prefix=old.split("_")[1]), overlap=timedelta(hours=-1))
    assert recognise(old) is None
    assert recognise(new) is not None


@pytest.mark.parametrize(
    "wrong",
    ["", "read", "read:", "read:nothing", "read:customer.nothing", "read:*.name", "write",
     "write:nothing", "write:*.name", "write:customer.email", "trace:customer.email",
     "class:secret", "class:public", "READ:*", "read:* trace:*"],
)  # fmt: skip
def test_what_is_no_scope_is_granted_to_nobody(wrong: str) -> None:
    with pytest.raises(BadInputError):
        issue_key("shop", [wrong])
    assert not ApiKey.objects.exists()


def test_a_key_without_scopes_may_read_nothing(client: Client) -> None:
    headers = {"X-API-Key": issue_key("shop", [])}
    assert client.get("/api/v1/products", headers=headers).status_code == 403


def test_the_command_prints_a_key_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("api_key", "partner")
    assert holder(capsys.readouterr().out.strip()) == "partner"
    call_command("api_key", "narrow", "--scope", "read:product", "--per-minute", "5")
    reader = recognise(capsys.readouterr().out.strip())
    assert reader is not None
    assert reader.rights.reads == {"product"}
    assert reader.per_minute == 5
    with pytest.raises(CommandError, match="no scope"):
        call_command("api_key", "wrong", "--scope", "everything")
