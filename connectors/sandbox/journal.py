"""The sandbox's memory between two starts: one JSON document a line, appended at each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson


class Journal:
    """A journal belongs to one base world: the first line names it.

    Without a path nothing is kept. A journal of another world is renamed, not lost.
    """

    def __init__(self, path: Path | None, label: str) -> None:
        self._path = path
        self._header = {"world": label}
        self._file: BinaryIO | None = None
        self._held = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Every complete line; a last line that was cut by a crash is dropped."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as lines:
            if _parsed(lines.readline()) != self._header:
                self._path.replace(self._path.with_suffix(".other-world.jsonl"))
                return
            for line in lines:
                parsed = _parsed(line)
                if parsed is not None:
                    yield parsed

    def append(self, line: dict[str, Any]) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._file = self._open(self._path)
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if not self._held:
            self._file.flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is appended inside leaves in one write: a kill leaves all of it, or nothing."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held and self._file is not None:
                self._file.flush()

    def clear(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _open(self, path: Path) -> BinaryIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        if file.tell() == 0:
            file.write(orjson.dumps(self._header, option=orjson.OPT_APPEND_NEWLINE))
        else:
            _end_line(path, file)
        return file


def _end_line(path: Path, file: BinaryIO) -> None:
    """A line that a crash cut must not swallow the next one."""
    with path.open("rb") as written:
        written.seek(-1, 2)
        if written.read(1) != b"\n":
            file.write(b"\n")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
