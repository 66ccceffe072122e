"""The dead letters of one box, and their replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from connectors.models import Message
from connectors.replay.causes import Cause, causes
from connectors.replay.chosen import Chosen
from connectors.replay.rehearsal import Rehearsal
from connectors.runtime import wake
from connectors.runtime.deadlocks import despite_deadlocks

#: The code under which a replay stands among the errors of a message.
REPLAYED = "replay"


@dataclass(frozen=True, slots=True)
class Letters:
    """What a box has to tell about its messages so that its dead letters can be replayed.

    `places` are the filters that say where a message belongs, with their look-ups; `searched`
    the columns that free text is compared with; `bells` the channels that its workers hear.
    `rehearse` tries letters and keeps nothing of it.
    """

    name: str
    model: type[Message]
    places: Mapping[str, str]
    searched: Sequence[str]
    bells: Sequence[str]
    rehearse: Callable[[QuerySet[Any]], Rehearsal]

    def rows(self) -> QuerySet[Any]:
        """Every message of the box."""
        return self.model._default_manager.all()

    def chosen(self, chosen: Chosen, rows: QuerySet[Any] | None = None) -> QuerySet[Any]:
        """Messages that a filter means, in any state."""
        return chosen.of(self.rows() if rows is None else rows, self.places, self.searched)

    def dead(self, chosen: Chosen) -> QuerySet[Any]:
        """Dead letters that a filter means."""
        return self.chosen(chosen, self.rows().filter(state=Message.State.DEAD))

    def causes(self, chosen: Chosen, limit: int = 50) -> list[Cause]:
        """What they died of."""
        return causes(self.dead(chosen), tuple(self.places.values()), limit)

    def dry_run(self, chosen: Chosen) -> Rehearsal:
        """What a replay would do. Raises UnclearError, and OperationalError where rows are held."""
        return self.rehearse(self.dead(chosen.needed()))

    def replay(self, chosen: Chosen, by: str) -> int:
        """Put dead letters back into the box, in one UPDATE; how many. Raises UnclearError.

        The retry policy applies from its beginning. Error and code stay, by which a letter that
        killed its worker is claimed alone; `errors` grows by the replay.
        """
        ids = self.dead(chosen.needed()).order_by().values("pk")
        return despite_deadlocks(lambda: self._replay(ids, by))

    def _replay(self, ids: QuerySet[Any], by: str) -> int:
        meant, parameters = ids.query.sql_with_params()
        with transaction.atomic(), connection.cursor() as cursor:
            # `state` stands outside as well: it is looked at again where another replay was first.
            cursor.execute(
                f"""
                UPDATE {self.model._meta.db_table} SET
                    state = 'received', attempts = 0, next_attempt_at = now(), lease_until = NULL,
                    finished_at = NULL, note = '', replays = replays + 1, replayed_by = %s,
                    errors = errors || jsonb_build_array(jsonb_build_object('attempt', 0,
                        'at', now(), 'code', %s::text, 'error', %s::text))
                WHERE state = 'dead' AND id IN ({meant})""",  # noqa: S608 (the ORM's own SQL)
                [by, REPLAYED, f"replayed by {by}", *parameters],
            )
            count = int(cursor.rowcount)
            if count:
                for bell in self.bells:
                    wake.notify(bell)
        return count
