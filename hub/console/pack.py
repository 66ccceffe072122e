"""Assembles an incident's pack from all floors: the chain of hops, what changed before, the blast radius.

Runs in the supervisor, as a receiver of `observability.pack.wanted`; each statement has a second, and
what cannot be read leaves the incident as it is.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from time import monotonic
from typing import Any

from django.db import connection, transaction

from catalog.entities import entities
from catalog.rule_changes import RuleChange
from connectors.models import FieldAlias, MemberChange, Subscriber
from hub import outages, suppliers
from hub.auth.models import ApiKey
from hub.console.hops import chain
from hub.contract.shown import owners_of
from hub.usage import report
from hub.usage.uses import Field
from observability import pack, starts
from observability.audit import AuditEntry
from observability.incidents import Incident
from observability.pack import HOPS

STATEMENT_MILLISECONDS = 1000
#: What was changed so long before is shown as what may have caused it.
BEFORE = timedelta(hours=2)
MOST = 20
#: Of the audit log, so many of the latest are looked through; these are no changes.
LATEST = 500
NO_CHANGE = ("log in", "log out")

#: The hops that a kind of incident may be about, where its finder does not say.
KINDS: dict[str, tuple[str, ...]] = {
    Incident.Kind.SYSTEM_DOWN: ("network", "credentials", "upstream"),
    Incident.Kind.CONTRACT_DRIFT: ("contract",),
    Incident.Kind.CONFLICT_RISE: ("rule", "mapping", "upstream"),
}


def assemble(incident: int, **_: Any) -> None:
    """Receiver of `observability.pack.wanted`."""
    began = monotonic()
    row = Incident.objects.filter(pk=incident).first()
    if row is None:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
        links = chain({"system": row.system, "stream": row.stream, "subject": row.subject})
        hop = hop_of(row, links)
        more = {
            **_before(row),
            "affected": _affected(row),
            "milliseconds": round((monotonic() - began) * 1000),
        }
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        pack.attach(row.pk, hop, links, **more)


def hop_of(row: Incident, links: list[pack.Link]) -> str:
    """Where it broke first: what its finder saw, else the first failing hop that it may be about."""
    told = str(row.details.get("hop") or "")
    if told in HOPS:
        return told
    asked = KINDS.get(row.kind, HOPS)
    return pack.culprit(links, asked) or (asked[0] if len(asked) == 1 else "")


# --- what changed just before -----------------------------------------------------------------------


def _before(row: Incident) -> dict[str, Any]:
    since, until = row.opened_at - BEFORE, row.opened_at + timedelta(minutes=2)
    rules = RuleChange.objects.filter(at__gt=since, at__lte=until)[:MOST]
    log = AuditEntry.objects.filter(of=None).exclude(action__in=NO_CHANGE).order_by("-id")[:LATEST]
    return {
        "drift": _drift(row, since),
        "deploys": starts.changed(since, until),
        "rules": [
            {"at": r.at, "by": r.by, "what": f"{_named(r)} was {r.kind}", "changed": r.changed}
            for r in rules
        ],
        "changes": [
            {"at": one.at, "by": one.actor, "what": f"{one.action}: {_listed(one)}"}
            for one in log
            if since < one.at <= until
        ][:MOST],
    }


def _listed(entry: AuditEntry) -> str:
    objects = entry.objects_named if isinstance(entry.objects_named, list) else []
    return " ".join([entry.subject, ", ".join(str(one) for one in objects[:3])]).strip()


def _named(change: RuleChange) -> str:
    rule = change.after or change.before or {}
    return f"the rule of {change.entity}{'.' if rule.get('field') else ''}{rule.get('field') or ''}"


def _drift(row: Incident, since: Any) -> list[dict[str, Any]]:
    of_system = {"stream__connection__slug": row.system}
    members = MemberChange.objects.filter(last_seen_at__gt=since, **of_system)
    aliases = FieldAlias.objects.filter(accepted_at__gt=since, **of_system)
    open_ones = Incident.objects.filter(
        kind=Incident.Kind.CONTRACT_DRIFT, system=row.system, resolved_at=None
    ).exclude(pk=row.pk)
    return [
        *({"at": one.opened_at, "what": one.title} for one in open_ones[:MOST]),
        *(
            {"at": one.first_seen_at, "what": f"{one.stream} {one.path} {one.change}"}
            for one in members.select_related("stream__connection")[:MOST]
        ),
        *(
            {"at": one.accepted_at, "what": f"{one} was accepted by {one.accepted_by}"}
            for one in aliases.select_related("stream__connection")[:MOST]
        ),
    ]


# --- the blast radius -------------------------------------------------------------------------------


def _affected(row: Incident) -> dict[str, Any]:
    """What hangs on it: as `hub.outages.of_outage`, narrowed to what the incident is about, with the
    API keys, the cache tags of pages, and the subscribers that are told of them.
    """
    fields = _fields(row)
    whole = row.affected or outages.of_fields(fields)
    names = sorted({entity for entity, _ in fields})
    tags = {tag for name in names for owner in owners_of(name) for tag in _tags(owner)}
    keys = report.keys_reading(fields) if fields else []
    told = Subscriber.objects.filter(enabled=True)
    subscribers = [s for s in told if not s.entities or set(s.entities) & set(names)]
    return {
        **whole,
        "keys": [
            {k: v for k, v in asdict(one).items() if k in {"name", "requests"}}
            | {"key": one.shown_as, "last_day": one.last_day.isoformat()}
            for one in keys[:MOST]
        ],
        "tags": sorted(tags),
        "subscribers": sorted(s.slug for s in subscribers),
    }


def _tags(entity: str) -> tuple[str, str]:
    return entities()[entity].declaration.plural, f"{entity}:*"


def _fields(row: Incident) -> list[Field]:
    """The entity fields that it is about."""
    said = row.details
    if fed := said.get("feeds"):
        named = (name.partition(".") for name in fed)
        return [(entity, field) for entity, _, field in named if entity in entities()]
    name, _, member = row.subject.partition(".")
    if name in entities():
        return [(name, member)] if member else _all(name)
    if key := ApiKey.objects.filter(prefix=row.subject).first() if row.subject else None:
        named = (name.partition(".") for name, _, _ in report.fields_of_key(key))
        return [(entity, field) for entity, _, field in named if entity in entities()]
    told = Subscriber.objects.filter(slug=row.system).first()
    if told is not None:
        return [field for name in told.entities or entities() for field in _all(name)]
    return outages.supplied_by(row.system, row.stream)


def _all(entity: str) -> list[Field]:
    return sorted((e, f) for e, f in suppliers.supply() if e == entity)
