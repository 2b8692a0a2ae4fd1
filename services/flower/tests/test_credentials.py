"""It starts for nobody without credentials."""

import pytest

from edugraph_flower.main import Refused, make_app, settings

OAUTH = {
    "FLOWER_AUTH": ".*@school[.]example",
    "FLOWER_AUTH_PROVIDER": "flower.views.auth.GoogleAuth2LoginHandler",
    "FLOWER_OAUTH2_KEY": "k",
    "FLOWER_OAUTH2_SECRET": "s",
    "FLOWER_OAUTH2_REDIRECT_URI": "https://flower.example/login",
}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"FLOWER_BASIC_AUTH": ""},
        {"FLOWER_BASIC_AUTH": "admin"},
        {"FLOWER_BASIC_AUTH": "admin:"},
        {"FLOWER_BASIC_AUTH": "admin:short"},
        {"FLOWER_BASIC_AUTH": "admin:long-enough,other:"},
        {"FLOWER_BASIC_AUTH": "admin:long-enough", "FLOWER_UNAUTHENTICATED_API": "true"},
        {"FLOWER_AUTH": ".*"},
        {name: value for name, value in OAUTH.items() if name != "FLOWER_OAUTH2_SECRET"},
    ],
)
def test_without_whole_credentials_it_refuses(environment: dict[str, str]) -> None:
    with pytest.raises(Refused):
        settings(environment)


@pytest.mark.parametrize("credentials", [{"FLOWER_BASIC_AUTH": "admin:long-enough"}, OAUTH])
def test_it_is_read_only_unless_told_otherwise(credentials: dict[str, str]) -> None:
    assert settings(credentials)["FLOWER_READ_ONLY"] == "true"
    assert "FLOWER_READ_ONLY" not in settings({**credentials, "FLOWER_READ_ONLY": "false"})


def test_the_management_api_is_shown() -> None:
    given = {
        "FLOWER_BASIC_AUTH": "admin:long-enough",
        "EDUGRAPH_BROKER_MANAGEMENT_URL": "http://u:p@h:15672",
    }
    assert settings(given)["FLOWER_BROKER_API"] == "http://u:p@h:15672/api/"


def test_the_name_in_the_brokers_certificate_is_compared() -> None:
    secured = make_app({"EDUGRAPH_BROKER_URL": "amqps://user:password@rabbitmq.example/"})
    assert secured.conf.broker_use_ssl == {"server_hostname": "rabbitmq.example"}
    assert not make_app(
        {"EDUGRAPH_BROKER_URL": "amqp://user:password@rabbitmq/"}
    ).conf.broker_use_ssl
