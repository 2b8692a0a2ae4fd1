"""Settings of weekly mails: what cannot work is refused at the start, and no message has the password."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_insights.settings import DigestSettings, InsightsSettings

SERVERS = {"redis_url": "redis://127.0.0.1:1", "neo4j_uri": "bolt://127.0.0.1:1"}
WHOLE = {
    **SERVERS,
    "privacy_secret": "a secret of these tests",
    "digest_page_url": "https://school.example/ui/",
    "smtp_url": "smtps://user:hidden@mail.school.example:465",
    "smtp_from": "no-reply@school.example",
}


def test_whole_settings_are_taken_and_the_password_is_not_shown() -> None:
    settings = DigestSettings.model_validate(WHOLE)
    assert settings.digest_names is False
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"digest_page_url": ""}, "EDUGRAPH_DIGEST_PAGE_URL is missing"),
        ({"digest_page_url": "http://school.example/ui/"}, "must be https://"),
        ({"digest_page_url": "https://school.example"}, "must be https://"),
        ({"privacy_secret": None}, "needs EDUGRAPH_PRIVACY_SECRET"),
        ({"smtp_url": "mail.school.example:hidden"}, "EDUGRAPH_SMTP_URL must be smtps://"),
        ({"smtp_url": "https://hidden@mail.school.example"}, "EDUGRAPH_SMTP_URL must be smtps://"),
        ({"smtp_url": None}, "EDUGRAPH_SMTP_URL and EDUGRAPH_DIGEST_CHATS are missing"),
        ({"smtp_url": "", "digest_chats": ""}, "EDUGRAPH_SMTP_URL and EDUGRAPH_DIGEST_CHATS"),
        ({"smtp_from": None}, "EDUGRAPH_SMTP_FROM is missing"),
        ({"smtp_from": "School <a@school.example>"}, "smtp_from"),
        ({"smtp_from": "a@school.example\nBcc: b@school.example"}, "smtp_from"),
        ({"smtp_from": "a@school.example\n"}, "smtp_from"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, Any], says: str) -> None:
    given = {name: value for name, value in (WHOLE | changed).items() if value is not None}
    with pytest.raises(ValidationError) as refusal:
        DigestSettings.model_validate(given)
    said = "; ".join(
        f"{each['loc']} {each['msg']}"
        for each in refusal.value.errors(include_input=False, include_url=False)
    )
    assert says in said
    assert "hidden" not in said


@pytest.mark.parametrize("empty", [None, ""])
def test_a_school_with_chats_alone_needs_no_mail_server(empty: str | None) -> None:
    """compose.yaml gives empty texts where nothing is set. Out: the default of `smtp_url` or of `smtp_from`."""
    changed = {
        "smtp_url": empty,
        "smtp_from": empty,
        "digest_chats": json.dumps({"maths": {"address": "https://x.example", "courses": ["C"]}}),
    }
    given = {name: value for name, value in (WHOLE | changed).items() if value is not None}
    settings = DigestSettings.model_validate(given)
    assert not settings.server_url
    assert [*settings.channels] == ["maths"]


def test_insights_need_no_mail_server_and_an_empty_address_of_the_page_is_none() -> None:
    """compose.yaml gives an empty one where nothing is set."""
    settings = InsightsSettings.model_validate({**SERVERS, "digest_page_url": ""})
    assert not settings.digest_page_url
    assert not hasattr(settings, "smtp_url")
