"""The form of a connection: its own columns, and one field for each member of the connector's
Settings, made from the Pydantic class.

A secret is written only: the form never holds what is stored, and an empty field keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from django import forms
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
    UnfoldBooleanSwitchWidget,
)

from connectors.admin.addresses import bare_address
from connectors.models import Connection
from connectors.runtime.connector import Connector, connector_class
from connectors.secrets import unseal
from observability.errors import ConfigurationError

PREFIX = "setting_"
STORED = "One is stored and never shown. Leave empty to keep it."
CONNECTION_FIELDS = (
    "slug", "name", "base_url", "enabled", "requests_per_second", "timeout_seconds",
    "max_body_bytes", "breaker_enabled", "breaker_window_seconds", "breaker_minimum_calls",
    "breaker_failure_share", "breaker_cooldown_seconds", "breaker_probes",
)  # fmt: skip


def _text(**options: Any) -> forms.Field:
    return forms.CharField(widget=UnfoldAdminTextInputWidget(), **options)


def _secret(**options: Any) -> forms.Field:
    # A password input: what was entered is not sent back either, when something else is wrong.
    widget = UnfoldAdminPasswordWidget(
        attrs={"autocomplete": "new-password", "placeholder": "write-only"}
    )
    # Blanks may belong to a secret.
    return forms.CharField(widget=widget, strip=False, **options)


def _whole(**options: Any) -> forms.Field:
    return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **options)


def _decimal(**options: Any) -> forms.Field:
    return forms.DecimalField(widget=UnfoldAdminDecimalFieldWidget(), **options)


def _switch(**options: Any) -> forms.Field:
    return forms.BooleanField(widget=UnfoldBooleanSwitchWidget(), **{**options, "required": False})


#: Form fields by type; any other type is entered as text and validated by the Settings class.
FIELDS: Mapping[Any, Callable[..., forms.Field]] = {
    SecretStr: _secret,
    bool: _switch,
    int: _whole,
    float: _decimal,
    Decimal: _decimal,
}


def setting_field(name: str, info: FieldInfo, *, stored: bool) -> forms.Field:
    """The form field of one member. `stored` says that a secret is there already."""
    kind = _plain(info.annotation)
    secret = kind is SecretStr
    options: dict[str, Any] = {
        "label": info.title or name.replace("_", " ").capitalize(),
        "required": info.is_required() and not (secret and stored),
        "help_text": " ".join(
            filter(None, (info.description, STORED if secret and stored else ""))
        ),
    }
    if not secret and not info.is_required() and info.default is not None:
        options["initial"] = info.default
    if choices := _choices(kind):
        if not options["required"]:
            choices = [("", "–"), *choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **options)
    make: Callable[..., forms.Field] = FIELDS.get(kind, _text)
    return make(**options)


def connection_form(connector: type[Connector], row: Connection | None) -> type[ConnectionForm]:
    """The form class of a connection of this connector."""
    stored = unseal_safely(row) if row else {}
    members = {
        f"{PREFIX}{name}": setting_field(name, info, stored=name in stored)
        for name, info in asked_members(connector)
    }
    return type("ConnectionForm", (ConnectionForm,), {**members, "connector_slug": connector.slug})


def asked_members(connector: type[Connector]) -> list[tuple[str, FieldInfo]]:
    """The members to ask for: those without a default first; no secret of a webhook there is not."""
    members = connector.Settings.model_fields.items()
    asked = [(n, i) for n, i in members if n != "webhook_secret" or connector.webhook is not None]
    return sorted(asked, key=lambda member: not member[1].is_required())


def unseal_safely(row: Connection) -> dict[str, str]:
    """The stored secrets; none when no known key opens them, so that they can be entered anew."""
    try:
        return unseal(row.secrets, row.slug)
    except ConfigurationError:
        return {}


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """Base of the generated forms; hands the members to `Connection.configure`."""

    connector_slug = ""
    base_url = forms.URLField(
        label="Base URL",
        assume_scheme="https",
        max_length=500,
        widget=UnfoldAdminURLInputWidget,
        help_text="Every address of the system is below it; calls elsewhere are refused.",
    )

    class Meta:
        model = Connection
        fields = CONNECTION_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            secret = connector_class(self.connector_slug).Settings.secret_names()
            for name, value in self.instance.settings.items():
                if name not in secret:
                    self.initial[f"{PREFIX}{name}"] = value

    def clean_base_url(self) -> str:
        """An address without a password. Raises ValidationError, and shows it without one."""
        return bare_address(self, "base_url")

    def _post_clean(self) -> None:
        """Validate the members as the connector will read them; errors stand at their member."""
        if not self.instance.pk:
            self.instance.connector = self.connector_slug
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            self.instance.configure(self._values())
        except ConfigurationError as error:
            cause = error.__cause__
            if not isinstance(cause, ValidationError):
                raise
            # Without the input: it may be a secret.
            for wrong in cause.errors(include_input=False, include_url=False):
                place = f"{PREFIX}{wrong['loc'][0]}" if wrong["loc"] else None
                self.add_error(place if place in self.fields else None, wrong["msg"])

    def _values(self) -> dict[str, Any]:
        """The members by name: as entered; a secret left empty as stored; the rest by default."""
        settings = connector_class(self.connector_slug).Settings
        stored = unseal_safely(self.instance) if self.instance.pk else {}
        values = {}
        for name in settings.model_fields:
            entered = self.cleaned_data.get(f"{PREFIX}{name}")
            if entered in (None, ""):
                entered = stored.get(name)
            if entered is not None:
                values[name] = float(entered) if isinstance(entered, Decimal) else entered
        return values


def _plain(annotation: Any) -> Any:
    """`int` for `int | None`; what is no optional comes back as it is."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _choices(kind: Any) -> list[tuple[str, str]]:
    if get_origin(kind) is Literal:
        return [(str(value), str(value)) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [(str(member.value), str(member.value)) for member in kind]
    return []
