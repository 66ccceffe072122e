"""Names for Python: of a vendor's member as an attribute, of a vendor's type as a class."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection

from connectors.runtime.declare import Contract

#: What generated modules import. A member of that name would hide it from the annotations.
IMPORTED = frozenset(
    [
        "Annotated",
        "Any",
        "AwareDatetime",
        "Boolean",
        "ClassVar",
        "Contract",
        "Decimal",
        "Deferred",
        "Field",
        "Integer",
        "Literal",
        "Number",
        "ODataClock",
        "ODataMoment",
        "RootModel",
        "UUID",
        "bool",
        "date",
        "datetime",
        "dict",
        "float",
        "int",
        "list",
        "str",
        "time",
        "timedelta",
    ]
)
TAKEN = IMPORTED | frozenset(dir(Contract))


def attribute(name: str) -> str:
    """The attribute of a member: the vendor's own name wherever Python and Pydantic allow it."""
    legal = re.sub(r"\W", "_", name).lstrip("_")
    if not legal or legal[0].isdigit():
        legal = f"field_{legal}"
    return f"{legal}_" if legal in TAKEN or keyword.iskeyword(legal) else legal


def class_name(name: str, taken: Collection[str]) -> str:
    """A class for a type: the vendor's own name if it begins with a capital, else in camel case."""
    plain = re.sub(r"\W", "_", name)
    if plain.isidentifier() and plain[0].isupper():
        made = plain
    else:
        words = re.split(r"[^A-Za-z0-9]+", name)
        made = "".join(word[:1].upper() + word[1:] for word in words) or "Record"
        made = f"T{made}" if made[0].isdigit() else made
    if made in TAKEN or keyword.iskeyword(made):
        made += "Record"
    # A member that is called like a class would hide it; two types may differ in case alone.
    if made in taken:
        made += "Record"
    number, wished = 2, made
    while made in taken:
        made, number = f"{wished}{number}", number + 1
    return made
