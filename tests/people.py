"""One person whose data lie wherever the hub keeps any: what masking covers and an erasure finds."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db.models.functions import Now

from catalog import labels
from catalog.matching import merging
from catalog.ownership import OwnershipRule
from connectors.models import (
    Command,
    CommandStep,
    Connection,
    InboxEvent,
    MemberChange,
    OutboxCommand,
    QuarantinedRecord,
    Stream,
)
from connectors.runtime import connector
from connectors.runtime.connect import connect
from connectors.runtime.connector import register
from connectors.runtime.declare import Contract, StreamSpec
from observability import incidents
from tests import console_demo

NUMBER, ALIAS, OTHER = "C-4711", "crm:0815", "C-9999"
#: In every personal value of hers, and nowhere else.
CANARY = "Kanarienvogel"


def said(what: str) -> str:
    """A value of hers that can be told from all others."""
    return f"{CANARY}-{what}"


class Account(Contract):
    """A person in a system."""

    Id: str
    Number: str
    Name: str
    Email: str | None = None
    Phone: str | None = None
    Country: str | None = None


class Bill(Contract):
    """An order of a person."""

    Bill: str
    Buyer: str
    State: str


FIELDS = {"name": "Name", "email": "Email", "phone": "Phone", "country": "Country"}


class Crm(console_demo.Erp):
    """Knows people, and what they bought."""

    slug = "demo-crm"
    label = "Demo CRM"
    Settings: ClassVar[type[connector.Settings]] = connector.Settings
    streams: ClassVar[tuple[StreamSpec, ...]] = (
        StreamSpec(
            slug="accounts",
            entity="customer",
            contract=Account,
            record_key=("Id",),
            entity_key=lambda r: r.Number,
            fields=FIELDS,
            keeps=("Number",),
        ),
        StreamSpec(
            slug="bills",
            entity="order",
            contract=Bill,
            record_key=("Bill",),
            entity_key=lambda r: r.Bill,
            fields={"customer": "Buyer", "status": "State"},
        ),
    )


register(Crm)


def account(key: str, number: str, mark: str, **more: Any) -> dict[str, Any]:
    """A record of the CRM about her, with a member that nobody maps."""
    return {
        "Id": key, "Number": number, "Name": said(f"name-{mark}"), "Email": said(f"mail-{mark}@x.test"),
        "Phone": said(f"phone-{mark}"), "Country": "DE", "Memo": said(f"memo-{mark}"), **more,
    }  # fmt: skip


#: What she is called where nobody else's data are wanted.
NEIGHBOUR = {
    "Id": "9", "Number": OTHER, "Name": "Nina Nachbar", "Email": "nina@x.test", "Phone": "1",
    "Country": "DE",
}  # fmt: skip


def fill() -> None:
    """Two systems speak about her, differ, and she was merged with a record of another key."""
    OwnershipRule.objects.create(entity="customer", field="", owner="crm", fallbacks=["shop"],
                                 reason="The CRM knows people.")  # fmt: skip
    connect("crm", "demo-crm", "http://crm.test", {})
    connect("shop", "demo-crm", "http://shop.test", {})
    console_demo.say("crm", "accounts", [account("1", NUMBER, "first"), NEIGHBOUR])
    console_demo.say("crm", "accounts", [account("1", NUMBER, "second")])
    console_demo.say(
        "shop", "accounts", [account("7", NUMBER, "shop"), account("8", ALIAS, "alias")]
    )
    console_demo.say("crm", "bills", [{"Bill": "B-1", "Buyer": NUMBER, "State": "open",
                                       "ShipTo": said("street")}])  # fmt: skip
    merging.merge("customer", ALIAS, NUMBER, by="ola", reason="the same person")
    labels.follow()
    fill_boxes()


def fill_boxes() -> None:
    """What came about her and failed, what is told about her, and what is evidence of drift."""
    crm = Connection.objects.get(slug="crm")
    accounts = Stream.objects.get(connection=crm, slug="accounts")
    text = json.dumps(account("1", NUMBER, "boxed"))
    failure = f"Phone: Input should be shorter (came: '{said('error')}')"
    InboxEvent.objects.create(
        connection=crm, event_id="e-1", kind="account.changed", stream="accounts", record_key="1",
        body=json.dumps({"data": {"object": json.loads(text)}}).encode(), record=text.encode(),
        state="dead", finished_at=Now(), error_code="contract", error=failure,
        errors=[{"attempt": 1, "at": "2026-01-01T00:00:00+00:00", "code": "contract",
                 "error": failure}],
    )  # fmt: skip
    OutboxCommand.objects.create(
        connection=crm, target=f"connection/{crm.pk}", kind="customer.update", stream="accounts",
        record_key="1", idempotency_key="k-1", body=text.encode(), state="dead", finished_at=Now(),
        reply=said("reply"),
    )  # fmt: skip
    QuarantinedRecord.objects.create(
        stream=accounts, record_key="1", payload=text, path="Phone", reason=failure, contract="1"
    )
    MemberChange.objects.create(
        stream=accounts, path="Nickname", change="appeared", records=1, first_record="1",
        last_record="1", values={"1": said("nick"), "9": "Nini"},
    )  # fmt: skip
    incidents.find(
        "contract_drift", "crm", "Phone is of another type", stream="accounts", subject="Phone",
        cause="Input should be a string",
        details={"path": "Phone", "records": 1, "read": 1, "share": 1.0, "feeds": ["customer.phone"],
                 "first": {"record": "1", "at": "2026-01-01T00:00:00+00:00"},
                 "before": {"record": "1", "value": said("before")},
                 "after": {"record": "1", "value": said("after")}},
    )  # fmt: skip
    command = Command.objects.create(
        reference="cmd_1", operation="customer.update", caller="shop", idempotency_key="i-1",
        fingerprint="f", params={"number": NUMBER, "name": said("param")}, deadline_at=Now(),
        state="failed", status=422, finished_at=Now(), problem={"detail": f"no '{said('problem')}'"},
        error=f"refused '{said('step')}'",
    )  # fmt: skip
    CommandStep.objects.create(
        command=command, name="update", kind="write", state="failed", connection=crm,
        stream="accounts", record_key="1", started_at=Now(), body=text, result={"said": said("result")},
        error=f"refused '{said('step')}'",
    )  # fmt: skip
