"""Posts prepared requests over some connections, as fast as they are answered."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence


def send_all(port: int, requests: Sequence[bytes], connections: int) -> float:
    """Seconds until every request was answered with 202. Raises RuntimeError for another answer."""
    selector = selectors.DefaultSelector()
    waiting = iter(requests)
    began = time.perf_counter()
    open_sockets = 0
    for _ in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(next(waiting))
        selector.register(link, selectors.EVENT_READ)
        open_sockets += 1
    while open_sockets:
        for key, _ in selector.select():
            link = key.fileobj
            assert isinstance(link, socket.socket)
            answer = link.recv(65536)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(f"answered {answer[:200]!r}")
            following = next(waiting, None)
            if following is None:
                selector.unregister(link)
                link.close()
                open_sockets -= 1
            else:
                link.sendall(following)
    return time.perf_counter() - began
