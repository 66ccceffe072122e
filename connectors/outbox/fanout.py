"""Change notices become webhooks: one for each subscriber who listens to the entity.

Thin on purpose: a webhook names the records that changed, and what happened to them. Whoever gets
it reads them through the API, with the rights of its own key, and as they are by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

import msgspec
from django.db import transaction

from catalog.notices import ChangeNotice, take_untold
from connectors.models import Subscriber
from connectors.outbox.commands import Draft, put

NOTICES_AT_ONCE = 200
#: A webhook names so many records at most; a notice of more becomes several.
RECORDS_A_WEBHOOK = 500
KIND = "records.changed"


def tell() -> int:
    """Turn a batch of notices into commands, in one transaction; how many notices there were."""
    with transaction.atomic():
        notices = take_untold(NOTICES_AT_ONCE)
        if notices:
            subscribers = list(Subscriber.objects.filter(enabled=True))
            put(draft for n in notices for s in subscribers for draft in _drafts(n, s))
    return len(notices)


def _drafts(notice: ChangeNotice, subscriber: Subscriber) -> Iterator[Draft]:
    if subscriber.entities and notice.entity not in subscriber.entities:
        return
    changes = [{"key": key, "kind": kind} for key, kind in notice.changes()]
    for first in range(0, len(changes), RECORDS_A_WEBHOOK):
        body = {
            "type": KIND,
            "timestamp": notice.at.astimezone(UTC),
            "data": {
                "entity": notice.entity,
                "changes": changes[first : first + RECORDS_A_WEBHOOK],
                "correlationId": notice.correlation_id,
            },
        }
        yield Draft(
            KIND,
            f"msg_{notice.pk}_{first // RECORDS_A_WEBHOOK}",
            msgspec.json.encode(body),
            subscriber=subscriber.pk,
            correlation_id=notice.correlation_id,
        )
