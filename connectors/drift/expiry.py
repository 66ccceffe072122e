"""Aliases end: their time is up, or the contract names the new member by now."""

from __future__ import annotations

from django.db.models.functions import Now

from connectors.drift.members import names_member
from connectors.drift.renaming import beside
from connectors.models import FieldAlias, Stream
from observability.clock import database_now


def end_aliases(stream: Stream) -> None:
    """End the aliases that are past their time, or whose new member the contract names by now."""
    for row in FieldAlias.objects.filter(stream=stream, ended_at=None):
        because = ""
        if names_member(stream.spec, beside(row.path, row.renamed)):
            because = f"the contract names {row.renamed} now"
        elif row.until <= database_now():
            because = "its time was up"
        if because:
            FieldAlias.objects.filter(pk=row.pk).update(ended_at=Now(), ended_because=because)
