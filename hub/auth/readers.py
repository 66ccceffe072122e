"""Who asks: a holder of an API key or a token, or a person who is logged in to the admin."""

from __future__ import annotations

from dataclasses import dataclass

from hub.auth.rights import Rights


@dataclass(frozen=True, slots=True)
class Reader:
    """`name` is for people, `holder` for the rate limit. `per_minute`: requests; None: no limit.

    `counted_as` is whose usage the reads are (`hub.usage`): the prefix of a key, or `jwt:` and the
    client of a token. Empty: nobody's, as a person in the admin only tries things.
    """

    name: str
    holder: str
    rights: Rights
    per_minute: int | None = None
    counted_as: str = ""
    #: Requests beside a key are held to trusted documents; a person may try things out.
    person: bool = False
