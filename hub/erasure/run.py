"""Runs an erasure step by step, goes on with one that was broken off, and certifies it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from catalog.suppression import digests
from connectors.runtime import wake
from connectors.secrets import seal, unseal
from hub.erasure.find import Subject, find
from hub.erasure.models import Erasure
from hub.erasure.steps import STEPS
from hub.erasure.sweep import left, sweep
from observability.clock import database_now
from observability.context import ensure_id

log = structlog.get_logger(__name__)

VERSION = 1
KEPT = [
    "the natural key, where it names a row (the customer number of an order): a pseudonym",
    "that something changed and when, without the values",
    "a peppered digest of the key, so that the person is not brought back",
]


def rehearse(subject: Subject) -> dict[str, Mapping[str, int]]:
    """What would be erased, step by step: done, counted, and rolled back.

    But for the first step, which would hold up what systems say, and the last look at every table.
    """
    with transaction.atomic():
        counts = {name: step(subject) for name, step in STEPS.items() if name != "suppress"}
        transaction.set_rollback(True)
    return counts


def begin(
    name: str, key: str, *, asked_by: str, approved_by: str = "", reason: str = ""
) -> Erasure:
    """A new erasure, or the one that runs already. Raises LookupError, as `find` does."""
    digest = next(iter(digests(name, [key]))).hex()
    known = Erasure.objects.filter(entity=name, digest=digest, state=Erasure.State.RUNNING).first()
    if known is not None:
        return known
    subject = find(name, key)
    return Erasure.objects.create(
        entity=name, key=key, digest=digest, asked_by=asked_by, approved_by=approved_by,
        reason=reason, sealed=seal({"subject": subject.as_json()}), correlation_id=ensure_id(),
    )  # fmt: skip


def go_on(erasure: Erasure) -> Erasure:
    """Do what is left to do; certify it at the end. May be called again after whatever broke it off.

    Raises ConflictError while something about the person goes on.
    """
    if erasure.state == Erasure.State.DONE:
        return erasure
    subject = Subject.read(unseal(erasure.sealed)["subject"])
    for name, step in STEPS.items():
        if name in erasure.done:
            continue
        with transaction.atomic():
            _note(erasure, name, step(subject))
            if name == "suppress":
                # Whatever came in until now belongs to it too; nothing comes any more.
                subject = _again(erasure, subject)
    with transaction.atomic():
        _note(erasure, "texts", sweep(subject))
        _certify(erasure, subject)
    wake.notify(wake.OUTBOX)
    log.info("a person was erased", erasure=erasure.pk, digest=erasure.digest)
    return erasure


def _again(erasure: Erasure, before: Subject) -> Subject:
    now = find(before.entity, before.key)
    erasure.sealed = seal({"subject": now.as_json()})
    erasure.save(update_fields=["sealed"])
    return now


def _note(erasure: Erasure, name: str, counts: Mapping[str, int]) -> None:
    erasure.done = {**erasure.done, name: counts}
    erasure.save(update_fields=["done"])


def _certify(erasure: Erasure, subject: Subject) -> None:
    holders = Counter((one.system, one.stream) for one in subject.records)
    certificate = {
        "certificate": "erasure of a person",
        "version": VERSION,
        "number": erasure.pk,
        "entity": erasure.entity,
        "subject": erasure.digest,
        "asked_by": erasure.asked_by,
        "approved_by": erasure.approved_by,
        "begun_at": erasure.begun_at.isoformat(),
        "finished_at": database_now().isoformat(),
        "correlation_id": erasure.correlation_id,
        "erased": erasure.done,
        # Others may have the same: a telephone of a household, a name.
        "same_text_elsewhere": left(subject.values),
        "kept": KEPT,
        "systems_that_may_still_hold_it": [
            {"system": system, "stream": stream, "records": count, "told": False}
            for (system, stream), count in sorted(holders.items())
        ],
    }
    erasure.certificate, erasure.signature = certificate, signature(certificate)
    erasure.state, erasure.key, erasure.sealed = Erasure.State.DONE, "", ""
    erasure.finished_at = datetime.fromisoformat(str(certificate["finished_at"]))
    erasure.save()


def signature(certificate: Mapping[str, Any]) -> str:
    """HMAC-SHA256 over the certificate's JSON, members in order and without spaces (RFC 2104)."""
    said = json.dumps(certificate, sort_keys=True, separators=(",", ":")).encode()
    key = hashlib.sha256(b"headwater erasure certificate" + settings.SECRET_KEY.encode()).digest()
    return "hmac-sha256:" + hmac.new(key, said, hashlib.sha256).hexdigest()


def signed(certificate: Mapping[str, Any], given: str) -> bool:
    """Whether the signature is ours, of exactly this certificate."""
    return hmac.compare_digest(signature(certificate), given)
