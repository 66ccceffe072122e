"""Why an operation is left to Graphene."""

from __future__ import annotations


class LeftToGrapheneError(Exception):
    """This request is not answered here: its input is wrong, and Graphene says how."""


class NotCompiledError(LeftToGrapheneError):
    """No request of this shape can be answered here; the reason is counted and listed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
