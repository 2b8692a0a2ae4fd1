"""The client of the model without a socket: requests end in a transport of the test."""

import json
from collections.abc import Callable

import httpx2
import pytest
import redis

from edugraph_analyzer.llm.client import LLMClient, retry_after
from edugraph_analyzer.llm.rate_limiter import Slot
from edugraph_analyzer.prompting.questions import Cancelled, LLMRequest, Unanswerable
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait

REQUEST = LLMRequest(
    "interaction",
    [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    100,
    max_items=1,
    max_points=3,
)
GOOD = '{"answers": []}'


class Memory:
    """What the client asks of Redis."""

    def __init__(self) -> None:
        self.kept: dict = {}

    def get(self, name):
        return self.kept.get(name)

    def set(self, name, value, ex=None):  # noqa: ARG002 - the signature of what it stands for
        self.kept[name] = value


class Gate:
    """A limiter that lets all through and counts."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.passed: list = []
        self.paused: list = []
        self.settled: list = []
        self.failure = failure

    def acquire(self, model, tokens):
        if self.failure:
            raise self.failure
        self.passed.append((model, tokens))
        return Slot(0, 0.0, "1:x")

    def pause(self, _model, seconds):
        self.paused.append(seconds)
        return seconds or 2.0

    def settle(self, _model, _slot, tokens):
        self.settled.append(tokens)


def completion(content: str = GOOD, finish: str = "stop", **message) -> dict:
    message = {"role": "assistant", "content": content} | message
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def error(status: int, message: str = "no", code: str | None = None, headers: dict | None = None):
    return httpx2.Response(status, json={"error": {"message": message, "code": code}}, headers=headers)


def model(handler: Callable, gate: Gate | None = None, memory: Memory | None = None, **settings) -> LLMClient:
    made = AnalyzerSettings(openai_api_key="k", openai_base_url="http://provider.test/v1", model="m", **settings)
    transport = httpx2.MockTransport(handler)
    return LLMClient(
        made, memory or Memory(), gate or Gate(), process_id=lambda: 1, now=lambda: 0.0, transport=transport
    )


def test_an_answer_and_its_tokens() -> None:
    gate = Gate()
    reply = model(lambda _: httpx2.Response(200, json=completion()), gate).complete(REQUEST)
    assert (reply.text, reply.complete, reply.input_tokens, reply.output_tokens) == (GOOD, True, 7, 3)
    assert len(gate.passed) == 1
    assert gate.settled == [10]


@pytest.mark.parametrize(
    ("response", "failure", "words"),
    [
        (error(401), Rejected, "EDUGRAPH_OPENAI_API_KEY"),
        (error(403), Rejected, "EDUGRAPH_MODEL"),
        (error(404, "The model does not exist", "model_not_found"), Rejected, "EDUGRAPH_MODEL"),
        (error(402), Rejected, "credit"),
        (error(429, code="insufficient_quota"), Rejected, "quota"),
        (error(500), Retryable, "500"),
        (error(503), Retryable, "503"),
        (error(408), Retryable, "408"),
        (
            httpx2.Response(200, text="<html>", headers={"content-type": "application/json"}),
            Retryable,
            "cannot be read",
        ),
        (httpx2.Response(200, text="hello"), Retryable, "not a chat completion"),
        (httpx2.Response(200, json={"ok": True}), Retryable, "not a chat completion"),
        (httpx2.Response(200, json=completion(finish="content_filter")), Unanswerable, "filter"),
        (httpx2.Response(200, json=completion(refusal="no")), Unanswerable, "filter"),
        (error(400, "maximum context length is 8192 tokens"), Unanswerable, "too long"),
        (error(400, "flagged", "content_filter"), Unanswerable, "filter"),
    ],
)
def test_what_went_wrong_is_one_of_the_failures_and_one_request(response, failure, words) -> None:
    gate = Gate()
    with pytest.raises(failure, match=words) as caught:
        model(lambda _: response, gate).complete(REQUEST)
    assert "\n" not in str(caught.value)
    assert len(gate.passed) == 1


@pytest.mark.parametrize(
    ("headers", "told"), [({"retry-after": "3"}, 3), ({"retry-after-ms": "1500"}, 1.5), ({}, None)]
)
def test_a_429_pauses_all_for_as_long_as_told(headers, told) -> None:
    gate = Gate()
    with pytest.raises(Wait) as caught:
        model(lambda _: error(429, headers=headers), gate).complete(REQUEST)
    assert gate.paused == [told]
    assert caught.value.seconds == (told or 2.0)


def test_dates_of_retry_after() -> None:
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 10.0) == 50
    assert retry_after({"retry-after": "soon"}, 10.0) is None
    assert retry_after({"retry-after": "nan"}, 10.0) is None


@pytest.mark.parametrize("failure", [Wait("later", 4.0), Retryable("no Redis"), Rejected("never")])
def test_what_the_limiter_says_comes_out_as_it_was_and_nothing_is_sent(failure) -> None:
    sent: list = []
    with pytest.raises(type(failure)) as caught:
        model(lambda request: sent.append(request) or error(500), Gate(failure)).complete(REQUEST)
    assert caught.value is failure
    assert not sent


@pytest.mark.parametrize("cut", [httpx2.ConnectError("x"), httpx2.ReadTimeout("x"), httpx2.RemoteProtocolError("x")])
def test_a_broken_connection_can_be_tried_again(cut) -> None:
    def handler(_):
        raise cut

    with pytest.raises(Retryable):
        model(handler).complete(REQUEST)


def server_with(accepts: tuple[str, ...], refuses: tuple[str, ...] = ()):
    seen: list[dict] = []

    def handler(request):
        body = json.loads(request.content)
        seen.append(body)
        step = body.get("response_format", {}).get("type", "prompt")
        for name in refuses:
            if name in body:
                return error(400, f"Unsupported parameter: '{name}'. Use 'max_completion_tokens' or nothing.")
        return httpx2.Response(200, json=completion()) if step in accepts else error(400, f"{step} is not supported")

    return handler, seen


@pytest.mark.parametrize(
    ("accepts", "requests", "step"),
    [(("json_schema",), 1, "json_schema"), (("json_object", "prompt"), 2, "json_object"), (("prompt",), 3, "prompt")],
)
def test_capabilities_are_found_once_and_remembered_for_all(accepts, requests, step) -> None:
    handler, seen = server_with(accepts)
    gate, memory = Gate(), Memory()
    model(handler, gate, memory).complete(REQUEST)
    assert len(seen) == len(gate.passed) == requests
    another = model(handler, gate, memory)
    another.complete(REQUEST)
    assert len(seen) == requests + 1
    assert (another.capabilities("interaction").step, another.capabilities("interaction").proven) == (step, True)


def test_the_schema_stands_in_the_prompt_where_the_server_does_not_take_it() -> None:
    handler, seen = server_with(("json_object",))
    model(handler).complete(REQUEST)
    assert "JSON Schema" not in seen[0]["messages"][0]["content"]
    assert "JSON Schema" in seen[1]["messages"][0]["content"]


def test_parameters_that_a_model_refuses_are_left_out() -> None:
    handler, seen = server_with(("json_schema",), ("max_tokens", "temperature"))
    model(handler).complete(REQUEST)
    assert seen[-1]["max_completion_tokens"] == 100
    assert "temperature" not in seen[-1]


def test_a_400_that_nothing_helps_is_rejected_after_all_downgrades() -> None:
    handler, seen = server_with(())
    memory = Memory()
    with pytest.raises(Rejected, match="provider check"):
        model(handler, memory=memory).complete(REQUEST)
    assert len(seen) == 3
    assert not memory.kept


def test_a_server_that_ignores_the_format_is_asked_in_the_prompt_next_time() -> None:
    answers = iter(["Sure, happy to help!", GOOD])
    client = model(lambda _: httpx2.Response(200, json=completion(next(answers))))
    client.complete(REQUEST)
    assert client.capabilities("interaction").step == "json_object"


def test_without_redis_the_capabilities_are_found_again() -> None:
    class Away(Memory):
        def get(self, _name):
            raise redis.ConnectionError

        def set(self, _name, _value, **_options):
            raise redis.ConnectionError

    assert model(lambda _: httpx2.Response(200, json=completion()), memory=Away()).complete(REQUEST).complete


def test_an_error_never_repeats_what_was_sent() -> None:
    with pytest.raises(Rejected) as caught:
        model(lambda _: error(422, "cannot parse 'SECRET TEXT' json_schema")).complete(REQUEST)
    assert "SECRET" not in str(caught.value)


def test_a_fork_opens_its_own_connections() -> None:
    process = [1]
    made = AnalyzerSettings(openai_api_key="k", openai_base_url="http://provider.test/v1")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=completion()))
    client = LLMClient(made, Memory(), Gate(), process_id=lambda: process[0], now=lambda: 0.0, transport=transport)
    client.complete(REQUEST)
    first = client._sdk
    process[0] = 2
    client.complete(REQUEST)
    assert client._sdk is not first


@pytest.mark.parametrize("failure", [Cancelled(), Retryable("Redis is away")])
def test_what_the_last_check_raises_comes_out_and_nothing_has_left(failure) -> None:
    """The check comes after the wait for a slot, which may take a minute."""
    gate, sent = Gate(), []

    def check() -> None:
        assert len(gate.passed) == 1
        raise failure

    with pytest.raises(type(failure)):
        model(sent.append, gate).complete(REQUEST, check)
    assert sent == []


def test_a_slot_that_is_not_used_gives_its_tokens_back() -> None:
    gate = Gate()

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        model(lambda _: error(500), gate).complete(REQUEST, check)
    assert gate.settled == [0]
