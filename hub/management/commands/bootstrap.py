"""`manage.py bootstrap`: an administrator, a demo person a role, a demo API key, and the sandbox
connected. Repeatable.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand

from hub import env
from hub.auth.keys import issue_key, recognise
from hub.launch.card import PERSONS

ADMIN = "admin"


class Command(BaseCommand):
    help = (
        "Create the administrator, demo persons and an API key, and connect the sandbox's systems."
    )

    def handle(self, **_options: Any) -> None:
        password = env.text("HEADWATER_ADMIN_PASSWORD", remedy="`make run` generates one.")
        self._person(ADMIN, password, is_superuser=True)
        for role in PERSONS:
            self._person(role, password).groups.set(Group.objects.filter(name=role))
        call_command(
            "connect_sandbox", f"http://127.0.0.1:{settings.SANDBOX_PORT}", stdout=self.stderr
        )
        key = env.text("HEADWATER_API_KEY", "")
        if not key or recognise(key) is None:
            self.stdout.write(json.dumps({"api_key": issue_key("demo")}))

    def _person(self, name: str, password: str, **more: bool) -> User:
        user, created = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, **more}
        )
        if created or not user.check_password(password):
            user.set_password(password)
            user.save()
        return user
