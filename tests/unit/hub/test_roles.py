"""Roles: what each of them sees and may do, page by page and action by action.

Every page and every action of the admin stands in one of these tables. What is new and was not decided
about fails the tests, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from catalog.entities import entities
from catalog.masking import has_personal
from hub.auth import roles
from hub.auth.permissions import role_names
from hub.auth.roles import ROLES
from hub.launch.card import PERSONS
from observability.incidents import Incident

pytestmark = pytest.mark.django_db

ALL = frozenset(ROLES)
OPERATOR, STEWARD = frozenset({"operator"}), frozenset({"steward"})
INTEGRATOR, AUDITOR = frozenset({"integrator"}), frozenset({"auditor"})
ASK = OPERATOR | INTEGRATOR
NOBODY: frozenset[str] = frozenset()

#: Who sees the rows of a model, where not everybody in a role does.
SEES: dict[str, frozenset[str]] = {
    "auth.user": AUDITOR,
    "auth.group": AUDITOR,
    "hub.apikey": AUDITOR | INTEGRATOR,
    "hub.observedoperation": AUDITOR,
    "hub.operationusage": AUDITOR,
    "connectors.mandate": AUDITOR | INTEGRATOR,
    "hub.erasure": AUDITOR | STEWARD,
    "observability.auditentry": AUDITOR,
}
#: Who adds, changes and deletes rows by Django's forms; of other models nobody in a role does.
WRITES: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    "catalog.ownershiprule": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "connectors.connection": (INTEGRATOR, INTEGRATOR, NOBODY),
    "connectors.stream": (NOBODY, ASK, NOBODY),
    "connectors.driftpolicy": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "connectors.mandate": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "connectors.subscriber": (INTEGRATOR, INTEGRATOR, NOBODY),
    "observability.alertrule": (INTEGRATOR, INTEGRATOR, NOBODY),
    "observability.channel": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "observability.escalation": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "observability.silence": (OPERATOR, OPERATOR, OPERATOR),
    "observability.uselimit": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "observability.freshnessobjective": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
    "observability.calendar": (INTEGRATOR, INTEGRATOR, INTEGRATOR),
}
#: Who may run each action of a model's list.
ACTIONS: dict[str, dict[str, frozenset[str]]] = {
    **{
        f"{cls._meta.app_label}.{cls._meta.model_name}": {
            "resync_record": ASK,
            "erase_person": STEWARD if has_personal(cls) else NOBODY,
        }
        for cls in entities().values()
    },
    "catalog.matchcandidate": dict.fromkeys(
        ("keep_first", "keep_second", "keep_better_known", "reject"), STEWARD
    ),
    "catalog.sameas": {"take_apart": STEWARD},
    "catalog.conflict": {"take": STEWARD, "keep": STEWARD},
    "catalog.override": {"withdraw": STEWARD},
    "connectors.connection": dict.fromkeys(
        (
            "test_connection", "reconcile_now", "remap", "open_breaker", "close_breaker",
            "probe_now",
        ), ASK,
    ),
    "connectors.stream": dict.fromkeys(
        ("resync_now", "full_refresh", "reconcile_now", "remap", "replay_held", "resume"), ASK
    ),
    "connectors.syncrun": {"retry": ASK, "confirm_deletions": ASK},
    "connectors.quarantinedrecord": {"resync_record": ASK},
    "connectors.driftincident": {
        "accept_alias": ASK, "replay_held": ASK, "acknowledge": OPERATOR,
    },
    "connectors.driftpolicy": {"delete_selected": INTEGRATOR},
    "connectors.fieldalias": {"end_now": ASK},
    "connectors.command": {"try_now": OPERATOR},
    # The dry run; the replay that follows from it is looked at where it is asked for.
    "connectors.inboxevent": {"replay_selected": ALL},
    "connectors.outboxcommand": {"replay_selected": ALL},
    "connectors.mandate": {"delete_selected": INTEGRATOR},
    "connectors.subscriber": {"new_secret": INTEGRATOR, "switch_on": INTEGRATOR},
    "observability.channel": dict.fromkeys(("test", "new_secret", "delete_selected"), INTEGRATOR),
    "observability.escalation": {"delete_selected": INTEGRATOR},
    "observability.incident": {"acknowledge": OPERATOR},
    "observability.silence": {"end_now": OPERATOR, "delete_selected": OPERATOR},
    "observability.uselimit": {"delete_selected": INTEGRATOR},
    "observability.freshnessobjective": {"delete_selected": INTEGRATOR},
    "observability.calendar": {"delete_selected": INTEGRATOR},
    "hub.apikey": {"rotate": NOBODY, "revoke": NOBODY, "delete_selected": NOBODY},
    "auth.user": {"delete_selected": NOBODY},
    "auth.group": {"delete_selected": NOBODY},
}  # fmt: skip
INCIDENT = 7777
#: Pages of their own, by the name of their address: who may GET them. With arguments, those to use.
PAGES: dict[str, tuple[frozenset[str], tuple[Any, ...]]] = {
    "matrix": (ALL, ()),
    "map": (ALL, ()),
    "map-file": (ALL, ("md",)),
    "retention": (ALL, ()),
    "correlation": (ALL, ("4bf92f3577b34da6",)),
    "correlation_find": (ALL, ()),
    "settlement": (ALL, ()),
    "sla": (ALL, ()),
    "traffic": (ALL, ()),
    # Each shows what of it the person may see.
    "find": (ALL | {""}, ()),
    "explain-page": (ALL, ("product", "none", "brand")),
    "catalog_conflict_settle": (STEWARD, ()),
    "connectors_command_give_up": (NOBODY, (1,)),  # POST alone
    "connectors_inboxevent_replay": (ALL, ()),
    "connectors_outboxcommand_replay": (ALL, ()),
    "connectors_syncrun_progress": (ALL, ()),
    # Each step asks for the permission of what it does.
    "observability_incident_step": (ASK, (INCIDENT, "resync")),
    "observability_auditentry_export": (AUDITOR, ("json",)),
    "erase": (STEWARD, ("customer", "C-1")),
    "hub_erasure_certificate": (STEWARD | AUDITOR, (1,)),
    "hub_erasure_go_on": (NOBODY, (1,)),  # POST alone
    "hub_approval_decide": (NOBODY, (1, "approve")),  # POST alone, of what there is
}
#: Django's and Unfold's own, about the person alone.
OWN = frozenset(
    {"index", "login", "logout", "password_change", "password_change_done", "autocomplete",
     "jsi18n", "view_on_site", "app_list", "search", "auth_user_password_change", "toggle_sidebar"}
)  # fmt: skip
FORMS = ("changelist", "add", "change", "delete", "history")


def person(role: str) -> User:
    user = User.objects.create_user(f"one-{role or 'nobody'}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def people() -> dict[str, User]:
    return {role: person(role) for role in ROLES}


def asked(user: User) -> HttpRequest:
    request = RequestFactory().get("/admin/")
    request.user = user
    return request


def registered() -> Iterator[tuple[str, Any]]:
    for model, page in admin.site._registry.items():
        yield f"{model._meta.app_label}.{model._meta.model_name}", page


def addresses(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, route) of everything under /admin/."""
    for one in patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, route)
        elif isinstance(one, URLPattern) and route.lstrip("^").startswith("admin/") and one.name:
            yield one.name, route


