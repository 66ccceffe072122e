"""Where Django looks for this floor's tables; each is defined in the module of its subject."""

from catalog.conflict_counts import ConflictCount
from catalog.conflicts import Conflict
from catalog.due import MergeDue
from catalog.entities import (
    Bid,
    Category,
    Customer,
    Lot,
    Order,
    OrderLine,
    Payment,
    Price,
    Product,
    Review,
    Stock,
    Variant,
)
from catalog.held import HeldValue
from catalog.history import Revision
from catalog.labels import LabelPosition, RecordLabel
from catalog.matching.models import MatchCandidate, MatchPosition, SameAs
from catalog.notices import ChangeNotice
from catalog.overrides import Override
from catalog.ownership import OwnershipRule
from catalog.rule_changes import RuleChange
from catalog.source import Source, SourceRecord
from catalog.suppression import Pepper, Suppression

__all__ = [
    "Bid",
    "Category",
    "ChangeNotice",
    "Conflict",
    "ConflictCount",
    "Customer",
    "HeldValue",
    "LabelPosition",
    "Lot",
    "MatchCandidate",
    "MatchPosition",
    "MergeDue",
    "Order",
    "OrderLine",
    "Override",
    "OwnershipRule",
    "Payment",
    "Pepper",
    "Price",
    "Product",
    "RecordLabel",
    "Review",
    "Revision",
    "RuleChange",
    "SameAs",
    "Source",
    "SourceRecord",
    "Stock",
    "Suppression",
    "Variant",
]
