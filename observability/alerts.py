"""Rules: from which value of a signal on, and for how long, somebody is to know.

`evaluate` is called every ten seconds. It reads each signal once, holds what it says against the
rules, and opens and ends incidents through `observability.incidents` alone:

    well ──(at the threshold)──▶ breaching ──(for so long)──▶ open
      ▲                             │                           │  ▲
      └───────(below it)────────────┘                           ▼  │ (at `ends_below` or above)
      ▲                                                       below
      └──────────────────(below `ends_below` for so long)───────┘

A ratio has no threshold of its own but burn rates: how many times faster than its objective allows
the bad ones come, in a long and a short window at once, as (60, 5, 14.4) and (360, 30, 6) minutes
(Google, "The Site Reliability Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"). Its value
is how many times over the burn rate of the worst pair is: 1 is a breach.

A rule without a signal belongs to incidents that are found elsewhere, as a breaker's: it says how
severe they are, who is told and which runbook helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import ClassVar

import structlog
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import DatabaseError, connection, models, transaction

from observability import incidents, signals
from observability.incidents import Incident
from observability.signals import Rate, Reading, Signal

log = structlog.get_logger(__name__)

Place = tuple[str, str, str]

#: A signal that takes longer is left out this time: its reader looks after other things too.
SLOW_MILLISECONDS = 2000
#: What an open incident says of its values is brought up to date so often.
RENEWED_SECONDS = 60
ITSELF = "it is well again"
SWITCHED_OFF = "its rule was switched off"


class AlertRule(models.Model):
    """One row decides when a signal is an incident. Its slug is the incident's kind."""

    slug = models.TextField(
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]{0,62}$", "lower-case letters, digits and _")],
        help_text="The kind of its incidents.",
    )
    title = models.TextField(help_text="What is wrong, for a list.")
    signal = models.TextField(
        blank=True, default="", help_text="What is watched. Empty: found by the hub elsewhere."
    )
    enabled = models.BooleanField(default=True)
    system = models.TextField(blank=True, default="", help_text="Of this system alone.")
    stream = models.TextField(blank=True, default="", help_text="Of this stream alone.")
    threshold = models.FloatField(default=1, help_text="From this value on, in the signal's unit.")
    for_seconds = models.PositiveIntegerField(
        default=0, help_text="So long it has to be so before it counts."
    )
    ends_below = models.FloatField(
        null=True, blank=True, help_text="It ends below this value. Empty: below the threshold."
    )
    ends_after_seconds = models.PositiveIntegerField(
        default=30, help_text="So long it has to be below before it ends."
    )
    objective = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.5), MaxValueValidator(0.999999)],
        help_text="Of a ratio: the share of good ones that is promised, as 0.99.",
    )
    windows = models.JSONField(
        default=list,
        blank=True,
        help_text="Of a ratio: [[long, short, burn rate], …] in minutes, as [[60, 5, 14.4]].",
    )
    minimum = models.PositiveIntegerField(
        default=0, help_text="Of a ratio: with fewer in the short window nothing is said."
    )
    severity = models.TextField(choices=Incident.Severity.choices, default=Incident.Severity.TICKET)
    explained_by = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Kinds of incidents of the same system (and stream) that cause this one: while"
        " such a one is open, this one is part of it, and nobody is told twice.",
    )
    runbook = models.TextField(
        blank=True, default="", help_text="Template of what to do, as runbooks/lag.md."
    )

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Refuse what could never be judged."""
        wrong: dict[str, str] = {}
        signal = signals.known().get(self.signal)
        if self.signal and signal is None:
            wrong["signal"] = f"There is no such signal; there are {', '.join(signals.known())}."
        if self.ends_below is not None and self.ends_below > self.threshold:
            wrong["ends_below"] = "It would end as soon as it begins: at most the threshold."
        if signal is not None and signal.ratio:
            wrong |= self._wrong_ratio()
        if self.slug in self.explained_by:
            wrong["explained_by"] = "Nothing causes itself."
        if wrong:
            raise ValidationError(wrong)

    def _wrong_ratio(self) -> dict[str, str]:
        wrong = {}
        if not (self.objective or callable(signals.known()[self.signal].rows)):
            wrong["objective"] = "Name what is promised, as 0.99."
        if not self.windows or not all(_is_window(one) for one in self.windows):
            wrong["windows"] = (
                "Give lists of [long minutes, short minutes, burn rate], as [[60, 5, 14.4]]; the"
                " short window is the shorter one, both are of 1 to 10080 minutes."
            )
        return wrong


def _is_window(said: object) -> bool:
    if not isinstance(said, list) or len(said) != 3:
        return False
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in said):
        return False
    longer, shorter, rate = said
    return bool(1 <= shorter < longer <= 7 * 24 * 60 and rate > 0)


class AlertState(models.Model):
    """A place where a rule is breached, or was until a moment ago."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="states")
    system = models.TextField(default="")
    stream = models.TextField(default="")
    subject = models.TextField(default="")
    value = models.FloatField()
    since = models.DateTimeField(help_text="When it came to the threshold.")
    found_at = models.DateTimeField(null=True, help_text="When its incident was last found.")
    below_since = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "system", "stream", "subject"], name="one_state_a_place"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule.slug} of {self.system}.{self.stream}: {self.value:g}"

    @property
    def place(self) -> Place:
        """As of a reading."""
        return self.system, self.stream, self.subject


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has found. Each is a number of incidents."""

    found: int = 0
    ended: int = 0


_read_at: dict[str, float] = {}


def evaluate(*, at_once: bool = False) -> Seen:
    """One look at all rules. Raises django.db.DatabaseError.

    `at_once`: also at signals that need be read less often. Of several supervisors one looks.
    """
    rules = list(AlertRule.objects.filter(enabled=True).exclude(signal=""))
    read = _read({rule.signal for rule in rules}, rules, at_once=at_once)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('observability.alerts')), now()")
        alone, now = cursor.fetchone()
        if not alone:
            return Seen()
        look = _Look(now)
        states: dict[int, dict[Place, AlertState]] = {}
        for state in AlertState.objects.select_related("rule"):
            states.setdefault(state.rule_id, {})[state.place] = state
        for rule in rules:
            if rule.slug in read:
                look.judge(rule, read[rule.slug], states.get(rule.pk, {}))
        look.drop(s for kept in states.values() for s in kept.values() if not s.rule.enabled)
        look.keep()
        incidents.look_after()
    return look.seen


class _Look:
    """One look: what it changes is written together."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._kept: list[AlertState] = []
        self._gone: list[AlertState] = []
        self.seen = Seen()

    def judge(
        self, rule: AlertRule, read: Mapping[Place, Reading], states: Mapping[Place, AlertState]
    ) -> None:
        """Hold what a signal says against a rule."""
        for place in {*read, *states}:
            reading, state = read.get(place), states.get(place)
            value = reading.value if reading else 0.0
            if state is None:
                if reading is None or value < rule.threshold:
                    continue
                state = AlertState(
                    rule=rule, system=place[0], stream=place[1], subject=place[2],
                    value=value, since=self._now,
                )  # fmt: skip
            state.value = value
            if state.found_at is None and value < rule.threshold:
                self._gone.append(state)
            elif state.found_at is not None and value < _end_of(rule):
                self._below(rule, state)
            else:
                state.below_since = None
                self._kept.append(state)
                if reading is not None:
                    self._breached(rule, state, reading)

    def drop(self, states: Iterable[AlertState]) -> None:
        """End what nobody judges any more."""
        for state in states:
            self._end(state, SWITCHED_OFF)

    def keep(self) -> None:
        """Write it down."""
        AlertState.objects.filter(pk__in=[s.pk for s in self._gone if s.pk]).delete()
        AlertState.objects.bulk_create(
            self._kept,
            update_conflicts=True,
            unique_fields=["rule", "system", "stream", "subject"],
            update_fields=["value", "found_at", "below_since"],
        )

    def _below(self, rule: AlertRule, state: AlertState) -> None:
        state.below_since = state.below_since or self._now
        if self._now - state.below_since >= timedelta(seconds=rule.ends_after_seconds):
            self._end(state, ITSELF)
        else:
            self._kept.append(state)

    def _breached(self, rule: AlertRule, state: AlertState, reading: Reading) -> None:
        new = state.found_at is None
        if new and self._now - state.since < timedelta(seconds=rule.for_seconds):
            return
        if not new and self._now - (state.found_at or self._now) < timedelta(
            seconds=RENEWED_SECONDS
        ):
            return
        state.found_at = self._now
        self.seen = Seen(self.seen.found + new, self.seen.ended)
        _find(rule, state, reading)

    def _end(self, state: AlertState, by: str) -> None:
        self._gone.append(state)
        if state.found_at is not None:
            ended = incidents.resolve(
                state.rule.slug, state.system, stream=state.stream, subject=state.subject, by=by
            )
            self.seen = Seen(self.seen.found, self.seen.ended + ended)


