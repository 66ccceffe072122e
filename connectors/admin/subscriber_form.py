"""The form of a subscriber: what its kind needs, and nothing that its kind does not know.

A vendor's token is written only: the form never holds what is stored, and an empty field keeps it.
"""

from __future__ import annotations

import re
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminURLInputWidget,
)

from catalog.entities import entities
from connectors.admin.addresses import bare_address
from connectors.models import Subscriber
from connectors.outbox.kinds import KINDS, Kind

TOKEN = re.compile(r"[!-~]{8,500}")


class SubscriberForm(forms.ModelForm[Subscriber]):
    """Entities by name, each of which must exist."""

    kind = forms.ChoiceField(
        choices=[(slug, kind.label) for slug, kind in KINDS.items()],
        initial="webhook",
        widget=UnfoldAdminSelectWidget(),
        help_text="How it is told. It stays as it is: another kind is another subscriber.",
    )
    url = forms.URLField(
        label="URL",
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
        max_length=500,
        required=False,
        help_text="Where changes are posted. Empty: the vendor's own address, for Fastly and"
        " Cloudflare.",
    )
    token = forms.CharField(
        label="API token",
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password", "placeholder": "write-only"}
        ),
        help_text="Fastly, Cloudflare: one that may purge. Empty: the one that is stored."
        " Other kinds get a secret that is made here and shown once.",
    )

    class Meta:
        model = Subscriber
        fields = (
            "slug", "kind", "url", "place", "token", "entities", "enabled", "timeout_seconds",
            "retry_seconds",
        )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.fields.pop("kind")

    def clean_url(self) -> str:
        """An address without a password. Raises ValidationError, and shows it without one."""
        return bare_address(self, "url")

    def clean_entities(self) -> list[str]:
        """Names of declared entities. Raises ValidationError that lists them."""
        said: list[str] = [name.strip() for name in self.cleaned_data["entities"] or []]
        if unknown := [name for name in said if name not in entities()]:
            raise forms.ValidationError(
                f"no entity is called {', '.join(unknown)}; there are {', '.join(entities())}"
            )
        return said

    def clean_token(self) -> str:
        """What fits into a header. Raises ValidationError, without the token."""
        token: str = self.cleaned_data["token"]
        if token and not TOKEN.fullmatch(token):
            raise forms.ValidationError(
                "a token has 8 to 500 printable ASCII characters and no blanks; copy it again"
            )
        return token

    def clean(self) -> dict[str, Any]:
        """What the kind needs is there, and nothing else is."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        kind = KINDS.get(self.instance.kind if self.instance.pk else said.get("kind", ""))
        if kind is not None:
            for field, wrong in self._wrong(kind, said).items():
                if field not in self.errors:
                    self.add_error(field, wrong)
            said["url"] = said.get("url") or kind.address
        return said

    def _wrong(self, kind: Kind, said: dict[str, Any]) -> dict[str, str]:
        stored, place, token = bool(self.instance.secrets), said.get("place"), said.get("token")
        checks = (
            ("url", not said.get("url") and not kind.address, "enter the endpoint's address"),
            ("place", kind.place and not place, f"enter the {kind.place}"),
            ("place", place and not kind.place, "this kind has none; leave it empty"),
            ("token", kind.token and not token and not stored, f"enter the {kind.token}"),
            (
                "token",
                token and not kind.token,
                "the secret of this kind is made here and shown once; leave it empty",
            ),
        )
        return {field: text for field, wrong, text in checks if wrong}
