"""Change notices become commands: for each subscriber who listens, in the way of its kind.

A webhook is thin on purpose: it names the records that changed, and what happened to them. Whoever
gets it reads them through the API, with the rights of its own key, and as they are by then. A purge
names the cache tags of all notices of a batch together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC

import msgspec
from django.db import connection, transaction

from catalog.notices import ChangeNotice, Changes, take_untold
from catalog.prepared import call
from catalog.tags import tags_of
from connectors.models import Subscriber
from connectors.outbox import receipts
from connectors.outbox.commands import Draft, put
from connectors.outbox.kinds import KINDS, Purge
from observability.context import new_id

NOTICES_AT_ONCE = 200
#: A webhook names so many records at most; a notice of more becomes several.
RECORDS_A_WEBHOOK = 500
KIND, PURGE = "records.changed", "tags.changed"

SOMEBODY = "EXISTS (SELECT FROM connectors_subscriber WHERE enabled)"
HEARD = f"SELECT {SOMEBODY}"
# Who subscribes is told of what is committed after that: both are seen as of one moment.
PASS_OVER = f"""
UPDATE catalog_changenotice SET told = true WHERE NOT told AND NOT {SOMEBODY}"""  # noqa: S608 (our own SQL)


def heard() -> bool:
    """Whether anybody subscribes."""
    with connection.cursor() as cursor:
        cursor.execute(call(HEARD))
        return bool(cursor.fetchone()[0])


def pass_over() -> None:
    """Tick off what there is, where nobody subscribes: no follower has to be waited for."""
    with connection.cursor() as cursor:
        cursor.execute(PASS_OVER)


def tell(anyway: Sequence[int] = ()) -> int:
    """Turn a batch of notices into commands, in one transaction; how many notices there were.

    `anyway`: ids of notices that are told whether or not all followers have seen them.
    """
    with transaction.atomic():
        notices = take_untold(NOTICES_AT_ONCE, anyway)
        if notices:
            subscribers = list(Subscriber.objects.filter(enabled=True))
            drafts = [*_webhooks(notices, subscribers), *_purges(notices, subscribers)]
            if drafts:
                receipt = receipts.open_for(notices)
                put(replace(draft, receipt=receipt) for draft in drafts)
    return len(notices)


def _heard(notice: ChangeNotice, subscriber: Subscriber) -> bool:
    return not subscriber.entities or notice.entity in subscriber.entities


def _webhooks(
    notices: Sequence[ChangeNotice], subscribers: Sequence[Subscriber]
) -> Iterator[Draft]:
    told = [s for s in subscribers if KINDS[s.kind].purge is None]
    for notice in notices:
        bodies = [*_bodies(notice)] if told else []
        for subscriber in told:
            if not _heard(notice, subscriber):
                continue
            for number, body in enumerate(bodies):
                yield Draft(
                    KIND,
                    f"msg_{notice.pk}_{number}",
                    body,
                    subscriber=subscriber.pk,
                    correlation_id=_id_of([notice]),
                )


def _bodies(notice: ChangeNotice) -> Iterator[bytes]:
    changes = [{"key": key, "kind": kind} for key, kind in notice.changes()]
    for first in range(0, len(changes), RECORDS_A_WEBHOOK):
        yield msgspec.json.encode(
            {
                "type": KIND,
                "timestamp": notice.at.astimezone(UTC),
                "data": {
                    "entity": notice.entity,
                    "changes": changes[first : first + RECORDS_A_WEBHOOK],
                    "correlationId": notice.correlation_id,
                },
            }
        )


def _purges(notices: Sequence[ChangeNotice], subscribers: Sequence[Subscriber]) -> Iterator[Draft]:
    known: dict[tuple[str, ...], set[str] | None] = {}
    for subscriber in subscribers:
        kind, filtered = KINDS[subscriber.kind], tuple(sorted(subscriber.entities))
        heard = [n for n in notices if _heard(n, subscriber)]
        if kind.purge is None or not heard:
            continue
        if filtered not in known:
            known[filtered] = tags_of(Changes(n.entity, n.keys, n.at) for n in heard)
        tags = known[filtered]
        purges = (
            [Purge(everything=True)]
            if tags is None
            else [Purge(pack) for pack in kind.packed(tags)]
        )
        for number, purge in enumerate(purges):
            yield Draft(
                PURGE,
                f"purge_{heard[0].pk}_{number}",
                msgspec.json.encode(purge),
                subscriber=subscriber.pk,
                correlation_id=_id_of(heard),
            )


def _id_of(notices: Sequence[ChangeNotice]) -> str:
    """The id of their one cause. Of several the call has an id of its own: the receipt knows theirs."""
    known = {notice.correlation_id for notice in notices}
    return known.pop() if len(known) == 1 and "" not in known else new_id()
