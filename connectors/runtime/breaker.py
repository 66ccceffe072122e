"""The circuit breaker of a connection: while its upstream is down, calls fail at once.

    closed ──(enough of the window's calls failed)──▶ open ──(cool-down over: a probe)──▶ half-open
      ▲                                                ▲                                    │   │
      │                                                └────────────(a probe failed)────────┘   │
      └──────────────────────────────(so many probes went well)──────────────────────────────────┘

Calls are counted for all processes together (`outcomes`); the state is a row in PostgreSQL
(`circuit`), where reads, the admin and the incident see it. Which calls count as failed stands in
`verdicts`. At most so many probes are under way at once. They are made by whoever has work; where nobody has,
the supervisor has one made. A breaker that a person opened waits for a person.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from django.db import Error as DatabaseError
from django.db import transaction

from connectors.runtime.circuit import Circuit, Seen
from connectors.runtime.outcomes import Outcomes
from connectors.runtime.verdicts import Verdict, reason_of, verdict_on
from observability.context import current_id
from observability.errors import CircuitOpenError, UpstreamError

log = structlog.get_logger(__name__)

#: How long a process goes by what it saw of the state.
SEEN_SECONDS = 0.5
#: When to ask again where every place of a probe is taken, or a person has to decide.
PROBED_SECONDS, MANUAL_SECONDS = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """When the breaker of a connection opens and closes.

    It opens when at least `minimum` calls ended in the last `window` seconds, and the `share` (0 to
    1) of them, or more, failed. `cooldown` seconds later probes are let through, at most `probes` at
    once; so many that go well close it. `lease`: seconds in which a probe has ended, or is lost.
    """

    connection_id: int
    window: float = 60.0
    minimum: int = 5
    share: float = 0.5
    cooldown: float = 15.0
    probes: int = 2
    lease: float = 60.0

    def opens(self, well: int, ill: int) -> bool:
        """Whether these counts open it."""
        return well + ill >= self.minimum and ill >= self.share * (well + ill)


class Breaker:
    """The breaker of one connection in this process; thread-safe."""

    def __init__(self, connection: str, policy: Policy) -> None:
        self.connection, self.policy = connection, policy
        self._circuit = Circuit(policy.connection_id, connection)
        self._outcomes = Outcomes(connection)
        self._seen, self._seen_at = Seen(), float("-inf")
        self._within = threading.local()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call. Raises CircuitOpenError instead of making it, or where it was a probe in
        vain: neither says anything about the work that wanted it.

        A call inside another, as for a new token, is a part of that.
        """
        if getattr(self._within, "call", False):
            yield
            return
        probe = self._admit()
        self._within.call = True
        try:
            yield
        except BaseException as error:
            self._ended(verdict_on(error), reason_of(error), probe=probe)
            if probe and isinstance(error, UpstreamError) and verdict_on(error) is Verdict.ILL:
                raise self._refusal() from error
            raise
        else:
            self._ended(Verdict.WELL, "", probe=probe)
        finally:
            self._within.call = False

    def recant(self, error: UpstreamError) -> None:
        """An answer that had counted as good turned out to be none, once it was read."""
        if self._state().state == "closed":
            self._count(-1, 1, reason_of(error))
        else:
            self._circuit.reopen(reason_of(error), self.policy.cooldown)
            self._look()

    def open_by(self, person: str) -> None:
        """Leave the upstream alone until a person says otherwise."""
        self._circuit.open(f"switched off by {person}", None, person, anyway=True)
        self._look()

    def close_by(self, person: str) -> bool:
        """Call it again; False where that is done anyway."""
        closed = self._circuit.close(person)
        self._outcomes.reset()
        self._look()
        return closed

    def probe_by(self, person: str) -> bool:
        """Let probes through at once; False where it is closed."""
        due = self._circuit.probe_now(person)
        self._look()
        return due

    @property
    def closed(self) -> bool:
        """Whether calls go through, as PostgreSQL says now."""
        return self._look().state == "closed"

    @property
    def away(self) -> CircuitOpenError | None:
        """What a call would meet now, as far as this process knows; None: it would be made."""
        seen = self._state()
        probed = seen.retry_in is not None and seen.retry_in <= 0
        return None if seen.state == "closed" or probed else self._refusal()

    def _admit(self) -> bool:
        """Let a call through; whether as a probe. Raises CircuitOpenError."""
        seen = self._state()
        if seen.state == "closed":
            return False
        if seen.retry_in is not None and self._circuit.probe(self.policy.probes, self.policy.lease):
            self._look()
            return True
        # It may have closed since.
        if self._look().state == "closed":
            return False
        raise self._refusal()

    def _ended(self, verdict: Verdict, reason: str, *, probe: bool) -> None:
        if probe:
            self._probed(verdict, reason)
        elif verdict is Verdict.WELL:
            self._count(1, 0, "")
        elif verdict is Verdict.ILL:
            self._count(0, 1, reason)

    def _probed(self, verdict: Verdict, reason: str) -> None:
        if verdict is Verdict.ILL:
            self._circuit.reopen(reason, self.policy.cooldown)
        elif verdict is Verdict.SILENT:
            self._circuit.give_back()
        elif self._circuit.passed(self.policy.probes):
            transaction.on_commit(self._outcomes.reset)
        self._look()

    def _count(self, well: int, ill: int, reason: str) -> None:
        counts = self._outcomes.add(well, ill, self.policy.window)
        if ill and self.policy.opens(*counts):
            if self._circuit.open(reason, self.policy.cooldown):
                transaction.on_commit(self._outcomes.reset)
            self._look()

    def _state(self) -> Seen:
        if time.monotonic() - self._seen_at > SEEN_SECONDS:
            self._look()
        return self._seen

    def _look(self) -> Seen:
        try:
            before, self._seen = self._seen, self._circuit.look()
            if before.state != "closed" and self._seen.state == "closed":
                self._outcomes.forget()
        except DatabaseError as error:
            # The work that calls will meet the same, and is better at saying so.
            log.warning("the breaker's state is not known", error=str(error).strip())
        self._seen_at = time.monotonic()
        return self._seen

    def _refusal(self) -> CircuitOpenError:
        seen = self._seen
        wait = seen.retry_in if seen.retry_in is not None else MANUAL_SECONDS
        since = f" since {seen.down_since:%Y-%m-%d %H:%M} UTC" if seen.down_since else ""
        return CircuitOpenError(
            f"{self.connection} is down{since} and left alone: {seen.reason}",
            retry_after=wait if wait > 0 else PROBED_SECONDS,
            connection=self.connection,
            correlation_id=current_id(),
        )


_breakers: dict[str, Breaker] = {}
_lock = threading.Lock()


def breaker_of(connection: str, policy: Policy) -> Breaker:
    """The one breaker of a connection in this process, with the policy given last."""
    with _lock:
        known = _breakers.get(connection)
        if known is None or known.policy.connection_id != policy.connection_id:
            known = _breakers[connection] = Breaker(connection, policy)
    known.policy = policy
    return known


def known_breaker(connection: str) -> Breaker | None:
    """The breaker of a connection that this process has called."""
    return _breakers.get(connection)
