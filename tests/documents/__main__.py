"""`python -m tests.documents --documents 50000 --seed 7`: exits with 1 at the first difference."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict

from tests import services


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.documents", description=__doc__)
    options.add_argument("--documents", type=int, default=50_000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    # The shop has rows that nobody wants in a database of theirs.
    for named in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(named, None)
    services.pytest_addoption(None)  # type: ignore[arg-type]
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from hub.reads.pool import on_pool
    from tests.documents import compare, shop

    shop.open_shop()
    started = time.monotonic()
    # As the web process does: prepared, on connections of its own.
    tally = compare.run(given.documents, given.seed, on_pool)
    told = {**asdict(tally), "seed": given.seed, "seconds": round(time.monotonic() - started)}
    for difference in told.pop("differences"):
        print(difference)
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
