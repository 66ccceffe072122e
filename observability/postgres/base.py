"""Whether a kept connection still stands is looked at, and not asked.

Django asks `SELECT 1` before each request, which is a trip to the server. Whoever ends a connection
closes it, or says why first; both can be read from the socket. A machine that vanished without a word
is noticed no later than by a question, which would not be answered either.
"""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's own."""

    def is_usable(self) -> bool:
        """See Django's."""
        link = self.connection
        if link is None or link.closed:
            return False
        waiting = select.poll()
        waiting.register(link.fileno(), select.POLLIN)
        return not waiting.poll(0)