def _end_of(rule: AlertRule) -> float:
    return rule.threshold if rule.ends_below is None else rule.ends_below


def _find(rule: AlertRule, state: AlertState, reading: Reading) -> None:
    signal = signals.known()[rule.signal]
    place = ".".join(part for part in (reading.system, reading.stream) if part) or "the hub"
    title = f"{place} {signal.title}" + (f" ({reading.subject})" if reading.subject else "")
    incidents.find(
        rule.slug,
        reading.system,
        title,
        stream=reading.stream,
        subject=reading.subject,
        cause=reading.cause,
        details={
            "rule": rule.slug,
            "signal": rule.signal,
            "value": round(reading.value, 3),
            "unit": signal.unit,
            "threshold": rule.threshold,
            "since": state.since.isoformat(),
            "hop": reading.hop,
        },
    )


def _read(
    wanted: Iterable[str], rules: Iterable[AlertRule], *, at_once: bool
) -> dict[str, dict[Place, Reading]]:
    """By rule: what its signal says of the places that it is about. Without those not read now."""
    found: dict[str, dict[Place, Reading]] = {}
    known = signals.known()
    for slug in sorted(wanted):
        signal = known.get(slug)
        if signal is None:
            log.warning("a rule watches a signal that is not installed", signal=slug)
            continue
        if not at_once and monotonic() - _read_at.get(slug, float("-inf")) < signal.every_seconds:
            continue
        watching = [rule for rule in rules if rule.signal == slug]
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {SLOW_MILLISECONDS}")
                found |= _of(signal, watching)
        except DatabaseError as error:
            if connection.connection is None or connection.connection.closed:
                raise
            log.warning("a signal cannot be read", signal=slug, error=str(error).strip())
            continue
        except Exception:
            # Its reader looks after other things too, which a defect of one signal must not end.
            log.exception("a signal broke", signal=slug)
            continue
        _read_at[slug] = monotonic()
    return found