def test_models_are_seen_and_written_by_whom_the_tables_say(people: dict[str, User]) -> None:
    wrong = []
    for model, page in registered():
        table = (SEES.get(model, ALL), *WRITES.get(model, (NOBODY, NOBODY, NOBODY)))
        for role, user in people.items():
            request = asked(user)
            found = (
                page.has_view_permission(request), page.has_add_permission(request),
                page.has_change_permission(request), page.has_delete_permission(request),
            )  # fmt: skip
            for what, may, declared in zip(
                ("sees", "adds", "changes", "deletes"), found, table, strict=True
            ):
                if may != (role in declared):
                    wrong.append(f"{role} {what} {model}: {may}")
    assert not wrong, "decide in SEES and WRITES, and in hub/auth/roles.py"


def test_actions_are_run_by_whom_the_table_says(people: dict[str, User]) -> None:
    wrong = []
    for model, page in registered():
        declared = ACTIONS.get(model, {})
        named = (
            {name for _, name, _ in page._get_base_actions()} if page.actions is not None else set()
        )
        wrong += [
            f"{model} has an action {name}, about which nothing is decided in ACTIONS"
            for name in sorted(named - {"delete_selected"} - declared.keys())
        ]
        wrong += [
            f"{model}'s action {name} has no permissions="
            for function, name, _ in (page._get_base_actions() if named else ())
            if not getattr(function, "allowed_permissions", None)
        ]
        for role, user in people.items():
            request = asked(user)
            # Django offers no action on a list to whoever has no permission for it.
            may = set(page.get_actions(request))
            for name, allowed in declared.items():
                if (name in may) != (role in allowed):
                    wrong.append(f"{role} runs {name} of {model}: {name in may}")
            wrong += [
                f"{role} runs {name} of {model}, about which nothing is decided"
                for name in sorted(may - declared.keys())
            ]
    assert not wrong, wrong


