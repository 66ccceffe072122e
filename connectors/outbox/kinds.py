"""The kinds of subscribers: what each is told, with what credential, and in which form.

Two ways of telling. A *webhook* names the records that changed (see `fanout`). A *purge* names cache
tags (`catalog.tags`), the same that our answers carry in `Surrogate-Key` and `Cache-Tag`; purges that
wait for the same endpoint are told in one call, as far as its vendor takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from connectors.models import Subscriber


class Purge(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be purged, as it waits in the outbox. `everything`: whatever tags there are."""

    tags: list[str] = msgspec.field(default_factory=list)
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes = b""


JSON = {"Content-Type": "application/json", "User-Agent": "Headwater-Webhooks"}


def nextjs(row: Subscriber, purge: Purge) -> Call:
    """A route handler of the frontend's own, which calls `revalidateTag(tag, {expire: 0})` for each.

    Next.js, "revalidateTag" and "revalidatePath". The body has `tags`, or `everything: true`.
    """
    body = msgspec.json.encode(
        {"tags": purge.tags} | ({"everything": True} if purge.everything else {})
    )
    return Call(row.url, {**JSON, **_bearer(row)}, body)


def fastly(row: Subscriber, purge: Purge) -> Call:
    """Fastly API, "Purging": `POST /service/{service_id}/purge`, `…/purge_all` for everything."""
    headers = {**JSON, "Accept": "application/json", "Fastly-Key": row.live_secrets()[0]}
    if purge.everything:
        return Call(f"{_base(row)}/service/{row.place}/purge_all", headers)
    named = {"Surrogate-Key": " ".join(purge.tags)}
    return Call(f"{_base(row)}/service/{row.place}/purge", {**headers, **named})


def cloudflare(row: Subscriber, purge: Purge) -> Call:
    """Cloudflare API, "Purge Cached Content": `POST /zones/{zone_id}/purge_cache`."""
    wanted = {"purge_everything": True} if purge.everything else {"tags": purge.tags}
    url = f"{_base(row)}/zones/{row.place}/purge_cache"
    return Call(url, {**JSON, **_bearer(row)}, msgspec.json.encode(wanted))


def _base(row: Subscriber) -> str:
    return row.url.rstrip("/")


def _bearer(row: Subscriber) -> dict[str, str]:
    return {"Authorization": f"Bearer {row.live_secrets()[0]}"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How subscribers of a kind are told. `purge`: the call for tags; None: it gets webhooks."""

    label: str
    purge: Callable[[Subscriber, Purge], Call] | None = None
    #: What one call may name, and the length of it with a separator each.
    most_tags: int = 0
    most_characters: int = 0
    #: The vendor's address; empty: each subscriber has its own.
    address: str = ""
    #: What `Subscriber.place` means; empty: nothing.
    place: str = ""
    #: What the vendor's token is called; empty: we make the secret.
    token: str = ""

    def packed(self, tags: Iterable[str]) -> Iterator[list[str]]:
        """Tags by the call."""
        pack = _Pack(self)
        for tag in sorted(tags):
            if not pack.add([tag]):
                yield list(pack.tags)
                pack = _Pack(self)
                pack.add([tag])
        if pack.tags:
            yield list(pack.tags)

    def merged(self, purges: Sequence[Purge]) -> Iterator[tuple[int, Purge]]:
        """One purge for as many as go into a call: (how many of the sequence, purge)."""
        if any(purge.everything for purge in purges):
            yield len(purges), Purge(everything=True)
            return
        pack, count = _Pack(self), 0
        for purge in purges:
            if not pack.add(purge.tags):
                yield count, Purge(list(pack.tags))
                pack, count = _Pack(self), 0
                pack.add(purge.tags)
            count += 1
        if count:
            yield count, Purge(list(pack.tags))


@dataclass(slots=True)
class _Pack:
    """The tags of one call, in their order; the first to come always fit."""

    kind: Kind
    tags: dict[str, None] = field(default_factory=dict)
    characters: int = 0

    def add(self, tags: Sequence[str]) -> bool:
        fresh = [tag for tag in tags if tag not in self.tags]
        longer = self.characters + sum(len(tag) + 1 for tag in fresh)
        full = (
            len(self.tags) + len(fresh) > self.kind.most_tags or longer > self.kind.most_characters
        )
        if self.tags and full:
            return False
        self.tags.update(dict.fromkeys(fresh))
        self.characters = longer
        return True


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "webhook": Kind("Signed webhooks (Standard Webhooks)"),
        "nextjs": Kind(
            "Next.js: on-demand revalidation by tag",
            nextjs,
            most_tags=1_000,
            most_characters=64 * 1024,
        ),
        # Fastly API, "Purge multiple surrogate key tags": 256 keys a request. Requests' header lines
        # are commonly limited to 8 KiB.
        "fastly": Kind(
            "Fastly: purge by surrogate key",
            fastly,
            most_tags=256,
            most_characters=8_000,
            address="https://api.fastly.com",
            place="id of the service",
            token="API token",  # noqa: S106 (its name)
        ),
        # Cloudflare, "Purge cache": 100 operations a request.
        "cloudflare": Kind(
            "Cloudflare: purge by cache tag",
            cloudflare,
            most_tags=100,
            most_characters=64 * 1024,
            address="https://api.cloudflare.com/client/v4",
            place="id of the zone",
            token="API token",  # noqa: S106 (its name)
        ),
    }
)
