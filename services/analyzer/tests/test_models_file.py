"""The file of models: what overlays what, and that each mistake in it is told in one sentence when the process starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edugraph_analyzer.models_file import Limits, ModelsFile, Parameters, Price, read_models_file
from edugraph_analyzer.settings import AnalyzerSettings

WHOLE = """
currency = "CNY"

[[endpoints]]
name = "one"
base_url = "http://one.test/v1"
keys_from = ["ONE"]
requests_per_minute = 50

[[endpoints]]
name = "two"

[models.m]
endpoints = ["two"]
price = {input = 1, output = 2}
requests_per_minute = 7
temperature = 0.3
extra_body = {top_k = 1}

[models.m.error]
temperature = "default"
"""


def settings(tmp_path, text: str, **chosen) -> AnalyzerSettings:
    path = tmp_path / "models.toml"
    path.write_text(text, encoding="utf-8")
    return AnalyzerSettings(models_file=path, model="m", **chosen)


def test_the_file_comes_before_the_settings_and_a_kind_before_its_model(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("ONE", "secret-1")
    told = settings(tmp_path, WHOLE, temperature=1.0, thinking_tokens=9, tokens_per_minute=88)
    assert told.parameters_for("interaction").temperature == 0.3
    assert told.parameters_for("error").temperature == "default"
    assert {told.parameters_for(kind).thinking_tokens for kind in ("interaction", "error")} == {9}
    assert told.parameters_for("error").extra_body == {"top_k": 1}
    assert told.limits_of("m") == Limits(requests_per_minute=7, tokens_per_minute=88)
    assert told.price_of("m") == Price(input=1, output=2)
    assert [endpoint.name for endpoint in told.endpoints_for("m")] == ["two"]
    assert [endpoint.name for endpoint in told.endpoints_for("another")] == ["one", "two"]
    assert (told.address_of("m"), told.address_of("another")) == (None, "http://one.test/v1")
    assert told.endpoints_for("another")[0].keys[0].get_secret_value() == "secret-1"
    assert "secret-1" not in repr(told.models)


def test_a_model_that_the_file_does_not_name_is_asked_as_the_settings_say(tmp_path) -> None:
    told = settings(tmp_path, "", temperature=None, requests_per_minute=3, openai_api_key="k")
    assert told.parameters_for("error").temperature == "default"
    assert told.limits_of("m").requests_per_minute == 3
    (own,) = told.endpoints_for("m")
    assert own.keys[0].get_secret_value() == "k"
    assert (told.address_of("m"), own.base_url) == (None, None)
    assert settings(tmp_path, "", openai_base_url="http://h/v1").address_of("m") == "http://h/v1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[models.m]\ntemprature = 1", "models.m.temprature"),
        ('[models.m]\nendpoints = ["none"]', "an endpoint that the file has not: 'none'"),
        (
            '[[endpoints]]\nname = "a"\n[[endpoints]]\nname = "a"',
            "two endpoints have the same name",
        ),
        (
            '[[endpoints]]\nname = "a"\nkeys_from = ["NOT_SET_ANYWHERE"]',
            "NOT_SET_ANYWHERE, which is not set",
        ),
        ("[models.m]\nrequests_per_minute = 0", "models.m.requests_per_minute"),
        ("[models.m", "models.toml: "),
    ],
)
def test_a_mistake_in_the_file_is_told_at_the_start(tmp_path, text: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=r"models\.toml") as caught:
        settings(tmp_path, text)
    assert sentence in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml"):
        read_models_file(tmp_path / "none.toml", {})


GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2) | st.just("default"),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "extra_body": st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)),
        "answer_tokens": st.integers(16, 99),
        "stream": st.booleans(),
        "response_format": st.sampled_from(["json_schema", "json_object", "prompt"]),
    },
)


@given(GIVEN, GIVEN, GIVEN)
def test_each_parameter_is_the_last_one_given(one: dict, two: dict, three: dict) -> None:
    layers = [Parameters(**layer) for layer in (one, two, three)]
    assert layers[0].overlaid(layers[1]).overlaid(layers[2]) == Parameters(**one | two | three)
    assert layers[0].overlaid(None) == layers[0]


def test_an_empty_file_changes_nothing(tmp_path) -> None:
    assert settings(tmp_path, "# nothing\n").models == ModelsFile()
