"""The five roles: groups with the permissions of this table, put in place after each `migrate`.

    support      reads everything about the data, and explains it; changes nothing
    operator     keeps it running: resync, replay, pause, breakers, incidents, silence
    steward      decides what is right: conflicts, overrides, matches; sees personal data
    integrator   connects: connections, streams, rules, contracts and their policies, subscribers
    auditor      reads everything, the audit log and who may do what included; changes nothing

What a group of one of these names may do is what stands here: changed by hand it is put right by the
next `migrate`. Groups of other names are people's own, and left alone. Users, groups and API keys are
given by superusers alone: whoever may hand out rights has them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group, Permission

#: What everybody in a role may look at: the data, what came and went, what is wrong.
READ = ("catalog.view_*", "connectors.view_*", "observability.view_*", "hub.view_fieldusage",
        "hub.view_approval")  # fmt: skip
#: Of these who did what, and what is set up for callers, only the auditor.
AUDITORS = ("observability.view_auditentry", "connectors.view_mandate")

#: Role: patterns of permissions (`app.codename`) beyond `READ`.
ROLES: dict[str, tuple[str, ...]] = {
    "support": (),
    "operator": (
        "connectors.add_syncrun",
        "connectors.change_inboxevent",
        "connectors.change_outboxcommand",
        "connectors.change_command",
        "connectors.change_stream",
        "connectors.change_breaker",
        "connectors.change_fieldalias",
        "observability.change_incident",
        "observability.*_silence",
    ),
    "steward": (
        "catalog.add_override",
        "catalog.change_matchcandidate",
        "catalog.change_sameas",
        "catalog.see_personal",
        "catalog.erase_person",
        "hub.view_erasure",
    ),
    "integrator": (
        "catalog.*_ownershiprule",
        "connectors.add_syncrun",
        "connectors.add_connection",
        "connectors.change_connection",
        "connectors.change_breaker",
        "connectors.change_stream",
        "connectors.*_driftpolicy",
        "connectors.change_fieldalias",
        "connectors.add_subscriber",
        "connectors.change_subscriber",
        "connectors.*_mandate",
        "observability.*_uselimit",
        "observability.*_alertrule",
        "observability.*_channel",
        "observability.*_freshnessobjective",
        "observability.*_calendar",
        "observability.*_escalation",
        "hub.view_apikey",
    ),
    "auditor": (*AUDITORS, "hub.view_*", "auth.view_user", "auth.view_group"),
}


def wanted(role: str, known: Iterable[str]) -> set[str]:
    """The permissions of a role among those there are (`catalog.view_product`)."""
    return {
        name
        for name in known
        if _any(name, ROLES[role]) or (_any(name, READ) and name not in AUDITORS)
    }


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def apply(using: str = "default", **_signal: Any) -> None:
    """Put the groups in place; nothing is written where they are as they should be."""
    rows = Permission.objects.using(using).values_list("pk", "content_type__app_label", "codename")
    ids = {f"{app}.{codename}": pk for pk, app, codename in rows}
    held: dict[str, set[int]] = {role: set() for role in ROLES}
    groups = {group.name: group for group in Group.objects.using(using).filter(name__in=ROLES)}
    given = Group.permissions.through.objects.using(using).filter(group__name__in=ROLES)
    for name, pk in given.values_list("group__name", "permission_id"):
        held[name].add(pk)
    for role in ROLES:
        should = {ids[name] for name in wanted(role, ids)}
        if role not in groups:
            groups[role] = Group.objects.using(using).create(name=role)
        if should != held[role]:
            groups[role].permissions.set(should)
