"""`python -m tests.benchmarks.merging`: what ownership rules and the guard cost a merge.

A thousand contributions of one of three systems, a third each about products, variants and prices,
every one of them news that changes its row, are stored and merged in one transaction; the time is
that of the merge alone and of the whole. Beside each other, in turns, on one embedded PostgreSQL that waits for its disk:
    none      no rules: the first connected system that has a value
    plain     one rule for each entity, and one for a field of each
    rich      narrowed by locale and market, in a window, and every policy for others
    unguarded no rules, and without the trigger that refuses other writers

On a shared machine the clock measures the neighbours: where Linux tells it, the time is that of the
processor in PostgreSQL's session, and the best batch of each counts. Prints a table, and as the last line one line of
JSON with every figure and ratio; ends with status 1 where the bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from tests import services

ROOT = Path(__file__).resolve().parents[3]
BAR = 1.3
#: Of the guard: what counts as nothing, on a machine where batches differ by as much.
GUARD_BAR = 1.03
BATCH = 999
SYSTEMS = ("erp", "pim", "crm")
#: Decides something of every row in every case, so that the same rows are written.
SPEAKER = "erp"
AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)

PLAIN: tuple[dict[str, Any], ...] = (
    {"entity": "product", "owner": "pim", "fallbacks": ["crm"]},
    {"entity": "product", "field": "slug", "owner": "crm"},
    {"entity": "variant", "owner": "pim", "fallbacks": ["erp"]},
    {"entity": "variant", "field": "gtin", "owner": "erp"},
    {"entity": "price", "owner": "erp", "fallbacks": ["pim"]},
    {"entity": "price", "field": "valid_to", "owner": "crm"},
)
RICH: tuple[dict[str, Any], ...] = (
    {"entity": "product", "owner": "pim", "fallbacks": ["crm"], "others": "hold"},
    {"entity": "product", "locale": "de_DE", "owner": "crm", "fallbacks": ["pim"]},
    {"entity": "product", "field": "slug", "owner": "crm", "others": "newest"},
    {"entity": "product", "field": "brand", "owner": "erp", "others": "fallback",
     "silent_after": 3600},
    {"entity": "variant", "owner": "pim", "fallbacks": ["erp"], "others": "newest"},
    {"entity": "variant", "field": "gtin", "owner": "erp", "others": "hold"},
    {"entity": "variant", "field": "unit", "owner": "erp", "others": "fallback",
     "silent_after": 3600},
    {"entity": "variant", "field": "colour", "owner": "crm", "valid_from": AN_HOUR_AGO},
    {"entity": "price", "owner": "erp", "fallbacks": ["pim"]},
    {"entity": "price", "market": "DE", "owner": "erp", "fallbacks": ["pim"], "others": "hold"},
    {"entity": "price", "market": "US", "owner": "crm", "others": "newest"},
    {"entity": "price", "field": "variant", "owner": "erp"},
    {"entity": "price", "field": "variant", "market": "DE", "owner": "erp"},
    {"entity": "price", "field": "variant", "market": "US", "owner": "erp"},
)  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], ...]] = {
    "none": (), "plain": PLAIN, "rich": RICH, "unguarded": (),
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.merging", description=__doc__
    )
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    services.THROW_AWAY = {}
    services.pytest_addoption(None)  # type: ignore[arg-type]
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, check=True)
    import django

    django.setup()
    sys.exit(report(measured(given.rounds)))


def measured(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each batch, {case: {merge, all: [...]}}."""
    merge_ms = time_merges()
    found: dict[str, dict[str, list[float]]] = {c: {"merge": [], "all": []} for c in CASES}
    version = 1
    for system in SYSTEMS:
        apply(system, version)
        version += 1
    for _ in range(rounds):
        for case, rules in CASES.items():
            set_rules(rules)
            guard(stands=case != "unguarded")
            # the first ones compile, and settle what the rules moved
            for place, system in enumerate((*SYSTEMS, SPEAKER, SPEAKER, SPEAKER)):
                merge_ms.clear()
                began = spent_ms()
                apply(system, version)
                whole = spent_ms() - began
                version += 1
                if place >= len(SYSTEMS):
                    found[case]["merge"].append(merge_ms[0])
                    found[case]["all"].append(whole)
    return found


