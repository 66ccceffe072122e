"""By what the list of conflicts is narrowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from catalog.conflicts import Conflict
from catalog.source import Source
from hub.console.seeing import seen_entities

OVER = "over"
#: parameter value: (words, whether older than it, hours)
AGES: dict[str, tuple[str, bool, int]] = {
    "hour": ("Less than an hour old", False, 1),
    "day": ("Less than a day old", False, 24),
    "older_day": ("Older than a day", True, 24),
    "older_week": ("Older than a week", True, 168),
    "older_month": ("Older than 30 days", True, 720),
}


class StateFilter(admin.SimpleListFilter):
    """Those that are not over, unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        states = [(str(value), str(label).capitalize()) for value, label in Conflict.State.choices]
        return [*states, (OVER, "Over: differs no more")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == OVER:
            return queryset.filter(closed_at__isnull=False)
        live = queryset.filter(closed_at=None)
        return live.filter(state=self.value()) if self.value() else live


class AgeFilter(admin.SimpleListFilter):
    """By how long it has differed."""

    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, words) for name, (words, _, _) in AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in AGES:
            return queryset
        _, older, hours = AGES[str(self.value())]
        moment = Now() - timedelta(hours=hours)
        return queryset.filter(**{"since__lt" if older else "since__gte": moment})


class EntityFilter(admin.SimpleListFilter):
    """Of one entity, of those that the person may see."""

    title = "entity"
    parameter_name = "entity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in seen_entities(request)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(entity=self.value()) if self.value() else queryset


class FieldFilter(admin.SimpleListFilter):
    """Of one field, by its name."""

    title = "field"
    parameter_name = "field"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        live = Conflict.objects.filter(closed_at=None, entity__in=seen_entities(request))
        if entity := request.GET.get("entity"):
            live = live.filter(entity=entity)
        return [(name, name) for name in live.order_by("field").values_list("field", flat=True)
                .distinct()]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(field=self.value()) if self.value() else queryset


class LoserFilter(admin.SimpleListFilter):
    """By the system whose value loses."""

    title = "system that loses"
    parameter_name = "loser"
    member = "source__in"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        names = Source.objects.order_by("system").values_list("system", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        sources = list(Source.objects.filter(system=self.value()).values_list("pk", flat=True))
        return queryset.filter(**{self.member: sources})


class WinnerFilter(LoserFilter):
    """By the system whose value survived."""

    title = "system that wins"
    parameter_name = "winner"
    member = "survivor_source__in"
