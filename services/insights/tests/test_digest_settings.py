"""Settings of weekly mails: what cannot work is refused at the start, and no message has the password."""

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
        ({"smtp_url": None}, "smtp_url"),
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


def test_insights_need_no_mail_server_and_an_empty_address_of_the_page_is_none() -> None:
    """compose.yaml gives an empty one where nothing is set."""
    settings = InsightsSettings.model_validate({**SERVERS, "digest_page_url": ""})
    assert not settings.digest_page_url
    assert not hasattr(settings, "smtp_url")
