"""How two records of an entity are seen to be about the same thing, where no key says so.

Systems that share a natural key need none of this: what they say meets under it. A rule here is for
the others: it compares fields of what we believe, and each agreement adds to a score.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Spellings that make equal what people write differently; SQL of a column, NULL for nothing.
EXACT = "NULLIF(btrim({}), '')"
FOLDED = r"NULLIF(lower(regexp_replace(btrim({}), '\s+', ' ', 'g')), '')"
#: The last nine digits: with or without a country's prefix. Shorter ones tell too little.
DIGITS = (
    r"CASE WHEN length(regexp_replace({}, '\D', '', 'g')) >= 7"
    r" THEN right(regexp_replace({}, '\D', '', 'g'), 9) END"
)


@dataclass(frozen=True, slots=True)
class MatchRule:
    """Two records agree where all `fields`, in one spelling, are equal and not empty.

    `weight` is added to the score of a pair that agrees. Pairs are looked for by the rules that
    `find`; the others only judge them. `name` completes "they have …".
    """

    name: str
    fields: tuple[str, ...]
    weight: float
    spelling: str = FOLDED
    find: bool = True


@dataclass(frozen=True, slots=True)
class Matching:
    """The rules of an entity. Pairs that score `propose_from` are shown to a person; those that score
    `merge_from` are merged at once, unless one system speaks of both as two records.

    A pair that disagrees in one of `against` (both have a value) loses that rule's weight.
    """

    rules: tuple[MatchRule, ...]
    against: tuple[MatchRule, ...] = ()
    propose_from: float = 0.6
    merge_from: float = 1.0
