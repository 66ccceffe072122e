"""What is decided about one stream, as the reader of its records needs it: one statement for all.

It is read at most once a second, and anew when a record departs: so an alias that was accepted a
moment ago is known to whoever tries a held record again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from django.db import connection

from connectors.drift.breaches import Breach
from connectors.models import DriftPolicy

KNOWN_SECONDS = 1.0
#: A page of broken records asks once, not a thousand times.
BREACH_SECONDS = 0.02
ACTIONS = DriftPolicy.Action.values

# An incident of a member that may be absent says so: the contract alone would let it pass.
RULES = """
WITH stream AS (
    SELECT s.id FROM connectors_stream s JOIN connectors_connection c ON c.id = s.connection_id
    WHERE c.slug = %(system)s AND s.slug = %(stream)s)
SELECT 'alias', a.path, a.renamed FROM connectors_fieldalias a JOIN stream ON a.stream_id = stream.id
WHERE a.ended_at IS NULL AND a.until > now()
UNION ALL
SELECT 'policy:' || p.breach, p.path, p.action
FROM connectors_driftpolicy p JOIN stream ON p.stream_id = stream.id
UNION ALL
SELECT 'vanished', i.details ->> 'path', i.details ->> 'successor' FROM observability_incident i
WHERE i.kind = 'contract_drift' AND i.system = %(system)s AND i.stream = %(stream)s
  AND i.resolved_at IS NULL AND i.details ->> 'successor' <> ''"""


@dataclass(frozen=True, slots=True)
class Rules:
    """`aliases`: the contract's member to the upstream's name; `vanished`: the same, not accepted."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[tuple[str, str], str] = field(default_factory=dict)
    vanished: Mapping[str, str] = field(default_factory=dict)

    def action(self, path: str, kind: str) -> str:
        """The nearest policy's."""
        for place in ((path, kind), (path, ""), ("", kind), ("", "")):
            # A rule for the whole stream is not meant for members that nobody reads.
            if place in self.policies and (kind != DriftPolicy.Breach.UNKNOWN or any(place)):
                return self.policies[place]
        if kind == DriftPolicy.Breach.UNKNOWN:
            return DriftPolicy.Action.ACCEPT
        return DriftPolicy.Action.QUARANTINE

    def strictest(self, breaches: tuple[Breach, ...]) -> str:
        """What happens to a record with these breaches."""
        return max((self.action(one.path, one.kind) for one in breaches), key=ACTIONS.index)


NONE = Rules()


class RulesOf:
    """The rules of one stream, kept for a moment."""

    def __init__(self, system: str, stream: str) -> None:
        self._place = {"system": system, "stream": stream}
        self._known, self._read_at = NONE, float("-inf")

    def now(self) -> Rules:
        """As they were a second ago at most."""
        return self.anew(KNOWN_SECONDS)

    def anew(self, age: float = 0.0) -> Rules:
        """As they were so many seconds ago at most."""
        if monotonic() - self._read_at < age:
            return self._known
        aliases: dict[str, str] = {}
        policies: dict[tuple[str, str], str] = {}
        vanished: dict[str, str] = {}
        with connection.cursor() as cursor:
            cursor.execute(RULES, self._place)
            for what, path, said in cursor.fetchall():
                if what == "alias":
                    aliases[path] = said
                elif what == "vanished":
                    vanished[path] = said
                else:
                    policies[path, what.removeprefix("policy:")] = said
        for path in aliases:
            vanished.pop(path, None)
        found = Rules(aliases, policies, vanished)
        # The same object where nothing changed: what was made of it is kept by it.
        self._known = self._known if found == self._known else found
        self._read_at = monotonic()
        return self._known
