"""The catalogue as the hub knew it at an earlier moment, for whoever reads it by SQL.

For every entity the schema `past` has a view of the table's own name. It undoes what history says
came later (`catalog.history`), a row at a time, as rows are read. Inside `knowing` the views stand
before the tables, so whatever reads entities, the answers of both APIs and the console's pages among
them, reads the past with the statements by which it reads the present.

`catalog.past.views` makes them after each `migrate`, from the entities' declarations.
"""

from catalog.past.moments import (
    FutureError,
    Known,
    NotKnownError,
    Standing,
    TooMuchError,
    begins,
    current,
    in_words,
    knowing,
    known_moment,
    standing,
    stood,
)
from catalog.past.paging import page

__all__ = [
    "FutureError",
    "Known",
    "NotKnownError",
    "Standing",
    "TooMuchError",
    "begins",
    "current",
    "in_words",
    "knowing",
    "known_moment",
    "page",
    "standing",
    "stood",
]
