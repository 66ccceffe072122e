"""Records that may be the same: what a person decides, and what can be taken apart again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin.reading import ReadOnlyAdmin, entity_link, in_words
from catalog.admin.row_page import RowPage
from catalog.entities import Entity, entity, value_fields
from catalog.matching import merging
from catalog.matching.models import MatchCandidate, SameAs
from observability.display import Tone, ago, badge
from observability.errors import ConflictError

TONES = {"open": Tone.WARN, "merged": Tone.GOOD}


class DecidedAdmin(RowPage, ReadOnlyAdmin):
    """Nobody edits these rows; who may change them may run their actions."""

    sortable_by = ()
    fields: tuple[str, ...] = ()

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """For actions declared with `permissions=["decide"]`."""
        options = self.opts
        return request.user.has_perm(f"{options.app_label}.change_{options.model_name}")


@admin.register(MatchCandidate)
class MatchCandidateAdmin(DecidedAdmin):
    """Pairs of records that agree by the rules of their entity, the likeliest first."""

    nothing = "No two records look so alike that a person has to decide."
    list_display = ("pair", "likely", "because", "decision", "found")
    list_display_links = ("likely",)
    list_filter = ("state", "entity")
    search_fields = ("first", "second")
    ordering = (Case(When(state="open", then=0), default=1), "-score", "id")
    actions = ("keep_first", "keep_second", "keep_better_known", "reject")
    change_form_template = "admin/catalog/matchcandidate/page.html"

    def page(self, request: HttpRequest, row: MatchCandidate) -> dict[str, Any]:
        spoken = merging.speakers(row.entity, row.first, row.second)
        return {
            "title": f"Are {row.first} and {row.second} the same {row.entity}?",
            "pair": row,
            "links": [entity_link(row.entity, key) for key in (row.first, row.second)],
            "systems": [", ".join(spoken[k].systems) or "nobody" for k in (row.first, row.second)],
            "compared": compared(entity(row.entity), row.first, row.second),
            "decision": self.decision(row),
            "may_decide": self.has_decide_permission(request) and row.state == "open",
        }

    @admin.action(description="The same: keep the first", permissions=["decide"])
    def keep_first(self, request: HttpRequest, rows: QuerySet[MatchCandidate]) -> None:
        for row in rows:
            self._merge(request, row, row.second, row.first)

    @admin.action(description="The same: keep the second", permissions=["decide"])
    def keep_second(self, request: HttpRequest, rows: QuerySet[MatchCandidate]) -> None:
        for row in rows:
            self._merge(request, row, row.first, row.second)

    @admin.action(description="The same: keep the one more systems know", permissions=["decide"])
    def keep_better_known(self, request: HttpRequest, rows: QuerySet[MatchCandidate]) -> None:
        for row in rows:
            key, alias = merging.survivor(row.entity, row.first, row.second)
            self._merge(request, row, alias, key)

    @admin.action(description="Not the same", permissions=["decide"])
    def reject(self, request: HttpRequest, rows: QuerySet[MatchCandidate]) -> None:
        for row in rows:
            merging.reject(row, by=request.user.get_username())
            messages.success(request, f"{row.first} and {row.second} stay two.")

    def _merge(self, request: HttpRequest, row: MatchCandidate, alias: str, key: str) -> None:
        told = request.POST.get("reason", "").strip() or f"possible match: {', '.join(row.reasons)}"
        try:
            merging.merge(
                row.entity, alias, key, by=request.user.get_username(), reason=told, score=row.score
            )
        except ConflictError as error:
            messages.error(request, f"{error.message}.")
            return
        kept = entity_link(row.entity, key)
        messages.success(request, format_html("{} is {} from now on.", alias, kept))

    @admin.display(description="records")
    def pair(self, row: MatchCandidate) -> SafeString:
        one, other = (entity_link(row.entity, key) for key in (row.first, row.second))
        return format_html("{} {} and {}", row.entity, one, other)

    @admin.display(description="score")
    def likely(self, row: MatchCandidate) -> str:
        return f"{row.score:.2f}"

    @admin.display(description="they have")
    def because(self, row: MatchCandidate) -> str:
        return ", ".join(row.reasons)

    @admin.display(description="state")
    def decision(self, row: MatchCandidate) -> SafeString:
        by = f" by {row.decided_by}" if row.decided_by else ""
        return format_html("{}{}", badge(row.state, TONES.get(row.state, Tone.QUIET)), by)

    @admin.display(description="found")
    def found(self, row: Any) -> SafeString:
        return ago(row.found_at, row.asked_at)


@admin.register(SameAs)
class SameAsAdmin(DecidedAdmin):
    """Records that were merged, and can be taken apart."""

    nothing = "No two records were merged."
    list_display = ("what", "reason", "by", "since", "ended")
    list_filter = ("entity", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("alias", "key")
    ordering = ("-id",)
    actions = ("take_apart",)
    change_form_template = "admin/catalog/sameas/page.html"

    def page(self, request: HttpRequest, row: SameAs) -> dict[str, Any]:
        return {
            "title": str(row),
            "same": row,
            "links": [entity_link(row.entity, key) for key in (row.alias, row.root or row.key)],
            "since": self.since(row),
            "ended": self.ended(row),
            "may_decide": self.has_decide_permission(request) and row.ended_at is None,
        }

    @admin.action(description="Take apart", permissions=["decide"])
    def take_apart(self, request: HttpRequest, rows: QuerySet[SameAs]) -> None:
        """What the systems told as the alias is said about it again."""
        for row in rows:
            because = request.POST.get("reason", "").strip() or "taken apart in the admin"
            try:
                merging.unmerge(row, by=request.user.get_username(), reason=because)
            except ConflictError as error:
                messages.error(request, f"{error.message}.")
                continue
            messages.success(request, f"{row.alias} and {row.key} are two again.")

    @admin.display(description="record")
    def what(self, row: SameAs) -> SafeString:
        kept = entity_link(row.entity, row.root or row.key)
        return format_html('{} <span class="hw-mono">{}</span> is {}', row.entity, row.alias, kept)

    @admin.display(description="by")
    def by(self, row: SameAs) -> str:
        return row.merged_by

    @admin.display(description="since")
    def since(self, row: Any) -> SafeString:
        return ago(row.merged_at, row.asked_at)

    @admin.display(description="taken apart")
    def ended(self, row: Any) -> Any:
        if row.ended_at is None:
            return ""
        return format_html("{} by {}", ago(row.ended_at, row.asked_at), row.ended_by)


def compared(cls: type[Entity], *keys: str) -> list[tuple[str, list[str], bool]]:
    """(field, the value of each record, whether they are equal) of all that one of them has."""
    rows = {row.pk: row for row in cls._default_manager.filter(pk__in=keys)}
    found = []
    for f in value_fields(cls):
        values = [getattr(rows[k], f.attname) if k in rows else None for k in keys]
        said = [in_words(value) for value in values]
        if any(said):
            # That two are equal is what has to be decided by; what they are is not.
            name = cls.declaration.name
            told = [
                in_words(masking.shown(name, f.name, v, k))
                for k, v in zip(keys, values, strict=True)
            ]
            found.append((str(f.verbose_name), told, len(set(said)) == 1))
    return found
