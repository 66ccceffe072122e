"""What waits for a second person, in the admin: what it would do, who asks, and the two buttons."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin
from catalog.admin.row_page import RowPage
from hub.auth.approvals import Approval, decide, expire_due
from hub.console import approvals
from observability.display import Tone, ago, badge

State = Approval.State
TONES = {State.WAITING: Tone.BUSY, State.APPROVED: Tone.GOOD, State.DECLINED: Tone.WARN}
#: What the button says: the state that it leads to.
DECISIONS = {"approve": State.APPROVED, "decline": State.DECLINED, "withdraw": State.WITHDRAWN}


@admin.register(Approval)
class ApprovalAdmin(RowPage, ReadOnlyAdmin):
    """Those that wait first."""

    list_display = ("what", "state_now", "asked", "ends", "decided")
    list_filter = ("state",)
    list_select_related = ("asked_by", "decided_by")
    change_form_template = "console/approval.html"
    ordering = ("-id",)
    nothing = "Nothing waits for a second person, and nothing did."
    sortable_by = ()
    fields = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        address = path("<int:pk>/decide/<slug:decision>/", view, name="hub_approval_decide")
        return [address, *super().get_urls()]

    def decide_view(self, request: HttpRequest, pk: int, decision: str) -> HttpResponse:
        """POST with `reason`: approve, decline or withdraw."""
        if request.method != "POST":
            raise PermissionDenied
        row = Approval.objects.select_related("asked_by").filter(pk=pk).first()
        if row is None or decision not in DECISIONS:
            raise Http404(f"There is no request #{pk}, or nothing called {decision}.")
        own = decision == "withdraw" and row.asked_by_id == request.user.pk
        if not (own or approvals.may_decide(request, row)):
            raise PermissionDenied
        because = request.POST.get("reason", "").strip()
        if decision == "approve":
            messages.info(request, approvals.approve(request, row, because))
        else:
            expire_due()
            done = decide(pk, DECISIONS[decision], request.user, because)  # type: ignore[arg-type]
            Approval.objects.filter(pk=pk).exclude(state=State.WAITING).update(form="")
            messages.info(request, "Nothing was done." if done else "It waits no more.")
        return HttpResponseRedirect(reverse("admin:hub_approval_change", args=[pk]))

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """See `RowPage`."""
        waits = row.state == State.WAITING and row.expires_at > row.looked_at
        return {
            "title": row.says,
            "subtitle": f"request #{row.pk}",
            "row": row,
            "state": self.state_now(row),
            "asked_for": self.asked(row),
            "ends": self.ends(row),
            "correlation": self.correlation(row),
            "may_decide": waits and approvals.may_decide(request, row),
            "may_withdraw": waits and row.asked_by_id == request.user.pk,
        }

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the database's time under a name that the row does not have."""
        # Past ReadOnlyAdmin, whose name for it is a column here.
        rows = super(ReadOnlyAdmin, self).get_queryset(request).annotate(looked_at=Now())
        return rows.select_related("asked_by", "decided_by")

    @admin.display(description="what")
    def what(self, row: Approval) -> SafeString:
        needed = f"above {row.limit:,} {row.unit}" if row.limit else "always"
        return format_html(
            '{}<div class="hw-dim">a second person is needed {}</div>', row.says, needed
        )

    @admin.display(description="state")
    def state_now(self, row: Any) -> SafeString:
        state = State(row.state)
        if state == State.WAITING and row.expires_at <= row.looked_at:
            state = State.EXPIRED
        return badge(state.label.lower(), TONES.get(state, Tone.QUIET), row.outcome)

    @admin.display(description="asked")
    def asked(self, row: Any) -> SafeString:
        return format_html(
            '{} {}<div class="hw-dim">{}</div>',
            row.asked_by.get_username(), ago(row.asked_at, row.looked_at), row.reason,
        )  # fmt: skip

    @admin.display(description="until")
    def ends(self, row: Any) -> SafeString | str:
        return ago(row.expires_at, row.looked_at) if row.state == State.WAITING else "–"

    @admin.display(description="decided")
    def decided(self, row: Any) -> SafeString | str:
        if row.decided_by is None:
            return "–"
        return format_html(
            '{} {}<div class="hw-dim">{}</div>',
            row.decided_by.get_username(), ago(row.decided_at, row.looked_at), row.decided_because,
        )  # fmt: skip
