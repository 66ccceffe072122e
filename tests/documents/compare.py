"""Ask the compiled reads and Graphene's executor the same, and say what differs."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

from graphql import DocumentNode

from hub import degraded
from hub.graphql.documents import checked, schema
from hub.graphql.views import executed
from hub.problems import ForbiddenError
from hub.reads.answer import answered
from hub.reads.execute import Runner, on_django
from observability.context import correlation
from tests.asking import RIGHTS, WISHES
from tests.documents import shop
from tests.documents.generate import Asked, Documents

#: Two answers are given at two times; ages may differ by this many seconds.
PATIENCE = 3600
#: Documents of one shape.
SHARING = 3


@dataclass
class Tally:
    """What became of the documents."""

    documents: int = 0
    compiled: int = 0
    with_errors: int = 0
    left_to_graphene: int = 0
    forbidden: int = 0
    invalid: int = 0
    differences: list[str] = field(default_factory=list)


def run(documents: int, seed: int, runner: Runner = on_django) -> Tally:
    """Ask so many valid documents. The shop must be open."""
    make, tally, number = Documents(schema(), shop.keys()), Tally(), 0
    while tally.documents < documents and not tally.differences:
        number += 1
        # Each shape is asked with several values, which share a plan.
        asked = make.ask(f"{seed}/{number // SHARING}", str(number % SHARING))
        if not isinstance(checked(asked.text), DocumentNode):
            tally.invalid += 1
            continue
        tally.documents += 1
        who = _who(f"{seed}/{number}")
        with correlation("the same for both"):
            told = difference(asked, who, runner, tally)
        if told:
            tally.differences.append(
                f"number {number} of seed {seed}: {told}\n{asked.text}\n{asked.variables}\n{who}"
            )
    return tally


def _who(seed: str) -> dict[str, Any]:
    """Who asks: mostly somebody who is not shown everything."""
    chance = random.Random(seed)
    return {"rights": chance.choice(RIGHTS), "wishes": chance.choice(WISHES)}


def difference(asked: Asked, who: dict[str, Any], runner: Runner, tally: Tally) -> str:
    """What differs; empty where nothing does."""
    compiled = answered(asked.text, dict(asked.variables), asked.name, runner, **who)
    try:
        reference = executed(asked.text, dict(asked.variables), asked.name, **who)
    except ForbiddenError:
        tally.forbidden += 1
        return "" if compiled is None else f"compiled, but forbidden: {compiled!r}"
    wanted = pairs(reference.content)
    if compiled is None:
        # Only where something is wrong: Graphene words the error.
        tally.left_to_graphene += 1
        errors = json.loads(reference.content).get("errors")
        return "" if errors else f"not compiled; Graphene says {reference.content!r}"
    tally.compiled += 1
    if isinstance(compiled, bytes):
        status, found = 200, pairs(compiled)
        marks = degraded.headers_of(compiled).get(degraded.HEADER)
        if marks != reference.headers.get(degraded.HEADER):
            return f"header {marks}, not {reference.headers.get(degraded.HEADER)}"
    else:
        tally.with_errors += 1
        status, found = compiled.status_code, pairs(compiled.content)
    if status != reference.status_code:
        return f"status {status}, not {reference.status_code}"
    return differing(wanted, found, "")


def pairs(body: bytes) -> Any:
    """JSON with objects as lists of pairs, since their order counts."""
    return json.loads(body, object_pairs_hook=_Pairs)


class _Pairs(list[tuple[str, Any]]):
    """An object."""


def differing(wanted: Any, found: Any, path: str) -> str:
    if isinstance(wanted, _Pairs) and isinstance(found, _Pairs):
        if [name for name, _ in wanted] != [name for name, _ in found]:
            return f"{path}: members {found} instead of {wanted}"
        inside = (
            differing(w, f, f"{path}.{name}")
            for (name, w), (_, f) in zip(wanted, found, strict=True)
        )
        return next(filter(None, inside), "")
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        each = (
            differing(w, f, f"{path}[{i}]")
            for i, (w, f) in enumerate(zip(wanted, found, strict=True))
        )
        return next(filter(None, each), "")
    if _is_number(wanted) and _is_number(found):
        aged = path.rpartition(".")[2].startswith("age")
        same = abs(wanted - found) < PATIENCE if aged else math.isclose(wanted, found)
    else:
        same = type(wanted) is type(found) and wanted == found
    return "" if same else f"{path}: {found!r} instead of {wanted!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
