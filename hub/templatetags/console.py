"""Template filters and tags of the console."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from catalog import masking
from catalog.explain import FieldProvenance
from connectors.models import DriftIncident
from hub.auth.models import ApiKey
from hub.contract.impact import impact_of_incident
from hub.usage.report import DAYS
from observability import display
from observability.errors import HubError

register = template.Library()


@register.filter
def ago(moment: datetime | None, now: datetime) -> SafeString:
    """`{{ moment|ago:now }}`: `12 s ago`, the exact time on hover."""
    return display.ago(moment, now)


@register.filter
def exact(moment: datetime) -> str:
    """`2026-11-21 01:50:20.123 UTC`."""
    return display.exact(moment)


@register.filter
def age(proof: FieldProvenance, now: datetime) -> SafeString:
    """The age of a served value: since the hub last knew it to be what its source says."""
    return display.ago(now - timedelta(seconds=proof.age_seconds), now)


@register.inclusion_tag("console/impact.html")
def impact(incident: DriftIncident) -> dict[str, Any]:
    """`{% impact incident %}`: what the member that departs breaks, up to those who read it."""
    try:
        return {"impact": impact_of_incident(incident), "days": DAYS}
    except HubError as error:
        return {"error": error.message}


@register.simple_tag
def lag(seconds: float | None, objective: int) -> SafeString:
    """`{% lag seconds objective %}`: the lag of a stream against its freshness objective."""
    return display.lag_badge(seconds, objective)


@register.filter
def precisely(moment: datetime) -> str:
    """A moment as an address carries it, to the microsecond: `2026-11-21T12:00:00.000001Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


@register.filter
def spelled(value: Any) -> str:
    """A member of a raw payload, as JSON spells it."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def share(value: float) -> str:
    """0 to 1 as a percentage."""
    return f"{value:.1%}"


@register.filter
def moment(text: str | None) -> str:
    """A time as JSON has it (ISO 8601), to the second, in UTC; empty for none."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}" if text else ""


@register.simple_tag
def unknown_hops(chain: list[dict[str, Any]], failed: str) -> list[str]:
    """`{% unknown_hops chain failed as names %}`: the hops of a pack of which nothing is known."""
    return [one["hop"] for one in chain if one["state"] == "unknown" and one["hop"] != failed]


@register.filter
def caller_name(caller: str) -> str:
    """Of a command: `key:7` by the name of the API key."""
    kind, _, pk = caller.partition(":")
    if kind != "key" or not pk.isdigit():
        return caller
    name = ApiKey.objects.filter(pk=pk).values_list("name", flat=True).first()
    return f"API key {name}" if name else f"{caller}, which is gone"


@register.filter
def coded(text: str) -> SafeString:
    """A text with what stands between backticks as code."""
    return mark_safe(re.sub("`([^`]+)`", r'<code class="hw-mono">\1</code>', escape(text)))  # noqa: S308 (escaped)


@register.filter
def told(text: str) -> str:
    """An error text for whoever looks: it may quote what came."""
    return masking.told(text, masking.cover_names())
