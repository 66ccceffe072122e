"""What ran since when: a row for each start of the workers, and of their cluster after it had to be replaced.

`contracts` holds a digest of each connector's code, `settings` of each setting that is no secret: two
starts that differ were a deploy. Nothing secret is in either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import connection, models
from django.db.models.functions import Now

WORKERS, CLUSTER = "workers", "cluster"

NOTE = """
INSERT INTO observability_start (process, version, contracts, settings, because)
VALUES (%s, %s, %s::jsonb, %s::jsonb, %s)"""

#: (connector, when): what each start brought that the one before it did not have.
CHANGED = """
WITH two AS (
    SELECT at, version, contracts, settings, lag(version) OVER before AS version_before,
           lag(contracts) OVER before AS contracts_before,
           lag(settings) OVER before AS settings_before
    FROM (SELECT * FROM observability_start WHERE process = 'workers' ORDER BY id DESC LIMIT 50) s
    WINDOW before AS (ORDER BY id)
), changed AS (
    SELECT at, 'version' AS what, version AS name FROM two WHERE version <> version_before
    UNION ALL
    SELECT at, 'connector', c.key FROM two, jsonb_each_text(contracts) c
    WHERE contracts_before IS NOT NULL AND c.value IS DISTINCT FROM contracts_before ->> c.key
    UNION ALL
    SELECT at, 'setting', c.key FROM two, jsonb_each_text(settings) c
    WHERE settings_before IS NOT NULL AND c.value IS DISTINCT FROM settings_before ->> c.key
)
SELECT at, what, name FROM changed
WHERE at > %(since)s AND at <= %(until)s ORDER BY at DESC, what, name LIMIT 20"""


class Start(models.Model):
    """A start of a process that works; written by whoever starts it."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    process = models.TextField(help_text="workers, or cluster where theirs was replaced.")
    version = models.TextField(default="", db_default="")
    contracts = models.JSONField(default=dict, db_default={}, help_text="{connector: digest}")
    settings = models.JSONField(default=dict, db_default={}, help_text="{name: digest}")
    because = models.TextField(default="", db_default="", help_text="Why it was replaced.")

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["-at"], name="start_at")]

    def __str__(self) -> str:
        return f"{self.process} {self.version}"


def note(
    process: str,
    version: str,
    contracts: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    because: str = "",
) -> None:
    """A process of ours has started."""
    with connection.cursor() as cursor:
        cursor.execute(
            NOTE,
            [process, version, json.dumps(contracts or {}), json.dumps(settings or {}), because],
        )


def changed(since: Any, until: Any) -> list[dict[str, Any]]:
    """What was deployed in between, the latest first: `at`, `what` (version, connector, setting), `name`."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, {"since": since, "until": until})
        return [{"at": at, "what": what, "name": name} for at, what, name in cursor.fetchall()]


def digest(text: str | bytes) -> str:
    """Short, and the same for the same text."""
    raw = text.encode() if isinstance(text, str) else text
    return hashlib.blake2b(raw, digest_size=8).hexdigest()