def _of(signal: Signal, rules: list[AlertRule]) -> dict[str, dict[Place, Reading]]:
    if not signal.ratio:
        read = signal.read()
        return {rule.slug: _by_place(rule, read) for rule in rules}
    return {
        rule.slug: _by_place(
            rule,
            burnt(
                rule,
                signal.rates(
                    (minutes for window in rule.windows for minutes in window[:2]),
                    rule.objective or 0,
                ),
            ),
        )
        for rule in rules
    }


def _by_place(rule: AlertRule, read: Iterable[Reading]) -> dict[Place, Reading]:
    """The worst of each place that the rule is about."""
    found: dict[Place, Reading] = {}
    for one in read:
        if rule.system not in ("", one.system) or rule.stream not in ("", one.stream):
            continue
        if one.place not in found or found[one.place].value < one.value:
            found[one.place] = one
    return found


def burnt(rule: AlertRule, rates: Iterable[Rate]) -> list[Reading]:
    """How many times over its burn rates each place is. See the module."""
    places: dict[Place, dict[float, Rate]] = {}
    for one in rates:
        places.setdefault((one.system, one.stream, one.subject), {})[one.minutes] = one
    found: list[Reading] = []
    for place, windows in places.items():
        for longer, shorter, burn in rule.windows:
            long, short = windows.get(longer), windows.get(shorter)
            if long is None or short is None:
                continue
            if short.count is not None and short.count < rule.minimum:
                continue
            worst = min(long.rate, short.rate)
            cause = f"{short.cause}, {worst:.1f} times what is allowed"
            found.append(Reading(*place, worst / burn, cause, short.hop))
    return found
