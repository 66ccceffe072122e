"""How the interpreter runs while a pull's threads share it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: The storing thread needs the interpreter a few microseconds at a time, to hand PostgreSQL the
#: next statement. At the default of 5 ms it waits for the others longer than for PostgreSQL.
SWITCH_SECONDS = 0.0002
#: A page is some ten thousand objects without a cycle among them, which reference counts free;
#: at the default of 700 the collector looks at them again and again, a sixth of the time.
ALLOCATIONS = 20_000


@contextmanager
def with_threads() -> Iterator[None]:
    """Settings of the whole process, put back at the end."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(ALLOCATIONS, *thresholds[1:])
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
