"""The ownership matrix and `manage.py ownership`: what the rules say, and what systems supply."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from catalog.entities import Variant
from catalog.ownership import OwnershipRule
from catalog.rule_changes import RuleChange
from catalog.source import source_id
from hub.console.matrix import Line, blocks
from tests import catalogue

pytestmark = pytest.mark.django_db


def line(entity: str, label: str, scope: str = "") -> tuple[Line, list[str]]:
    block = next(block for block in blocks() if block.name == entity)
    lines = [one for one in block.lines if one.label or one.scope]
    places = [place for place, one in enumerate(lines) if one.label == label and not one.scope]
    place = places[0]
    while scope and lines[place].scope != scope:
        place += 1
        assert not lines[place].label, f"{label} has no rule for {scope}"
    return lines[place], block.systems


def test_it_says_who_may_and_who_does() -> None:
    catalogue.fill(2)
    OwnershipRule.objects.create(entity="price", field="amount", market="US", owner="akeneo")
    source_id("akeneo", "prices", "price")
    gtin, systems = line("variant", "gtin")
    cells = dict(zip(systems, gtin.cells, strict=True))
    assert [(cells[s].role, cells[s].supplies, cells[s].says) for s in ("sap", "akeneo")] == [
        ("owner", 100, 100), ("fallback", None, 100)
    ]  # fmt: skip
    assert gtin.others == "rejected"
    narrowed, systems = line("price", "amount", "US")
    assert dict(zip(systems, [c.role for c in narrowed.cells], strict=True)) == {
        "sap": "", "akeneo": "owner"
    }  # fmt: skip
    OwnershipRule.objects.filter(entity="stock").delete()
    opened, _ = line("stock", "available")
    assert (opened.rule, opened.others) == (None, "first come")


def test_the_page_is_for_whoever_sees_the_rules(client: Client) -> None:
    catalogue.fill(1)
    OwnershipRule.objects.create(
        entity="product", locale="de_DE", owner="akeneo", others="hold",
        valid_from=Now() + timedelta(days=1),
    )  # fmt: skip
    client.force_login(User.objects.create_user("visitor", is_staff=True))
    assert client.get(reverse("matrix")).status_code == 403
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    page = client.get(reverse("matrix")).content.decode()
    assert 'id="variant"' in page
    assert "Not in force now:" in page
    assert "product.*, locale de_DE, from " in page
    assert reverse("matrix") in client.get(reverse("admin:index")).content.decode()


def test_a_rule_is_changed_from_the_shell_after_a_look() -> None:
    catalogue.fill(2)
    said = io.StringIO()
    wanted = ("ownership", "set", "variant", "akeneo", "--field", "gtin", "--fallbacks", "sap")
    call_command(*wanted, stdout=said)
    assert "4 of 4 records would have another value" in said.getvalue()
    assert "P-1-01  gtin: 4006381333931 -> 0000000000000" in said.getvalue()
    assert not RuleChange.objects.exists()
    call_command(*wanted, "--yes", "--by", "grace", stdout=said)
    change = RuleChange.objects.get()
    assert (change.by, change.kind, change.expected) == ("grace", "changed", 4)
    call_command("ownership", "apply", stdout=said)
    assert set(Variant.objects.values_list("gtin", flat=True)) == {"0000000000000"}
    call_command("ownership", "history", stdout=said)
    assert "changed by grace: done, 4 of 4 looked at, 4 changed" in said.getvalue()
    number = str(change.rule_id)
    call_command("ownership", "remove", number, "--yes", stdout=said)
    call_command("ownership", "list", stdout=said)
    assert not OwnershipRule.objects.filter(pk=change.rule_id).exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("set", "lorry", "sap"), "entity: No entity 'lorry'. There are:"),
        (("set", "price", "oracle"), "owner: No system 'oracle'."),
        (("set", "price", "sap", "--market", "ATLANTIS"), "market: No market 'ATLANTIS'. Known"),
        (("set", "price", "sap", "--from", "tomorrow"), "--from 'tomorrow' is no time"),
        (("set", "price", "sap", "--to", "2026-12-01T00:00:00"), "with its zone"),
        (("remove", "0"), "No rule 0; `manage.py ownership list` shows them."),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(wrong: tuple[str, ...], said: str) -> None:
    catalogue.connect()
    source_id("sap", "prices", "price")
    with pytest.raises(CommandError, match=said.replace(".", r"\.").replace("`", ".")):
        call_command("ownership", *wrong, stdout=io.StringIO())
