"""Stands for the peer's web server: a line of JSON is an event, its id comes back when it is queued."""

from __future__ import annotations

import json
import sys


def main() -> None:
    import django

    django.setup()
    from django_q.tasks import async_task

    for line in sys.stdin:
        told = json.loads(line)
        async_task("tests.faults.peer.tasks.apply", *told)
        print(told[0], flush=True)


if __name__ == "__main__":
    main()
