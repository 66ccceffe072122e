"""Connects the benchmark's upstream and prints an API key that reads it."""

from __future__ import annotations

import os
import sys


def main(secret: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
    import django

    django.setup()
    from connectors.models import Stream
    from connectors.runtime.connect import connect
    from hub.auth.keys import issue_key

    connect("bench", "bench", "http://127.0.0.1:9", {"webhook_secret": secret})
    # Nothing is pulled here.
    Stream.objects.update(enabled=False)
    print(issue_key("benchmark"))


if __name__ == "__main__":
    main(sys.argv[1])
