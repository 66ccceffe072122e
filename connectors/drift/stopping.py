"""A stream is stopped, and resumed: its checkpoint, its runs and its events wait meanwhile."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from connectors.models import Stream
from connectors.runtime import wake


def stop(stream: Stream, because: str) -> None:
    """Nothing of the stream is read or applied until it is resumed; the checkpoint stays."""
    Stream.objects.filter(pk=stream.pk, stopped_at=None).update(
        stopped_at=Now(), stopped_because=because.replace("\x00", "")[:1000]
    )


def resume(stream: Stream) -> None:
    """Read and apply it again."""
    with transaction.atomic():
        Stream.objects.filter(pk=stream.pk).update(stopped_at=None, stopped_because="")
        # Its events have waited.
        wake.notify(wake.INBOX)
        wake.notify(wake.UPSTREAM)
