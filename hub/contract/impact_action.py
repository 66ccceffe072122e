"""`manage.py contract impact`: what a change at an upstream breaks, for people and for CI.

Exit code 0: nothing uses what changes; 1: something breaks; 2: the question was no good.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from connectors.contracts.actions import Changes
from connectors.contracts.shape import SpecificationError
from connectors.models import DriftIncident
from hub.contract.impact import Impact, impact_of_changes, impact_of_incident, impact_of_renamings
from hub.usage.report import DAYS


class ImpactAction:
    """The action; `connectors.contracts.actions` says how it is run."""

    help = "what a change at an upstream breaks; exit 1 where anything does"

    def add_arguments(self, parser: ArgumentParser) -> None:
        asked = parser.add_mutually_exclusive_group(required=True)
        asked.add_argument(
            "--rename", action="append", metavar="A.b=c",
            help="member b of A, a stream (prices, sap/prices) or a vendor's record type; repeatable",
        )  # fmt: skip
        asked.add_argument(
            "--from-diff", action="store_true", help="whatever `contract diff` finds breaking"
        )
        asked.add_argument(
            "--from-incident", type=int, metavar="ID", help="what an open drift incident breaks"
        )
        parser.add_argument("--json", action="store_true", help="one document, for machines")

    def run(
        self,
        options: Mapping[str, Any],
        changes: Callable[[], Changes],
        write: Callable[[str], Any],
    ) -> int:
        if options["rename"]:
            if options["connector"]:
                raise SpecificationError("name the connector in --rename: sap/prices.Material=new")
            found = impact_of_renamings(options["rename"])
        elif options["from_incident"] is not None:
            found = impact_of_incident(_open_incident(options["from_incident"]))
        else:
            found = impact_of_changes(changes())
        if options["json"]:
            write(msgspec.json.encode(found.document()).decode())
        else:
            write("\n".join(told(found)))
        return int(found.breaks)


def _open_incident(pk: int) -> DriftIncident:
    rows = DriftIncident.objects.filter(resolved_at=None)
    row: DriftIncident | None = rows.filter(pk=pk).first()
    if row is None:
        known = ", ".join(f"{one.pk} ({one})" for one in rows[:10]) or "none"
        raise SpecificationError(f"no open drift incident {pk}; open are: {known}")
    return row


def told(impact: Impact) -> Iterator[str]:
    """The impact in lines for people."""
    if not impact.breaks:
        yield "nothing uses it: nothing breaks"
    for one in impact.mappings:
        kept = "records are quarantined without it" if one.demanded else "may be missing"
        feeds = ", ".join(one.feeds)
        yield f"mapping     {one.connector}/{one.stream}.{one.member} -> {feeds} ({kept})"
    for hit in impact.fields:
        more = f"; also from {', '.join(hit.also_from)}" if hit.also_from else ""
        via = f" by way of {hit.via}" if hit.via else ""
        yield f"field       {hit.entity}.{hit.field} is {hit.effect}{via}{more}"
    if impact.held_up:
        yield f"held up     {', '.join(impact.held_up)} (of the same records)"
    yield from (f"REST        {shown.address} {shown.member}" for shown in impact.rest)
    yield from (f"GraphQL     {name}" for name in impact.graphql)
    yield from _readers(impact)


def _readers(impact: Impact) -> Iterator[str]:
    for one in impact.operations:
        count = (
            f"{one.requests} requests in {DAYS} days"
            if one.known == "observed"
            else "in the manifest"
        )
        yield f"operation   {one.name} ({one.known}, {one.id[:12]}): {count}"
    for key in impact.keys:
        gone = ", revoked" if key.revoked else ""
        yield (
            f"API key     {key.name} ({key.shown_as}{gone}): {key.requests} requests in {DAYS} days,"
            f" the last on {key.last_day}"
        )
    yield from (f"cache       {one.data_class}: {', '.join(one.tags)}" for one in impact.caches)
    yield from (f"subscriber  {slug}" for slug in impact.subscribers)