def test_every_page_is_decided_about_and_refuses_whom_it_should(client: Client) -> None:
    models = {
        f"{m._meta.app_label}_{m._meta.model_name}_{f}" for m in admin.site._registry for f in FORMS
    }
    names = {name for name, _ in addresses(get_resolver().url_patterns)}
    undecided = names - models - PAGES.keys() - OWN
    assert not undecided, f"decide in PAGES who may see these: {sorted(undecided)}"
    assert not PAGES.keys() - names, "no such page any more"

    def answers(name: str, args: tuple[Any, ...]) -> int:
        try:
            address = reverse(f"admin:{name}", args=args)
        except NoReverseMatch:
            address = reverse(name, args=args)
        return client.get(address).status_code

    Incident.objects.create(pk=INCIDENT, kind="system_down", system="sap", title="SAP is down")
    for role in (*ROLES, ""):
        client.force_login(person(role))
        for name, (allowed, args) in PAGES.items():
            status = answers(name, args)
            assert (status != 403) == (role in allowed), (role, name, status)
    # Now somebody in no role: every list refuses.
    lists = [name for name in models if name.endswith("_changelist")]
    assert {name: answers(name, ()) for name in lists} == dict.fromkeys(lists, 403)


def test_the_auditor_opens_every_list_and_changes_nothing(client: Client) -> None:
    auditor = person("auditor")
    client.force_login(auditor)
    for model, _ in registered():
        address = reverse(f"admin:{model.replace('.', '_')}_changelist")
        assert client.get(address).status_code == 200, address
    changing = [p for p in auditor.get_all_permissions() if ".view_" not in p]
    assert changing == []


def test_the_table_is_put_right_and_groups_of_others_are_left_alone() -> None:
    own = Group.objects.create(name="night shift")
    own.permissions.set(Permission.objects.filter(codename="view_product"))
    operator = Group.objects.get(name="operator")
    before = set(operator.permissions.values_list("codename", flat=True))
    operator.permissions.set(Permission.objects.filter(codename="delete_user"))
    roles.apply()
    roles.apply()
    assert set(operator.permissions.values_list("codename", flat=True)) == before
    assert {p.codename for p in own.permissions.all()} == {"view_product"}
    assert set(PERSONS) == set(ROLES)


def test_what_a_person_may_is_their_own_and_their_roles_in_one_statement(
    django_assert_num_queries: Any,
) -> None:
    user = person("auditor")
    user.user_permissions.set(Permission.objects.filter(codename="change_user"))
    user = User.objects.get(pk=user.pk)
    with django_assert_num_queries(1):
        may = user.get_all_permissions()
        assert role_names(user) == ["auditor"]
    own, by_role = user.get_user_permissions(), user.get_group_permissions()
    assert own == {"auth.change_user"}
    assert may == own | by_role
    assert len(by_role) > 1
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert User.objects.get(pk=user.pk).get_all_permissions() == set()


def test_personal_data_and_rights_are_in_few_hands() -> None:
    known = [
        f"{app}.{name}"
        for app, name in Permission.objects.values_list("content_type__app_label", "codename")
    ]
    given = {role: roles.wanted(role, known) for role in ROLES}
    assert {role for role, may in given.items() if "catalog.see_personal" in may} == {"steward"}
    for role, may in given.items():
        handed = {p for p in may if p.startswith("auth.") and ".view_" not in p}
        assert not handed, (role, handed)
        assert not {p for p in may if "apikey" in p and ".view_" not in p}, role
