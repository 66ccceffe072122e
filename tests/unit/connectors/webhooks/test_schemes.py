"""Signatures: who is let in, and that nobody else is."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import pytest
import standardwebhooks
import stripe

from connectors.webhooks.declare import Delivery, SignatureError
from connectors.webhooks.schemes import (
    MOST_SIGNATURES,
    ContentfulScheme,
    SanityScheme,
    StandardScheme,
    StripeScheme,
    standard_signature,
)
from tests.unit.connectors.webhooks.senders import ID, NOW, PATH, SENDERS, Sender

BODY = '{"id": "evt_1", "name": "Größe 42", "price": 12.30}'

all_senders = pytest.mark.parametrize("sender", SENDERS, ids=lambda s: s.name)
timed_senders = pytest.mark.parametrize(
    "sender", [s for s in SENDERS if s.timed], ids=lambda s: s.name
)


def refusal(sender: Sender, delivery: Delivery, *secrets: str, now: float = NOW) -> str:
    """The code with which a delivery is refused."""
    with pytest.raises(SignatureError) as caught:
        sender.scheme.verify(delivery, secrets or sender.secrets, now)
    return caught.value.code


def with_headers(delivery: Delivery, **headers: str) -> Delivery:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(delivery, headers={**delivery.headers, **changed})


@all_senders
def test_what_a_vendor_signed_is_accepted_and_its_json_written_anew_is_not(sender: Sender) -> None:
    delivery = sender.delivery(BODY)
    sender.scheme.verify(delivery, sender.secrets[:1], NOW)
    same = json.dumps(json.loads(delivery.body)).encode()
    assert refusal(sender, replace(delivery, body=same)) == "signature.wrong"


@all_senders
def test_while_a_secret_is_rotated_both_are_good_and_the_retired_one_is_not(sender: Sender) -> None:
    new, old = sender.secrets
    for live in ((new, old), (old, new)):
        sender.scheme.verify(sender.delivery(BODY, secret=old), live, NOW)
        sender.scheme.verify(sender.delivery(BODY, secret=new), live, NOW)
    assert refusal(sender, sender.delivery(BODY, secret=old), new) == "signature.wrong"


@pytest.mark.parametrize("name", ["stripe", "standard"])
def test_a_sender_that_signs_with_both_secrets_is_let_in_by_either(name: str) -> None:
    sender = next(s for s in SENDERS if s.name == name)
    new, old = (sender.delivery(BODY, secret=secret).headers for secret in sender.secrets)
    if name == "stripe":
        _, _, second = old["stripe-signature"].partition(",")
        both = {"stripe-signature": f"{new['stripe-signature']},{second},v0=6ffbb59b2300aae6"}
    else:
        signatures = f"v1a,aGVsbG8= {new['webhook-signature']} {old['webhook-signature']}"
        both = {**new, "webhook-signature": signatures}
    delivery = Delivery("POST", PATH, both, BODY.encode())
    for secret in sender.secrets:
        sender.scheme.verify(delivery, [secret], NOW)
    assert refusal(sender, delivery, "whsec_c29tZWJvZHkgZWxzZQ==") == "signature.wrong"


@timed_senders
def test_five_minutes_are_tolerated_in_both_directions_and_no_more(sender: Sender) -> None:
    delivery = sender.delivery(BODY)
    for seconds in (-300, 0, 300):
        sender.scheme.verify(delivery, sender.secrets, NOW + seconds)
    for seconds in (-301, 301, -(10**9), 10**9):
        assert refusal(sender, delivery, now=NOW + seconds) == "signature.expired"


@all_senders
def test_the_reason_says_what_is_wrong_with_a_delivery(sender: Sender) -> None:
    good = sender.delivery(BODY)
    for name in good.headers:
        rest = {n: value for n, value in good.headers.items() if n != name}
        assert refusal(sender, replace(good, headers=rest)) == "signature.missing"
        assert refusal(sender, with_headers(good, **{name: "x" * 5000})) == "signature.malformed"
    assert refusal(sender, replace(good, body=b"")) == "signature.wrong"
    assert refusal(sender, good, "") == "signature.no_secret"


@all_senders
def test_without_a_secret_nobody_can_sign_with_the_empty_one(sender: Sender) -> None:
    if sender.name == "standard":
        forged = Delivery(
            "POST", PATH, {**sender.delivery(BODY).headers, "webhook-signature": "v1,"}, b"{}"
        )
    else:
        forged = sender.delivery(BODY, secret="")
    for secrets in ([], [""]):
        with pytest.raises(SignatureError) as caught:
            sender.scheme.verify(forged, secrets, NOW)
        assert caught.value.code == "signature.no_secret"


@pytest.mark.parametrize(
    "stamp", ["", "-1", "1e9", "NaN", "1_767_268_800", "١٧٦٧٢٦٨٨٠٠", "9" * 17, "1767268800.0"]
)
def test_a_time_is_plain_digits(stamp: str) -> None:
    sender = SENDERS[1]
    delivery = with_headers(sender.delivery(BODY), webhook_timestamp=stamp)
    assert refusal(sender, delivery) in {"signature.malformed", "signature.missing"}


def test_a_body_that_is_no_text_is_verified_as_it_is() -> None:
    body = bytes(range(256))
    stamp = {"webhook-id": ID, "webhook-timestamp": str(NOW)}
    secret = SENDERS[1].secrets[0]
    signed = standard_signature(ID, NOW, body, [secret])
    delivery = Delivery("POST", PATH, {**stamp, "webhook-signature": signed}, body)
    StandardScheme().verify(delivery, [secret], NOW)
    assert refusal(SENDERS[1], replace(delivery, body=body[:-1])) == "signature.wrong"


def test_one_secret_that_is_no_base64_does_not_lock_the_other_out() -> None:
    sender = SENDERS[1]
    sender.scheme.verify(sender.delivery(BODY), ["whsec_ä!", sender.secrets[0]], NOW)
    assert refusal(sender, sender.delivery(BODY), "whsec_ä!") == "signature.no_secret"


def test_a_secret_without_its_padding_is_the_same_secret() -> None:
    sender = SENDERS[1]
    delivery = sender.delivery(BODY, secret="whsec_c29tZWJvZHkgZWxzZQ==")
    for written in ("whsec_c29tZWJvZHkgZWxzZQ", "c29tZWJvZHkgZWxzZQ=="):
        sender.scheme.verify(delivery, [written], NOW)


def test_many_signatures_are_not_even_looked_at() -> None:
    header = f"t={NOW}" + f",v1={'0' * 64}" * (MOST_SIGNATURES + 1)
    delivery = Delivery("POST", PATH, {"stripe-signature": header}, b"{}")
    assert refusal(SENDERS[0], delivery) == "signature.malformed"


def test_the_vendors_own_verifiers_agree_on_what_is_sent_now() -> None:
    """Both libraries read the clock themselves."""
    now = int(time.time())
    body = '{"id":"evt_1","object":"event"}'
    by_stripe = stripe.WebhookSignature.generate_signature_header(body, "whsec_1", now)
    StripeScheme().verify(
        Delivery("POST", PATH, {"stripe-signature": by_stripe}, body.encode()),
        ["whsec_1"],
        time.time(),
    )
    assert stripe.Webhook.construct_event(body, by_stripe, "whsec_1").id == "evt_1"
    signed = standard_signature("msg_1", now, body.encode(), SENDERS[1].secrets)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signed}
    for secret in SENDERS[1].secrets:
        assert standardwebhooks.Webhook(secret).verify(body, headers) == json.loads(body)


# --- made once by the vendors' own packages -----------------------------------------------------

CONTENTFUL_SECRET = "a" * 10 + "0123456789abcdef" * 3 + "Z" * 6


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        ("/hooks/cms/", "f7fdf39cbe2d866b49d241f0375aca634fd0ce313abf3aff3aa70a089d174122"),
        ("/hooks/cms/?", "f7fdf39cbe2d866b49d241f0375aca634fd0ce313abf3aff3aa70a089d174122"),
        (
            "/hooks/cms/?market=DE&text=a%20b",
            "8a8cab519683c8e3a66e064db89f26136f26be439ec3c106a59071ef1998bb96",
        ),
        (
            "/hooks/cms/?a=1?b=2",
            "f9a6e7ca9b09469221fd4bb0002f3f69f1522c45f518e4533d0c6bcf4c9b4b67",
        ),
        (
            "/hooks/cms/?q=%C3%A9+x",
            "b7e35fc07dcadb1c1cee9960f0b18c4fd6b69a1e66108759078cdba400c692bc",
        ),
    ],
)
def test_contentful_s_own_signatures(path: str, signature: str) -> None:
    """From `signRequest` of @contentful/node-apps-toolkit 3.16.1."""
    headers = {
        "content-type": "application/vnd.contentful.management.v1+json",
        "x-contentful-topic": "ContentManagement.Entry.publish",
        "x-contentful-signed-headers": "content-type,x-contentful-signed-headers,"
        "x-contentful-timestamp,x-contentful-topic",
        "x-contentful-timestamp": "1767268800000",
        "x-contentful-signature": signature,
        "x-forwarded-for": "203.0.113.7",
    }
    delivery = Delivery("POST", path, headers, '{"sys":{"id":"é"}}'.encode())
    ContentfulScheme().verify(delivery, [CONTENTFUL_SECRET], NOW)
    other = with_headers(delivery, x_contentful_topic="ContentManagement.Entry.unpublish")
    for wrong in (other, replace(delivery, path="/hooks/other/"), replace(delivery, method="PUT")):
        with pytest.raises(SignatureError):
            ContentfulScheme().verify(wrong, [CONTENTFUL_SECRET], NOW)


def test_contentful_must_sign_the_time() -> None:
    sender = next(s for s in SENDERS if s.name == "contentful")
    delivery = with_headers(
        sender.delivery(BODY), x_contentful_signed_headers="x-contentful-signed-headers"
    )
    assert refusal(sender, delivery) == "signature.malformed"


def test_sanity_s_own_signature() -> None:
    """From `encodeSignatureHeader` of @sanity/webhook 4.0.4."""
    header = "t=1767268800000,v1=Q2mp0cvXZsPHP9s3YJWBhVyO2_cU5l1D9iIBOBQduvY"
    body = '{"_id":"drafts.é","title":"Größe"}'.encode()
    delivery = Delivery("POST", PATH, {"sanity-webhook-signature": header}, body)
    SanityScheme().verify(delivery, ["secret of sanity"], NOW)


# --- ten thousand forgeries ---------------------------------------------------------------------

#: Blanks and separators are left out where something is put in: around and between the values of
#: a header they say nothing, and what they leave as it was is no forgery.
ODD = [
    *"abcXYZ0189+/-_.=:%\\'\"{}[]()<>&#!?*~^$@|`",
    "\x00", "\x7f", "ä", "€", "\u0661", "\ud800", "\U0001f4a9", "\r\n", "x" * 5000,
]  # fmt: skip


def forged(sender: Sender, luck: random.Random) -> Delivery:
    """A delivery with something changed of what its signature covers, or in the signature."""
    text = json.dumps({"id": luck.randrange(10**9), "text": "ü" * luck.randrange(1, 40)})
    good = sender.delivery(text, NOW + luck.randrange(-200, 200))
    how = luck.randrange(7)
    if how == 0:
        return replace(good, body=edited_bytes(good.body, luck))
    if how == 1:
        stranger = luck.choice(["whsec_c29tZWJvZHkgZWxzZQ==", "whsec_QUJD", "c2hwc3M="])
        return sender.delivery(text, secret=stranger)
    if how == 2:
        # Signatures of the right form, of another message.
        other = sender.delivery(text + " ", NOW + luck.randrange(201, 280))
        return replace(good, headers=other.headers)
    name = luck.choice(sorted(n for n in good.headers if n != "content-type"))
    if how == 3:
        return replace(good, headers={n: v for n, v in good.headers.items() if n != name})
    if how == 4:
        value = "".join(luck.choice([*ODD, *" \t,;"]) for _ in range(luck.randrange(60)))
    else:
        value = edited(good.headers[name], luck)
    return replace(good, headers={**good.headers, name: value})


def edited(value: str, luck: random.Random) -> str:
    while True:
        place, how = luck.randrange(len(value)), luck.randrange(3)
        left, right = value[:place], value[place + (how > 0) :]
        changed = left + (luck.choice(ODD) if how < 2 else "") + right
        if changed != value:
            return changed


def edited_bytes(body: bytes, luck: random.Random) -> bytes:
    place, how = luck.randrange(len(body)), luck.randrange(4)
    if how == 0:
        return body[:place] + bytes([body[place] ^ (1 << luck.randrange(8))]) + body[place + 1 :]
    if how == 1:
        return body[:place] + bytes([luck.randrange(256)]) + body[place:]
    return body[:place] if how == 2 else b""


def test_of_ten_thousand_forgeries_none_is_accepted_and_none_raises_anything_else() -> None:
    luck = random.Random(20_260_101)
    refused: dict[str, int] = {}
    for number in range(10_000):
        sender = SENDERS[number % len(SENDERS)]
        delivery = forged(sender, luck)
        try:
            sender.scheme.verify(delivery, sender.secrets, NOW)
        except SignatureError as error:
            refused[error.code] = refused.get(error.code, 0) + 1
        else:
            pytest.fail(f"{sender.name} accepted {delivery}")
    assert sum(refused.values()) == 10_000
    # The forgeries are of all kinds: no single check caught them all.
    assert min(refused[f"signature.{c}"] for c in ("wrong", "missing", "malformed", "expired")) > 50
