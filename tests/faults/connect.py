"""Run in the house, once: connects the upstream of the harness, and leaves it the floor."""

from __future__ import annotations

import sys


def main(url: str, secret: str) -> None:
    import django

    django.setup()
    from catalog.ownership import OwnershipRule
    from connectors.models import Stream
    from connectors.runtime.connect import connect
    from tests.faults.upstream import SLUG

    connect(SLUG, SLUG, url, {"webhook_secret": secret})
    OwnershipRule.objects.filter(entity="stock").update(owner=SLUG, fallbacks=["wms", "sap"])
    # Nothing is pulled that a scenario did not ask for.
    Stream.objects.update(enabled=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
