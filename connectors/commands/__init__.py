"""Writes that callers ask for: accepted once, carried out exactly once, seen until they are confirmed.

declare      what an operation is: its steps over systems
accepting    a caller's key and body become a command, in one statement
carrying     the steps of a command, from wherever it stands
operations   one module for each family; found by folder
"""

from connectors.commands.accepting import Accepted, Kind, accept
from connectors.commands.carrying import carry_out, leave

__all__ = ["Accepted", "Kind", "accept", "carry_out", "leave"]
