"""Records read the fast way are what Pydantic would have read, for every contract there is."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, field_validator

from connectors.runtime.connector import connector_class
from connectors.runtime.declare import Contract
from connectors.runtime.reading import Reader, UnknownHereError, made_of
from tests import catalogue

RECORDS: dict[tuple[str, str], dict[str, Any]] = {
    ("akeneo", "categories"): catalogue.CATEGORIES[0],
    ("akeneo", "products"): catalogue.model(1),
    ("akeneo", "variants"): catalogue.variant("P-1-01"),
    ("sap", "products"): catalogue.article("P-1-01"),
    ("sap", "prices"): catalogue.prices("P-1-01")[0],
    ("sap", "orders"): catalogue.ORDER,
    ("sap", "customers"): catalogue.PARTNER,
    ("sap", "stock"): {"Material": "P", "Plant": "1010", "MatlWrhsStkQtyInMatlBaseUnit": "3.000"},
    ("salesforce", "accounts"): catalogue.ACCOUNT,
    ("salesforce", "contacts"): {
        **dict.fromkeys(("FirstName", "Email")), "LastName": "L", "Id": "003", "IsDeleted": False,
        "Account": {"AccountNumber": "1"}, "SystemModstamp": "2026-02-01T00:00:00.000+0000",
    },
    ("salesforce", "reviews"): catalogue.review("a01", 4),
    ("stripe", "payments"): catalogue.PAYMENT,
    ("stripe", "accounts"): {"id": "cus_1", "created": 1, "metadata": {}},
    ("stripe", "refunds"): catalogue.REFUND,
    ("stripe", "payouts"): catalogue.PAYOUT,
    ("wms", "stock"): catalogue.stock("P-1-01")[0],
}  # fmt: skip
CONTRACTS = {key: connector_class(key[0]).stream(key[1]).contract for key in RECORDS}
#: Values that readers of JSON have disagreed about.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 1e3, 10**25, "", " ", "1", "1.50", " 1 ", "1_000",
    "NaN", "-Infinity", "sNaN", "1e400", "1e5", "x" * 41, "x" * 40, "é" * 40, "a\x00b", "true",
    "2026-02-01", "2026-02-01T00:00:00", "2026-02-01T00:00:00Z", "2026-02-01 00:00:00+05:30",
    "2026-02-01T24:00:00Z", "/Date(1767225600000)/", "/Date(-1+0100)/", "/Date(x)/",
    "/Date(253402214400000)/", "/Date(99999999999999999)/", "PT15H55M42S", "PT", "PT99H", "12:30:00",
    1767225600, [], ["1"], {}, {"results": []}, {"results": None}, {"results": [{}]}, [None], [[]],
]  # fmt: skip


def plain(record: Any) -> Any:
    """A record as what it says, whichever class reads it."""
    if isinstance(record, BaseModel):
        return {name: plain(getattr(record, name)) for name in type(record).model_fields}
    if hasattr(record, "__struct_fields__"):
        return {name: plain(getattr(record, name)) for name in record.__struct_fields__}
    if isinstance(record, list):
        return [plain(one) for one in record]
    # 1 == True == 1.0: what type it is counts too. A zone is compared by its offset.
    kind = datetime if isinstance(record, datetime) else type(record)
    return kind, record, record.utcoffset() if isinstance(record, datetime) else None


def outcome(read: Any, raw: bytes) -> Any:
    try:
        return plain(read(raw))
    except ValidationError as error:
        return [(e["loc"], e["type"]) for e in error.errors()]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all members and items."""
    found = []
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in inside:
        found.append((*path, name))
        if isinstance(one, dict | list):
            found += places(one, (*path, name))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> tuple[tuple[str, str], bytes]:
    """A record with up to three members replaced or left out."""
    key = draw(st.sampled_from(sorted(RECORDS)))
    record = deepcopy(RECORDS[key])
    for _ in range(draw(st.integers(1, 3))):
        found = places(record)
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        at: Any = record
        for step in way:
            at = at[step]
        if draw(st.booleans()) or isinstance(at, list):
            # A copy: the next round may damage what this one has put there.
            at[last] = deepcopy(draw(st.sampled_from(ODD)))
        else:
            del at[last]
    return key, json.dumps(record).encode()


