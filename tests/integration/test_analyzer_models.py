"""Models that answer in their own ways, from a provider process: ten findings of ten, or an end after three requests."""

from pathlib import Path
from typing import Any

import pytest
import redis
from analyzer_bench import MODELS_PAGE, RECIPES, Provider, chats, pipeline

from edugraph_analyzer.costs import usage_of
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import ProviderBusy, Retryable, Wait

ITEMS = 10
STREAM_ONLY = {"stream_only": True}
GOOD_IN_THE_END: dict[str, tuple[dict[str, Any], int]] = {
    "a model that thinks for 8,000 tokens": ({"thinks": 8_000}, 2),
    "a model that thinks for 30,000 tokens": ({"thinks": 30_000}, 3),
    "one that thinks and may say only 16,384 tokens": ({"thinks": 9_000, "most_tokens": 16_384}, 2),
    "a model that only streams": (STREAM_ONLY, 2),
    "one that only streams and thinks": (STREAM_ONLY | {"thinks": 8_000}, 3),
    "one that talks": ({"faults": [{"kind": "talks", "every": 1}]}, 1),
    "one that thinks aloud without an opening mark": (
        {"faults": [{"kind": "thinks_aloud", "every": 1}]},
        1,
    ),
    "one whose answer was cut once": ({"faults": [{"kind": "truncated", "first": 1}]}, 2),
}


@pytest.mark.parametrize("title", GOOD_IN_THE_END)
def test_ten_of_ten_items_have_findings(
    server: "redis.Redis", provider: Provider, name: str, title: str
) -> None:
    script, requests = GOOD_IN_THE_END[title]
    provider.script(**script)
    result = pipeline(server, provider, name).analyse(chats(name, ITEMS))
    assert len(result.findings) == ITEMS
    assert not result.failed
    assert len(provider.requests()) == requests


@pytest.mark.parametrize(
    "title", [title for title, (_, requests) in GOOD_IN_THE_END.items() if requests > 1]
)
def test_what_was_learnt_is_kept_for_the_next_pack_of_another_process(
    server: "redis.Redis", provider: Provider, name: str, title: str
) -> None:
    script, _ = GOOD_IN_THE_END[title]
    provider.script(**script)
    pipeline(server, provider, name).analyse(chats(name, ITEMS))
    before = len(provider.requests())
    again = pipeline(server, provider, name).analyse(chats(name, ITEMS, prefix="again "))
    assert len(again.findings) == ITEMS
    assert len(provider.requests()) - before == 1


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ({"thinks": 10_000_000}, 0),
        ({"faults": [{"kind": "prose", "every": 1}]}, 0),
        ({"faults": [{"kind": "truncated", "every": 1}]}, 9),
        ({"faults": [{"kind": "outside_schema", "every": 1}]}, 0),
    ],
)
def test_a_model_of_no_use_ends_after_three_requests_with_one_sentence(
    server: "redis.Redis", provider: Provider, name: str, script: dict[str, Any], found: int
) -> None:
    provider.script(**script)
    result = pipeline(server, provider, name).analyse(chats(name, ITEMS))
    assert len(provider.requests()) == 3
    assert len(result.findings) in range(found - 2, found + 1)
    assert len(result.findings) + len(result.failed) == ITEMS
    (sentence,) = {each.reason for each in result.failed}
    assert "could not be used 3 times in a row" in sentence
    assert "set another EDUGRAPH_MODEL" in sentence


