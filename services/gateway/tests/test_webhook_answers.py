"""How the answers of a webhook's address are understood, for every status and any Retry-After."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from edugraph_gateway.webhooks import (
    WebhookSettings,
    delay_seconds,
    retry_after_seconds,
    verdict_of,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET = f"whsec_{'A' * 32}"


@given(status=st.integers(100, 999))
def test_a_status_is_a_delivery_a_refusal_or_a_failure(status: int) -> None:
    hundreds = status // 100
    expected = {2: "delivered", 4: "refused"}.get(hundreds, "failed")
    if status in {408, 425, 429}:
        expected = "failed"
    assert verdict_of(status) == expected


@given(seconds=st.integers(0, 10**9))
def test_retry_after_is_read_in_seconds_and_as_a_date(seconds: int) -> None:
    assert retry_after_seconds(str(seconds), NOW) == seconds
    near = seconds % 10**7
    assert (
        retry_after_seconds(format_datetime(NOW + timedelta(seconds=near), usegmt=True), NOW)
        == near
    )
    assert (
        retry_after_seconds(format_datetime(NOW - timedelta(seconds=near), usegmt=True), NOW) == 0
    )


@given(value=st.text())
def test_any_other_retry_after_asks_for_nothing_that_harms(value: str) -> None:
    assert retry_after_seconds(value, NOW) >= 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-5",
        "1.5",
        "²",
        "soon",
        "Sat, 99 Nov 2026 25:00:00 GMT",
        "29 Nov 2026 12:00 +9999999999",
    ],
)
def test_a_retry_after_that_cannot_be_understood_asks_for_nothing(value: str) -> None:
    assert retry_after_seconds(value, NOW) == 0


@given(tries=st.integers(1, 1_000), asked=st.floats(0, 10**9))
def test_a_delay_grows_with_the_tries_and_with_what_was_asked(tries: int, asked: float) -> None:
    delay = delay_seconds(tries, asked)
    assert delay in {10, 60, 600, 3_600}
    assert delay >= min(asked, 3_600)
    assert delay >= {1: 10, 2: 60, 3: 600}.get(tries, 3_600)
    assert delay_seconds(tries, float("inf")) == 3_600


@pytest.mark.parametrize(
    "url", ["http://", "http://a.example:x", "https://?x", "http://exa mple", "ftp://a.example"]
)
def test_an_address_to_which_nothing_can_be_posted_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings(
            broker_url=SecretStr("amqp://x"), webhook_url=url, webhook_secret=SecretStr(SECRET)
        )
