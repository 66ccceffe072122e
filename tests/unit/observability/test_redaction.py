"""What is masked, and what stays readable."""

from __future__ import annotations

import pytest

from observability.redaction import MASK, redact_text, remember, scrub_text, scrubbed


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
        ("key hw_0123456789ab_Zm9vYmFyYmF6cXV4MTIzNA was used", "Zm9vYmFyYmF6cXV4MTIzNA"),
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln", "eyJzdWIiOiJhZGEifQ"),
        ("postgresql://hub:pa55@db/x", "pa55"),
        ("{'client_secret': 'abc-123'}", "abc-123"),
        ("?X-Api-Key=abc&y=1", "abc"),
        ("whsec_MfKQ9r8GKYqr", "MfKQ9r8GKYqr"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert MASK in redact_text(text)


def test_a_secret_that_the_process_has_is_masked_wherever_it_stands() -> None:
    told = "the user HEADWATER with correct-horse-7 may not"
    assert redact_text(told) == told
    remember(["correct-horse-7", "HUB"])
    assert redact_text(told) == f"the user HEADWATER with {MASK} may not"
    assert redact_text("HUB") == "HUB"  # too short to be told from a word


@pytest.mark.parametrize(
    "personal",
    ["ada@example.com", "+49 (0)170 123-4567", "030 1234567", "0170/1234567", "4242424242424242",
     "5555 5555 5555 4444"],
)  # fmt: skip
def test_data_about_people_is_known_by_its_form(personal: str) -> None:
    assert scrub_text(f"customer <{personal}>, please") == f"customer <{MASK}>, please"


@pytest.mark.parametrize(
    "harmless",
    ["2026-11-21 17:10:03.123", "4bf92f3577b34da6a3ce929d0e0e4736", "order 4500000017 of 0000000001",
     "run #123456789012", "127.0.0.1:8000", "4242424242424243", "sap.products/0010-2026-001"],
)  # fmt: skip
def test_numbers_that_are_no_persons_stay(harmless: str) -> None:
    assert scrub_text(harmless) == harmless


def test_declared_fields_are_masked_by_their_name_in_whatever_they_stand() -> None:
    said = {"rows": [{"last_name": "Lovelace", "country": "GB"}], "phone": 4917012345}
    assert scrubbed("", said) == {"rows": [{"last_name": MASK, "country": "GB"}], "phone": MASK}
