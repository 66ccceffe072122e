"""`manage.py ownership`: the rules, what a change of one would do, and the change itself."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from catalog.ownership import Others, OwnershipRule
from catalog.rule_changes import Preview, RuleChange, plan_windows, preview, remove, save, work
from catalog.rule_checks import RuleRefusedError

NAMES = ("field", "locale", "market", "channel")


class Command(BaseCommand):
    help = "Show, set or remove ownership rules; without --yes nothing is written."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="Every rule")
        what.add_parser("history", help="The last changes, and how far each is applied")
        what.add_parser("apply", help="Apply now, here, what waits for a worker")
        given = what.add_parser("set", help="A new rule, or another one for the same scope")
        given.add_argument("entity")
        given.add_argument("owner")
        for name in NAMES:
            given.add_argument(f"--{name}", default="")
        given.add_argument("--fallbacks", default="", help="sap,wms")
        given.add_argument("--others", default=Others.REJECT, choices=Others.values)
        given.add_argument("--silent-after", type=int, help="Seconds; with --others fallback")
        given.add_argument("--from", dest="valid_from", help="2026-12-01T00:00:00Z")
        given.add_argument("--to", dest="valid_to", help="2026-12-24T00:00:00Z")
        given.add_argument("--reason", default="")
        gone = what.add_parser("remove", help="Remove a rule")
        gone.add_argument("number", type=int)
        for changing in (given, gone):
            changing.add_argument("--yes", action="store_true", help="Write it")
            changing.add_argument("--by", default="the shell", help="Who, for the history")

    def handle(self, *, what: str, **options: Any) -> None:
        try:
            getattr(self, f"_{what}")(**options)
        except RuleRefusedError as refused:
            raise CommandError(str(refused)) from refused

    def _list(self, **_options: Any) -> None:
        for rule in OwnershipRule.objects.all():
            then = f", then {', '.join(rule.fallbacks)}" if rule.fallbacks else ""
            self.stdout.write(
                f"{rule.pk:>4}  {rule.scope}: {rule.owner}{then};"
                f" others {rule.get_others_display()}"
            )

    def _history(self, **_options: Any) -> None:
        for change in RuleChange.objects.all()[:20]:
            said = change.after or change.before
            self.stdout.write(
                f"{change.pk:>4}  {change.at:%Y-%m-%d %H:%M}  rule {change.rule_id} {change.kind}"
                f" by {change.by}: {change.state}, {change.seen} of {change.total or 0} looked at,"
                f" {change.changed} changed  {json.dumps(said)}"
            )

    def _apply(self, **_options: Any) -> None:
        plan_windows()
        pages = 0
        while work():
            pages += 1
        self.stdout.write(f"{pages} page{'' if pages == 1 else 's'} worked; nothing is left")

    def _set(self, *, entity: str, owner: str, yes: bool, by: str, **options: Any) -> None:
        scope = {name: options[name] for name in NAMES}
        for name in ("valid_from", "valid_to"):
            scope[name] = _moment(options[name], name.removeprefix("valid_"))
        rule = OwnershipRule.objects.filter(entity=entity, **scope).first()
        rule = rule or OwnershipRule(entity=entity, **scope)
        rule.owner, rule.others = owner, options["others"]
        rule.fallbacks = [name.strip() for name in options["fallbacks"].split(",") if name.strip()]
        rule.silent_after, rule.reason = options["silent_after"], options["reason"]
        seen = preview(rule)
        self._show(seen)
        if yes:
            self._said(save(rule, by, seen.changed if seen.counted else None))

    def _remove(self, *, number: int, yes: bool, by: str, **_options: Any) -> None:
        rule = OwnershipRule.objects.filter(pk=number).first()
        if rule is None:
            raise CommandError(f"No rule {number}; `manage.py ownership list` shows them.")
        seen = preview(rule, removed=True)
        self._show(seen)
        if yes:
            self._said(remove(rule, by, seen.changed if seen.counted else None))

    def _show(self, seen: Preview) -> None:
        if not seen.counted:
            self.stdout.write("too many records to look at all of them in a minute")
            return
        self.stdout.write(
            f"{seen.changed} of {seen.seen} records would have another value, {seen.moved} the same"
            " from another system"
        )
        for key, changes in seen.sample:
            for field, (old, new) in changes.items():
                self.stdout.write(f"  {key}  {field}: {old} -> {new}")

    def _said(self, change: RuleChange) -> None:
        self.stdout.write(
            f"change #{change.pk} is written and decides from now on; a worker applies it to the"
            " records that are there (`manage.py ownership history`)"
        )


def _moment(given: str | None, name: str) -> Any:
    if not given:
        return None
    try:
        moment = parse_datetime(given)
    except ValueError:
        moment = None
    if moment is None or is_naive(moment):
        raise CommandError(
            f"--{name} {given!r} is no time with its zone; write 2026-12-01T00:00:00Z."
        )
    return moment
