"""The WSGI entry point: `granian --interface wsgi hub.wsgi:application`.

What is asked thousands of times a second is answered in front of Django's middleware, whose
sessions, cookies and CSRF checks mean nothing to it. Each such application states and tests its
own authentication and limits; everything else goes to Django.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

_django: WSGIApplication = get_wsgi_application()

# Models can be imported now that Django is set up.
from connectors.webhooks.receive import PREFIX, Receiver  # noqa: E402
from hub import lanes  # noqa: E402
from hub.reads import front  # noqa: E402
from hub.usage import counting  # noqa: E402
from observability import journal, metrics  # noqa: E402

_in_front: tuple[tuple[str, WSGIApplication], ...] = ((PREFIX, Receiver()),)
reads = front.Front(_django)
# At the end the first is written last: it has what the second passes on.
metrics.start()
counting.start()
journal.start()
# What is there by now stays: looking for garbage in it would hold a request up for long.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer by the first part of the path."""
    path = environ["PATH_INFO"]
    if path == front.PATH or path.startswith(front.REST):
        changes = path != front.PATH and environ["REQUEST_METHOD"] in lanes.CHANGING
        if changes:
            return lanes.write(reads, environ, start_response)
        return reads(environ, start_response)
    for prefix, answer in _in_front:
        if path.startswith(prefix):
            return answer(environ, start_response)
    return _django(environ, start_response)