def test_the_next_packs_wait_and_ask_nothing_while_the_model_is_of_no_use(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script(faults=[{"kind": "prose", "every": 1}])
    pipeline(server, provider, name, longest_wait_seconds=1).analyse(chats(name, ITEMS))
    for number in range(20):
        with pytest.raises(Wait, match="could not be used 3 times in a row"):
            pipeline(server, provider, name, longest_wait_seconds=1).analyse(
                chats(name, 2, prefix=f"{number} ")
            )
    assert len(provider.requests()) == 3


def test_answers_that_the_filter_took_out_are_paid_for_and_counted(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script(faults=[{"kind": "filter", "every": 1}])
    result = pipeline(server, provider, name).analyse(chats(name, 1))
    assert "filter" in result.failed[0].reason
    used = usage_of(server, name)["interaction", name]
    assert (used.requests, used.input_tokens > 0, used.cost > 0) == (1, True, True)


def test_cached_input_has_its_own_price_and_the_parts_add_up(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script(cached_tokens=100)
    price = {"input": 1.0, "output": 2.0, "cached": 0.1}
    result = pipeline(server, provider, name, prices={name: price}).analyse(chats(name, ITEMS))
    used = usage_of(server, name)["interaction", name]
    whole = (used.input_tokens - 100) * 1.0 + 100 * 0.1 + used.output_tokens * 2.0
    assert used.cached_tokens == 100
    assert used.cost == pytest.approx(whole / 1e6)
    assert sum(found.origin.cost for found in result.findings) == pytest.approx(used.cost)


NOTHING = {"prompt_tokens": 0, "completion_tokens": 0}
NEGATIVE = {
    "prompt_tokens": -500,
    "completion_tokens": -50,
    "prompt_tokens_details": {"cached_tokens": 10**6},
}
WORDS = {"prompt_tokens": "500", "completion_tokens": "50", "prompt_tokens_details": "none"}
ONE = {"prompt_tokens": 1, "completion_tokens": 1}


@pytest.mark.parametrize("stream_only", [False, True])
@pytest.mark.parametrize("usage", [None, {}, [], NOTHING, NEGATIVE, WORDS, ONE], ids=str)
def test_a_budget_ends_a_job_whatever_the_provider_tells_of_its_tokens(
    server: "redis.Redis", provider: Provider, name: str, usage: Any, stream_only: bool
) -> None:
    """Out: the estimate. Then nothing is ever spent, and all packs are asked."""
    provider.script(usage=usage, stream_only=stream_only)
    one = pipeline(server, provider, name, budget_per_job=0.0005)
    one.analyse(chats(name, 1))
    for number in range(5):
        with pytest.raises(Wait, match=r"the job's budget of 0\.0005 is spent"):
            one.analyse(chats(name, 1, prefix=f"{number} "))
    answered = [request for request in provider.requests() if request["status"] == 200]
    assert len(answered) == 1
    used = usage_of(server, name)["interaction", name]
    assert (used.requests, used.estimated) == (1, 1)


@pytest.mark.parametrize("fault", ["timeout", "cut"])
def test_a_budget_ends_a_job_whose_answers_do_not_come(
    server: "redis.Redis", provider: Provider, name: str, fault: str
) -> None:
    """Out: the count of the input. A provider bills what it began."""
    provider.script(faults=[{"kind": fault, "every": 1}])
    one = pipeline(server, provider, name, budget_per_job=0.0005, call_timeout_seconds=0.5)
    with pytest.raises((Retryable, Wait)):
        one.analyse(chats(name, 1))
    for number in range(3):
        with pytest.raises(Wait, match="is spent"):
            one.analyse(chats(name, 1, prefix=f"{number} "))
    assert len(provider.requests()) == 1
    used = usage_of(server, name)["interaction", name]
    assert (used.requests, used.estimated, used.output_tokens) == (1, 1, 0)


def test_answers_with_more_fields_than_were_asked_for_are_found_at_once(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script(faults=[{"kind": "more_fields", "every": 1}])
    result = pipeline(server, provider, name).analyse(chats(name, ITEMS))
    assert (len(result.findings), len(provider.requests())) == (ITEMS, 1)


def test_failures_in_a_row_are_counted_while_the_form_changes(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    """A model that only streams, and whose streams break: each try is a 400 and a stream.

    Out: the rule that a refused form leaves the count as it is.
    """
    provider.script(stream_only=True, faults=[{"kind": "cut", "every": 1}])
    seen = list[type[Exception]]()
    for number in range(5):
        with pytest.raises((Retryable, Wait)) as caught:
            pipeline(server, provider, name, longest_wait_seconds=0.1).analyse(
                chats(name, 1, prefix=f"{number} ")
            )
        seen.append(caught.type)
    assert seen == [Retryable, Retryable, ProviderBusy, ProviderBusy, ProviderBusy]
    assert len(provider.requests()) == 6


# --- the settings file --------------------------------------------------------------------------------------------


def settings_of(tmp_path: Path, text: str, name: str, **chosen: Any) -> AnalyzerSettings:
    path = tmp_path / "models.toml"
    path.write_text(text)
    packed = {"one_student_per_pack": False} | chosen  # the chats are of many students
    return AnalyzerSettings(models_file=path, model=name, requests_per_minute=6_000, **packed)


# What a server of each kind refuses, or does, that another one does not.
OBJECTS_ONLY = {"accepts": ["json_object", "prompt"]}
WITHOUT_STRANGERS = {
    word: [422, f"extra_forbidden: {word}"]
    for word in ("stream_options", "max_completion_tokens", "enable_thinking")
}
KINDS: dict[str, dict[str, Any]] = {
    "OpenAI": {"refuses": ["max_tokens", "temperature"], "thinks": 500},
    "Azure OpenAI (v1)": {"refuses": ["max_tokens"]},
    "DeepSeek": OBJECTS_ONLY | {"most_tokens": 8_192},
    "Qwen, DashScope": OBJECTS_ONLY
    | {
        "requires": {
            '"enable_thinking": false': [400, "parameter.enable_thinking must be set to false"]
        }
    },
    "Moonshot": OBJECTS_ONLY,
    "GLM": OBJECTS_ONLY | {"requires": {'"type": "disabled"': [400, "thinking is on"]}},
    "Mistral": {"refusals": WITHOUT_STRANGERS},
    "Gemini": {"requires": {"reasoning_effort": [400, "no effort"]}, "thinks": 500},
    "Ollama": {},
    "vLLM": {"requires": {"chat_template_kwargs": [400, "thinks"]}},
    "llama.cpp": {},
}


def test_each_recipe_of_the_document_is_tried() -> None:
    assert RECIPES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_gets_ten_of_ten_findings(
    server: "redis.Redis", provider: Provider, name: str, tmp_path: Path, kind: str
) -> None:
    provider.script(**KINDS[kind])
    lines = [words for words in RECIPES[kind] if not words.startswith(("names", "keys_from"))]
    text = (
        f"[[endpoints]]\nname = 'one'\nbase_url = '{provider.url}'\n[models.'{name}']\n"
        + "\n".join(lines)
    )
    result = Pipeline(settings_of(tmp_path, text, name), server).analyse(chats(name, ITEMS))
    assert len(result.findings) == ITEMS
    assert len(provider.requests()) <= 2


def test_the_example_of_the_document_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("OPENAI_KEY_1", "OPENAI_KEY_2", "AZURE_KEY"):
        monkeypatch.setenv(key, "k")
    told = settings_of(tmp_path, MODELS_PAGE.split("```toml\n")[1].split("```")[0], "gpt-4o-mini")
    assert [endpoint.name for endpoint in told.endpoints_for("gpt-4o-mini")] == ["openai", "azure"]
    assert told.parameters_for("error").answer_tokens == 800


def test_another_endpoint_answers_while_the_first_does_not(
    server: "redis.Redis", provider: Provider, name: str, tmp_path: Path
) -> None:
    provider.script()
    text = f"""
        [[endpoints]]
        name = "away"
        base_url = "http://127.0.0.1:9/v1"

        [[endpoints]]
        name = "here"
        base_url = "{provider.url}"

        [models."{name}"]
        names = {{here = "{name}-there"}}
    """
    result = Pipeline(settings_of(tmp_path, text, name), server).analyse(chats(name, ITEMS))
    assert len(result.findings) == ITEMS
    assert result.findings[0].origin.model == name
    assert [request["model"] for request in provider.requests()] == [f"{name}-there"]


def test_the_same_model_at_another_address_is_another_question(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script()
    pipeline(server, provider, name).analyse(chats(name, ITEMS))
    other = Provider(provider.url.replace("127.0.0.1", "localhost"))
    assert not any(
        found.origin.cached
        for found in pipeline(server, other, name).analyse(chats(name, 10)).findings
    )
    again = pipeline(server, provider, name).analyse(chats(name, 10, job=f"{name}-2"))
    assert all(found.origin.cached for found in again.findings)


# --- failures of the provider -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"kind": "500"}, {"kind": "503"}, {"kind": "cut"}])
def test_from_the_third_failure_in_a_row_on_all_wait_and_none_uses_up_its_tries(
    server: "redis.Redis", provider: Provider, name: str, fault: dict[str, Any]
) -> None:
    provider.script(faults=[fault])
    seen: list[type[Exception]] = []
    for number in range(6):
        with pytest.raises((Retryable, Wait)) as caught:
            pipeline(server, provider, name, longest_wait_seconds=0.1).analyse(
                chats(name, 1, prefix=f"{number} ")
            )
        seen.append(caught.type)
    assert seen == [Retryable, Retryable, *[ProviderBusy] * 4]
    assert len(provider.requests()) == 3


def test_a_503_that_says_how_long_pauses_all_for_so_long(
    server: "redis.Redis", provider: Provider, name: str
) -> None:
    provider.script(faults=[{"kind": "503", "retry_after": 30}])
    for number in range(5):
        with pytest.raises(Wait, match="503") as caught:
            pipeline(server, provider, name, longest_wait_seconds=1).analyse(
                chats(name, 1, prefix=f"{number} ")
            )
        assert 28 < caught.value.seconds <= 30
    assert len(provider.requests()) == 1
