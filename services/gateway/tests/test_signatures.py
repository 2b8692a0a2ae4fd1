"""The signatures of senders: which of them are right, and how each wrong request is refused."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.datastructures import Headers

from edugraph_common.runtime.service.problems import Refusal
from edugraph_gateway.auth.signatures import claim_of, is_signed
from edugraph_gateway.settings import GatewaySettings, SignedSender

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
# The vector in the tests of the specification's own libraries (github.com/standard-webhooks/standard-webhooks).
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_BODY = b'{"test": 2432232314}'
PUBLISHED_SECONDS = 1_614_265_330
PUBLISHED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PUBLISHED_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = '{"records": [{"text": "é 分数"}]}'.encode()

Pairs = list[tuple[str, str]]


def key_of(number: int) -> bytes:
    return hashlib.sha256(f"key {number}".encode()).digest()


def standard(*numbers: int) -> SignedSender:
    secrets = [f"whsec_{base64.b64encode(key_of(number)).decode()}" for number in numbers]
    return SignedSender.model_validate({"scheme": "standard", "secrets": secrets})


def plain(header: str, encoding: str, prefix: str = "") -> SignedSender:
    return SignedSender.model_validate(
        {
            "scheme": "hmac",
            "secrets": ["a secret of this test"],
            "header": header,
            "encoding": encoding,
            "prefix": prefix,
        }
    )


def standard_headers(
    body: bytes, *numbers: int, seconds: int | None = None, message_id: str = "msg_1"
) -> dict[str, str]:
    """Return the headers of a request that is signed by the keys of these numbers."""
    if seconds is None:
        seconds = int(NOW.timestamp())
    signatures = []
    for number in numbers:
        content = f"{message_id}.{seconds}.".encode() + body
        digest = hmac.new(key_of(number), content, hashlib.sha256).digest()
        signatures.append(f"v1,{base64.b64encode(digest).decode()}")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }


def pairs_of(headers: Mapping[str, str]) -> Pairs:
    return list(headers.items())


def is_right(sender: SignedSender, pairs: Pairs, body: bytes = BODY, now: datetime = NOW) -> bool:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    return is_signed(sender, claim_of(sender, Headers(raw=raw), now), body)


def test_the_published_vector_of_standard_webhooks_is_right() -> None:
    """Out: the id, the time or a full stop in `before`; `whsec_` as a part of the key."""
    for secret in (PUBLISHED_SECRET, PUBLISHED_SECRET.removeprefix("whsec_")):
        sender = SignedSender.model_validate({"scheme": "standard", "secrets": [secret]})
        headers = {
            "Webhook-Id": PUBLISHED_ID,
            "Webhook-Timestamp": str(PUBLISHED_SECONDS),
            "Webhook-Signature": PUBLISHED_SIGNATURE,
        }
        at = datetime.fromtimestamp(PUBLISHED_SECONDS, UTC)
        assert is_right(sender, pairs_of(headers), PUBLISHED_BODY, at)
        assert not is_right(sender, pairs_of(headers), PUBLISHED_BODY + b" ", at)


@pytest.mark.parametrize(
    ("header", "encoding", "prefix"),
    [
        ("Typeform-Signature", "base64", "sha256="),
        ("Tally-Signature", "base64", ""),
        ("X-Hub-Signature-256", "hex", "sha256="),
    ],
)
def test_a_header_with_the_hmac_of_the_body(header: str, encoding: str, prefix: str) -> None:
    """Out: the encoding in `_written`, or the prefix."""
    sender = plain(header, encoding, prefix)
    digest = hmac.new(b"a secret of this test", BODY, hashlib.sha256).digest()
    written = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert is_right(sender, [(header, prefix + written)])
    assert not is_right(sender, [(header, prefix + written)], BODY[:-1])
    other = digest.hex() if encoding == "base64" else base64.b64encode(digest).decode()
    for wrong in (other, written[:-1], written + "=", "é", f" {written}", f"{prefix}x"):
        assert not is_right(sender, [(header, prefix + wrong)])
    if prefix:
        with pytest.raises(Refusal):
            is_right(sender, [(header, written)])


@given(body=st.binary(max_size=400), place=st.integers(min_value=0), change=st.integers(1, 255))
def test_no_changed_body_is_right(body: bytes, place: int, change: int) -> None:
    """Out: the body in the signed content."""
    sender = standard(1)
    pairs = pairs_of(standard_headers(body, 1))
    assert is_right(sender, pairs, body)
    assert not is_right(sender, pairs, body + b"\n")
    if body:
        at = place % len(body)
        changed = body[:at] + bytes([body[at] ^ change]) + body[at + 1 :]
        assert not is_right(sender, pairs, changed)
        assert not is_right(sender, pairs, body[:-1])


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
            st.one_of(
                st.text(st.characters(max_codepoint=255), max_size=60),
                st.sampled_from(
                    [str(int(NOW.timestamp())), "v1,", "v1", "v1,v1,v1", ",", " ", "v1a,eA=="]
                ),
            ),
        ),
        max_size=5,
    )
)
def test_no_headers_are_right_or_a_bug(headers: Pairs) -> None:
    """Out: a check of the form of a header."""
    with suppress(Refusal):
        assert not is_right(standard(1), headers)


@pytest.mark.parametrize(
    ("seconds", "is_taken"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_a_request_may_be_five_minutes_old_or_early(seconds: int, is_taken: bool) -> None:
    """Out: the tolerance, or `abs`."""
    at = int((NOW + timedelta(seconds=seconds)).timestamp())
    pairs = pairs_of(standard_headers(BODY, 1, seconds=at))
    if is_taken:
        assert is_right(standard(1), pairs)
    else:
        with pytest.raises(Refusal, match="five minutes"):
            is_right(standard(1), pairs)


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1e9", "-1", "1.0", " 1", "1 ", "0x1", "१७९०", "1_0", "9" * 20]
)
def test_a_time_is_digits_alone(timestamp: str) -> None:
    """Out: `_UNIX_SECONDS`."""
    headers = [
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", timestamp.encode()),
        (b"webhook-signature", b"v1,x"),
    ]
    with pytest.raises(Refusal):
        claim_of(standard(1), Headers(raw=headers), NOW)


@pytest.mark.parametrize("message_id", ["msg 1", "msg_é", "m" * 257])
def test_an_id_is_of_visible_ascii_letters(message_id: str) -> None:
    """Out: `_MESSAGE_ID`. An id of other letters would be signed in other bytes than were sent."""
    pairs = pairs_of(standard_headers(BODY, 1, message_id=message_id))
    with pytest.raises(Refusal, match="id of a message"):
        is_right(standard(1), pairs)


def test_while_a_secret_changes_either_is_right() -> None:
    """Out: the loop over the keys, or over the signatures."""
    of_both = pairs_of(standard_headers(BODY, 1, 2))
    for sender in (standard(1), standard(2), standard(3, 2), standard(1, 2)):
        assert is_right(sender, of_both)
    assert is_right(standard(2, 3), pairs_of(standard_headers(BODY, 3)))
    assert not is_right(standard(3), of_both)
    assert not is_right(standard(3, 4), of_both)


def test_signatures_of_other_versions_do_not_count() -> None:
    """Out: the version in `_standard_claim`."""
    headers = standard_headers(BODY, 1)
    right = headers["webhook-signature"].removeprefix("v1,")
    for version in ("v2", "v1a", "V1", ""):
        with pytest.raises(Refusal, match="v1"):
            is_right(standard(1), pairs_of({**headers, "webhook-signature": f"{version},{right}"}))
    mixed = f"v1a,x v1,wrong v1,{right} v9"
    assert is_right(standard(1), pairs_of({**headers, "webhook-signature": mixed}))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_there_once(name: str) -> None:
    """Out: the number of values in `_one_header`; Headers.get would take the first."""
    headers = standard_headers(BODY, 1)
    without = {key: value for key, value in headers.items() if key != name}
    twice = [*pairs_of(headers), (name, headers[name])]
    for wrong in (pairs_of(without), pairs_of({**headers, name: ""}), twice):
        with pytest.raises(Refusal, match=name):
            is_right(standard(1), wrong)


def test_the_id_and_the_time_are_signed() -> None:
    headers = standard_headers(BODY, 1)
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert not is_right(standard(1), pairs_of({**headers, "webhook-timestamp": later}))
    assert not is_right(standard(1), pairs_of({**headers, "webhook-id": "msg_2"}))


SECRET = f"whsec_{base64.b64encode(key_of(1)).decode()}"
HMAC = {"scheme": "hmac", "header": "X-Signature", "encoding": "hex"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scheme": "standard", "secrets": ["whsec_c2hvcnQ="]}, "24 bytes"),
        ({"scheme": "standard", "secrets": ["whsec_not base64, is it"]}, "base64"),
        ({"scheme": "standard", "secrets": []}, "at least 1 item"),
        ({"scheme": "standard", "secrets": [SECRET] * 2}, "the same"),
        ({"scheme": "standard", "secrets": [SECRET, SECRET + "=", "x"]}, "at most 2 items"),
        ({"scheme": "standard", "secrets": [SECRET], "header": "X"}, "belong to"),
        ({"scheme": "none", "secrets": [SECRET]}, "standard"),
        ({**HMAC, "secrets": ["fifteen letters"]}, "16 characters"),
        ({**HMAC, "secrets": ["a secret of this test"], "encoding": None}, "needs header"),
        ({**HMAC, "secrets": ["a secret of this test"], "header": None}, "needs header"),
        ({**HMAC, "secrets": ["a secret of this test"], "header": "X Y"}, "match pattern"),
        ({**HMAC, "secrets": ["a secret of this test"], "algorithm": "sha1"}, "not permitted"),
    ],
)
def test_a_sender_whose_signatures_could_not_be_checked_is_refused(
    given: dict[str, Any], words: str
) -> None:
    """Out: the check whose words these are. No message has a secret."""
    with pytest.raises(ValidationError, match=words) as refused:
        settings_with({"lms": given})
    said = " ".join(each["msg"] for each in refused.value.errors(include_input=False))
    for secret in given["secrets"]:
        assert len(secret) < 2 or secret not in said


def settings_with(senders: Any) -> GatewaySettings:
    return GatewaySettings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1",
            "broker_url": "amqp://127.0.0.1:1",
            "blob_url": "/tmp",
            "signed_senders": senders,
        }
    )


def test_a_secret_belongs_to_one_source_and_is_never_shown() -> None:
    """Out: `each_sender_has_its_own_secrets`, NewSourceName, or SecretStr."""
    one = {"scheme": "standard", "secrets": [SECRET]}
    other = {"scheme": "standard", "secrets": [f"whsec_{base64.b64encode(key_of(2)).decode()}"]}
    both = settings_with({"lms": one, "forms": other})
    assert set(both.signed_senders) == {"lms", "forms"}
    assert SECRET not in repr(both) + both.model_dump_json()
    for wrong in (
        {"lms": one, "forms": one},
        {"default": one},
        {"LMS": one},
        {"page-actions": one},
    ):
        with pytest.raises(ValidationError):
            settings_with(wrong)
    unbranded = {"scheme": "standard", "secrets": [SECRET.removeprefix("whsec_")]}
    with pytest.raises(ValidationError, match="in common"):
        settings_with({"lms": one, "forms": unbranded})
