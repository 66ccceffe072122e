"""Work that runs ahead: an iterator in a thread of its own, a bounded number of items early."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import suppress
from contextvars import copy_context
from typing import Generic, TypeVar

from django.db import connection

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """Hands on what a generator yields in a thread, at most `early` items before they are taken."""

    def __init__(self, items: Generator[Item], early: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | BaseException | None] = queue.Queue(early)
        self._stopped = threading.Event()
        # The correlation id is a context variable: the thread gets the caller's context.
        context = copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._run), daemon=True)
        self._thread.start()

    def take(self, timeout: float | None = None) -> Item | None:
        """The next item; None after the last. Raises what ended the generator.

        Raises queue.Empty when nothing came in `timeout` seconds.
        """
        item = self._queue.get(timeout=timeout)
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """End the thread; waits for the item in hand."""
        self._stopped.set()
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits for it)
            end = error
        finally:
            self._items.close()
            connection.close()
        self._put(end)

    def _put(self, item: Item | BaseException | None) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.5)
                return True
        return False
