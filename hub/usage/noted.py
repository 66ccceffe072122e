"""What the present request reads: said by whoever answers it, taken once the answer is there.

By thread, because the compiled reads run one request a thread and look nothing up for it.
"""

from __future__ import annotations

import threading

from hub.usage.uses import Uses


class _Present(threading.local):
    uses: Uses | None = None


_present = _Present()


def uses(found: Uses | None) -> None:
    """This request reads that. The last one to say so is the one who answers."""
    _present.uses = found


def taken() -> Uses | None:
    """What was said since it was last taken."""
    found, _present.uses = _present.uses, None
    return found
