"""API keys in the admin: shown once, revoked by whoever may change them."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from hub.auth.keys import issue_key, recognise
from hub.auth.models import ApiKey

pytestmark = pytest.mark.django_db


def holder(key: str) -> str | None:
    reader = recognise(key)
    return reader.name if reader else None


LIST = "admin:hub_apikey_changelist"


def test_a_new_key_is_shown_once_and_works(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    form = {"name": "shop", "scopes": "", "expires_at_0": "", "expires_at_1": ""}
    refused = client.post(reverse("admin:hub_apikey_add"), form).content.decode()
    assert "This field is required" in refused
    form["scopes"] = "read:product\r\nread:nothing"
    refused = client.post(reverse("admin:hub_apikey_add"), form).content.decode()
    assert "names no entity" in refused
    assert not ApiKey.objects.exists()
    form["scopes"] = "read:product\r\nread:variant"
    page = client.post(reverse("admin:hub_apikey_add"), form, follow=True).content.decode()
    found = re.search(r"hw_[0-9a-f]{12}_[\w-]{20,64}", page)
    assert found
    assert holder(found[0]) == "shop"
    assert found[0] not in client.get(reverse(LIST)).content.decode()
    row = ApiKey.objects.get()
    assert row.scopes == ["read:product", "read:variant"]
    asked = {"action": "rotate", "_selected_action": row.pk, "index": "0"}
    page = client.post(reverse(LIST), asked, follow=True).content.decode()
    rotated = re.search(r"hw_[0-9a-f]{12}_[\w-]{20,64}", page)
    assert rotated
    assert rotated[0] != found[0]
    assert holder(rotated[0]) == holder(found[0]) == "shop"


def test_who_may_only_look_cannot_revoke(client: Client) -> None:
    key = issue_key("shop")
    row = ApiKey.objects.get()
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(user)
    asked = {"action": "revoke", "_selected_action": row.pk, "index": "0"}
    client.post(reverse(LIST), asked)
    assert holder(key) == "shop"
    user.user_permissions.add(Permission.objects.get(codename="change_apikey"))
    client.force_login(User.objects.get(pk=user.pk))
    client.post(reverse(LIST), asked)
    assert recognise(key) is None