@given(damaged())
def test_the_fast_reader_says_what_pydantic_says(case: tuple[tuple[str, str], bytes]) -> None:
    key, raw = case
    assert outcome(Reader(CONTRACTS[key]).one, raw) == outcome(
        CONTRACTS[key].model_validate_json, raw
    )


@pytest.mark.parametrize("key", RECORDS, ids="/".join)
def test_every_odd_value_in_every_member(key: tuple[str, str]) -> None:
    reader, contract = Reader(CONTRACTS[key]), CONTRACTS[key]
    for *way, last in places(RECORDS[key]):
        for odd in ODD:
            record = deepcopy(RECORDS[key])
            at: Any = record
            for step in way:
                at = at[step]
            at[last] = odd
            raw = json.dumps(record).encode()
            expected = outcome(contract.model_validate_json, raw)
            assert outcome(reader.one, raw) == expected, (way, last, odd)


def test_all_but_contracts_with_validators_are_read_fast() -> None:
    slow = {key for key, contract in CONTRACTS.items() if not fast(contract)}
    assert slow == {("stripe", "payments")}


def fast(contract: type[Contract]) -> bool:
    try:
        made_of(contract)
    except UnknownHereError:
        return False
    return True


class Amount(Contract):
    amount: Decimal


class Lines(Contract):
    lines: list[Amount]


def test_a_page_with_one_broken_record_is_read_one_by_one() -> None:
    reader = Reader(Lines)
    good, bad = b'{"lines": [{"amount": "1.5"}]}', b'{"lines": [{"amount": "NaN"}]}'
    read = reader.page([good, good])
    assert read is not None
    assert [one.lines[0].amount for one in read] == [Decimal("1.5")] * 2
    assert reader.page([good, bad]) is None
    assert reader.one(good).lines[0].amount == Decimal("1.5")
    with pytest.raises(ValidationError, match="finite"):
        reader.one(bad)


@pytest.mark.parametrize("raw", [b"", b"1,2", b'{"lines": []},{"lines": []}', b"[", b"\xff", b"]["])
def test_what_is_no_json_value_breaks_its_own_record_alone(raw: bytes) -> None:
    reader = Reader(Lines)
    assert reader.page([raw, b'{"lines": []}']) is None
    with pytest.raises(ValidationError):
        reader.one(raw)


def test_amounts_that_cancel_out_are_still_seen() -> None:
    reader = Reader(Amount)
    assert reader.page([b'{"amount": 1e400}', b'{"amount": -1e400}']) is None
    assert reader.page([b'{"amount": "Infinity"}', b'{"amount": "-Infinity"}']) is None


def test_a_decimal_in_a_json_number_keeps_its_digits() -> None:
    """Pydantic takes it by way of binary floating point."""
    assert Reader(Amount).one(b'{"amount": 1234567890123456.789}').amount == Decimal(
        "1234567890123456.789"
    )


class Validated(Contract):
    name: str

    @field_validator("name")
    @classmethod
    def upper(cls, value: str) -> str:
        return value.upper()


class Named(Contract):
    name: str

    @property
    def short(self) -> str:
        return self.name[:1]


class Aliased(Contract):
    kind: str | None = Field(default=None, alias="class")


class Limited(Contract):
    name: Annotated[str, Field(min_length=2)]


class Either(Contract):
    name: int | str


@pytest.mark.parametrize("contract", [Validated, Named, Aliased, Limited, Either])
def test_what_only_pydantic_can_read_is_left_to_it(contract: type[Contract]) -> None:
    assert not fast(contract)
    raw = b'{"name": "abc", "class": "x"}'
    assert Reader(contract).page([raw]) is None
    assert Reader(contract).one(raw) == contract.model_validate_json(raw)


def test_values_are_converted_however_deep_they_lie() -> None:
    spec = connector_class("sap").stream("orders")
    (read,) = Reader(spec.contract).page([json.dumps(catalogue.ORDER).encode()]) or [None]
    assert read is not None
    assert read.CreationDate == datetime(2026, 1, 1, tzinfo=UTC)
    assert read.to_Item.results[0].NetAmount == Decimal("259.80")
