"""What is to be told: commands to upstreams and webhooks to subscribers, and who subscribes."""

from __future__ import annotations

import base64
import secrets
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models.connection import SLUG, Connection, waits
from connectors.models.messages import (
    Message,
    correlation_index,
    due_index,
    lease_index,
    replayed_index,
)
from connectors.secrets import seal, unseal
from observability.channels import Channel

#: Standard Webhooks 1.0, "Signature scheme": 24 to 64 random bytes.
SECRET_BYTES = 32


class Subscriber(models.Model):
    """An endpoint of somebody else's that is told what changed, in the way of its `kind`.

    The kinds are in `connectors.outbox.kinds`: signed webhooks that name records, or calls that purge
    cache tags. `secrets` holds what it is told with: what we sign or show, or its vendor's token.

    The sender keeps `failing_since` (nothing was delivered from then on), `failures` (in a row) and
    `paused_until`. After five failing days, or a 410, it switches the endpoint off and says why in
    `disabled_because`; a person switches it on again.
    """

    slug = models.CharField(max_length=63, unique=True, validators=[SLUG])
    kind = models.CharField(max_length=20, default="webhook", db_default="webhook")
    url = models.URLField(max_length=500, validators=[URLValidator(schemes=["http", "https"])])
    place = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[A-Za-z0-9]+$", "letters and digits only")],
        help_text="Fastly: the id of the service. Cloudflare: the id of the zone.",
    )
    entities = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Names of the entities whose changes it is told of. Empty: all.",
    )
    enabled = models.BooleanField(default=True)
    timeout_seconds = models.FloatField(default=10)
    retry_seconds = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        validators=[waits],
        help_text="Waits between the attempts of a call, in seconds, as [5, 30, 120]; each is"
        " the longest, a random part of it is waited. Empty: eight attempts in seventeen hours.",
    )
    secrets = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    delivered_at = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)
    disabled_because = models.TextField(default="", db_default="", editable=False)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def new_secret(self) -> str:
        """Make a secret and sign with it from now on, and with the one before it, if there is one.

        The caller saves the row, and shows the secret once: it cannot be read again.
        """
        made = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        former = self.live_secrets()[:1]
        self.secrets = seal({str(n): secret for n, secret in enumerate([made, *former])})
        return made

    def keep_token(self, token: str) -> None:
        """Call with a vendor's token from now on. The caller saves the row."""
        self.secrets = seal({"0": token})

    def forgive(self) -> None:
        """Forget earlier failures: a person says that it works. The caller saves the row."""
        self.failures, self.failing_since, self.paused_until = 0, None, None
        self.disabled_because = ""

    def live_secrets(self) -> list[str]:
        """What it is told with, the newest first; webhooks are signed with all of them."""
        return list(unseal(self.secrets, self.slug).values())


class PurgeReceipt(models.Model):
    """A batch of change notices that was told to subscribers, and since when it could have been.

    Its `commands` say who took it, and when; it is acknowledged when all of them are applied.
    Times are the database's, but for `changed_at`, which may be the upstream's own.
    """

    id = models.BigAutoField(primary_key=True)
    entities = ArrayField(models.TextField())
    notices = models.PositiveIntegerField()
    records = models.PositiveIntegerField()
    changed_at = models.DateTimeField(
        help_text="When the oldest change happened, as its upstream says; else as received_at."
    )
    received_at = models.DateTimeField(
        help_text="When the hub was told of the oldest change; of what it read itself, as merged_at."
    )
    merged_at = models.DateTimeField(help_text="When the oldest merge began.")
    told_at = models.DateTimeField(db_default=Now())
    correlation_ids = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        help_text="Under which the changes were made; a call may tell of several.",
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["told_at"], name="receipt_told"),
            GinIndex(fields=["correlation_ids"], name="receipt_correlations", fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"{', '.join(self.entities)}: {self.records} changed"


class OutboxCommand(Message):
    """One thing to tell: a change to a subscriber, a push to an upstream, or trouble to people.

    `target` names whom, as `subscriber/3`, `connection/2` or `channel/1`: commands of one target are sent one
    after the other. The idempotency key is the same for each attempt and each replay; it is the
    `webhook-id` of a webhook, and goes along with a push in the upstream's own way.
    """

    target = models.TextField()
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, null=True, related_name="commands"
    )
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, null=True, related_name="commands"
    )
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, null=True, related_name="commands"
    )
    kind = models.TextField(help_text="For example records.changed, or update.")
    stream = models.TextField(default="", db_default="")
    record_key = models.TextField(default="", db_default="", db_collation="C")
    idempotency_key = models.TextField()
    body = models.BinaryField(help_text="Exactly what is sent.")
    asked_by = models.TextField(default="", db_default="")
    reply = models.TextField(default="", db_default="", help_text="What the other side answered.")
    receipt = models.ForeignKey(
        PurgeReceipt,
        # Receipts are pruned after their commands (`connectors.outbox.receipts`).
        on_delete=models.PROTECT,
        null=True,
        related_name="commands",
    )

    class Meta(Message.Meta):
        abstract = False
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["target", "idempotency_key"], name="outbox_once"),
            models.CheckConstraint(
                condition=Q(subscriber__isnull=False, connection=None, channel=None)
                | Q(subscriber=None, connection__isnull=False, channel=None)
                | Q(subscriber=None, connection=None, channel__isnull=False),
                name="outbox_one_target",
            ),
        ]
        indexes: ClassVar = [
            due_index("outbox_due", "target"),
            lease_index("outbox_leases"),
            replayed_index("outbox_replayed"),
            correlation_index("outbox_correlation"),
            models.Index(
                fields=["target", "-id"],
                name="outbox_dead",
                condition=models.Q(state=Message.State.DEAD),
            ),
            models.Index(fields=["idempotency_key"], name="outbox_key"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.subscriber or self.connection or self.channel}"

    @property
    def text(self) -> str:
        """The body for a person."""
        return bytes(self.body).decode("utf-8", "replace")