def time_merges() -> list[float]:
    """What each merge took from now on; the list is filled by the merges."""
    from catalog import stage

    taken: list[float] = []
    merge = stage.merge_touched

    def timed(*given: Any) -> Any:
        began = spent_ms()
        merged = merge(*given)
        taken.append(spent_ms() - began)
        return merged

    stage.merge_touched = timed
    return taken


def spent_ms() -> float:
    """Of the processor, by our session of PostgreSQL; else of the clock."""
    from django.db import connection

    connection.ensure_connection()
    session = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    if session.exists():
        return int(session.read_text().split()[0]) / 1e6
    return time.perf_counter() * 1000


def apply(system: str, version: int) -> None:
    from django.db import transaction

    from catalog.merge import Cause
    from catalog.source import source_id
    from catalog.stage import Contribution, apply_contributions, payload_hash

    sources = {name: source_id(system, name, name) for name in ("product", "variant", "price")}
    said = []
    for number in range(BATCH):
        name = ("product", "variant", "price")[number % 3]
        fields = told(name, number, f"{system} {version}")
        payload = json.dumps(fields).encode()
        key = f"{name}-{number:04}"
        source = sources[name]
        said.append(Contribution(source, key, key, payload, payload_hash(payload), fields, version))
    with transaction.atomic():
        applied = apply_contributions(said, Cause(), entities=list(sources))
    assert applied.stored == BATCH


def told(name: str, number: int, word: str) -> dict[str, Any]:
    """What a system says, different each time in every field that may be."""
    text = {"en_US": f"Tent {word}", "de_DE": f"Zelt {word}", "fr_FR": f"Tente {word}"}
    if name == "product":
        return {"slug": f"tent-{word}", "name": text, "description": text, "brand": word}
    if name == "variant":
        return {
            "product": f"product-{number:04}", "name": text, "gtin": word, "colour": word,
            "size": word, "group": word, "unit": "PC",
        }  # fmt: skip
    return {
        "variant": f"variant-{number:04}", "market": ("DE", "US", "FR")[number // 3 % 3],
        "currency": "EUR", "amount": f"{sum(word.encode())}.90", "valid_from": "2026-01-01",
        "valid_to": None,
    }  # fmt: skip


def set_rules(rules: tuple[dict[str, Any], ...]) -> None:
    from catalog.ownership import OwnershipRule
    from catalog.rule_checks import check_all

    OwnershipRule.objects.all().delete()
    check_all(OwnershipRule.objects.bulk_create(OwnershipRule(**values) for values in rules))


def guard(*, stands: bool) -> None:
    from django.db import connection

    from catalog.entities import entities
    from catalog.guard import TRIGGER

    word = "ENABLE" if stands else "DISABLE"
    with connection.cursor() as cursor:
        for cls in entities().values():
            cursor.execute(f'ALTER TABLE "{cls._meta.db_table}" {word} TRIGGER {TRIGGER}')


def report(found: dict[str, dict[str, list[float]]]) -> int:
    """Print it; 1 where the bar is missed."""
    print(
        f"\n  {'1,000 contributions':<22}{'merge, best':>14}{'median':>10}{'all, best':>12}{'x':>8}"
    )
    base = min(found["none"]["merge"])
    figures: dict[str, Any] = {}
    for case, times in found.items():
        best, usual, whole = min(times["merge"]), median(times["merge"]), min(times["all"])
        ratio = best / base
        figures[case] = {
            "merge_ms": round(best, 1), "merge_median_ms": round(usual, 1),
            "all_ms": round(whole, 1), "ratio": round(ratio, 3),
        }  # fmt: skip
        print(f"  {case:<22}{best:>11.1f} ms{usual:>7.1f} ms{whole:>9.1f} ms{ratio:>8.2f}")
    guard_costs = base / min(found["unguarded"]["merge"])
    met = figures["rich"]["ratio"] <= BAR and guard_costs <= GUARD_BAR
    print(
        f"  rich rules cost {figures['rich']['ratio']:.2f} times none (bar {BAR}); the guard"
        f" {guard_costs:.3f} times nothing (bar {GUARD_BAR}): {'met' if met else 'MISSED'}"
    )
    print(json.dumps({"bar": BAR, "met": met, "guard": round(guard_costs, 3), **figures}))
    return 0 if met else 1


if __name__ == "__main__":
    main()
