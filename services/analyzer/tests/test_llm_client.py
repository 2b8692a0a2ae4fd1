"""The client of the model without a socket: requests end in a transport of the test."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import httpx2
import pytest
import redis

from edugraph_analyzer.llm.capabilities import EndpointCapabilities
from edugraph_analyzer.llm.client import LLMClient
from edugraph_analyzer.llm.rate_limiter import Slot
from edugraph_analyzer.llm.refusals import retry_after
from edugraph_analyzer.prompting.questions import Cancelled, LLMRequest, Unanswerable
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Refused, Rejected, Retryable, Wait

REQUEST = LLMRequest(
    "interaction",
    [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    100,
    items=1,
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
        self.left: list = []
        self.now_paused = 0.0
        self.failure = failure

    def reserve(self, _model, tokens):
        return Slot(1, 0.0, 0, tokens, 60.0, "x")

    def confirm(self, model, slot):
        if self.failure:
            raise self.failure
        self.passed.append((model, slot.tokens))
        return slot

    def pause(self, _model, why, _reason, seconds=None, slot=None):
        assert slot is not None
        self.paused.append(seconds)
        return 0.0 if why == "failed" and seconds is None else seconds or 2.0

    def paused_seconds(self, _model):
        return self.now_paused

    def settle(self, _model, _slot, tokens):
        self.settled.append(tokens)

    def leave(self, _model, name):
        self.left.append(name)


class Connected(httpx2.MockTransport):
    """Tells of the request's head before it is sent, as a transport with a socket does."""

    def handle_request(self, request):
        request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
        return super().handle_request(request)


def completion(content: str = GOOD, finish: str = "stop", **message) -> dict:
    message = {"role": "assistant", "content": content} | message
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def error(status: int, message: str = "no", code: str | None = None, headers: dict | None = None):
    return httpx2.Response(
        status, json={"error": {"message": message, "code": code}}, headers=headers
    )


def model(
    handler: Callable, gate: Gate | None = None, memory: Memory | None = None, **settings
) -> LLMClient:
    made = AnalyzerSettings(
        openai_api_key="k", openai_base_url="http://provider.test/v1", model="m", **settings
    )
    limiter = gate or Gate()
    return LLMClient(
        made,
        memory or Memory(),
        lambda *_: limiter,
        process_id=lambda: 1,
        now=lambda: 0.0,
        transport=Connected(handler),
    )


def test_an_answer_and_its_tokens() -> None:
    gate = Gate()
    reply = model(lambda _: httpx2.Response(200, json=completion()), gate).complete(REQUEST)
    assert (reply.text, reply.complete, reply.input_tokens, reply.output_tokens) == (
        GOOD,
        True,
        7,
        3,
    )
    assert len(gate.passed) == 1
    assert gate.settled == [10]


@pytest.mark.parametrize(
    ("response", "failure", "words"),
    [
        (error(401), Refused, "EDUGRAPH_OPENAI_API_KEY"),
        (error(403), Refused, "EDUGRAPH_MODEL"),
        (error(404, "The model does not exist", "model_not_found"), Refused, "EDUGRAPH_MODEL"),
        (error(402), Refused, "credit"),
        (error(429, code="insufficient_quota"), Refused, "quota"),
        (error(500), Retryable, "500"),
        (error(503), Retryable, "503"),
        (error(408), Retryable, "408"),
        (
            httpx2.Response(200, text="<html>", headers={"content-type": "application/json"}),
            Retryable,
            "a web page",
        ),
        (httpx2.Response(200, text="hello"), Retryable, "not JSON"),
        (httpx2.Response(200, json={"ok": True}), Retryable, "not a chat completion"),
        (
            error(429, "Your account's balance is used up", "exceeded_current_quota_error"),
            Refused,
            "no credit or quota",
        ),
        (error(400, "Access denied", "Arrearage"), Refused, "no credit or quota"),
        (error(429, "余额不足或无可用资源包", "1113"), Refused, "no credit or quota"),
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


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "9" * 400},
        {"retry-after-ms": "9" * 400},
        {"retry-after": "86400"},
        {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"},
    ],
)
def test_no_header_asks_for_more_than_an_hour(headers) -> None:
    """Out: `min` in retry_after. A pack of a batch then waits for ever, or its time is too large for a date."""
    assert retry_after(headers, 10.0) == 3_600
    asking = model(lambda _: error(429, headers=headers))
    with pytest.raises(Wait) as caught:
        asking.batches(asking.accesses("interaction")[0]).look("b")
    assert caught.value.seconds == 3_600


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_a_date_without_a_time_zone_is_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the time zone in retry_after."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for date in ("Thu Jan  1 00:01:00 1970", "Thu, 01 Jan 1970 00:01:00 -0000"):
            assert retry_after({"retry-after": date}, 10.0) == 50
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("failure", [Wait("later", 4.0), Retryable("no Redis"), Rejected("never")])
def test_what_the_limiter_says_comes_out_as_it_was_and_nothing_is_sent(failure) -> None:
    sent: list = []
    with pytest.raises(type(failure)) as caught:
        model(lambda request: sent.append(request) or error(500), Gate(failure)).complete(REQUEST)
    assert caught.value is failure
    assert not sent


@pytest.mark.parametrize(
    "cut", [httpx2.ConnectError("x"), httpx2.ReadTimeout("x"), httpx2.RemoteProtocolError("x")]
)
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
                return error(
                    400, f"Unsupported parameter: '{name}'. Use 'max_completion_tokens' or nothing."
                )
        return (
            httpx2.Response(200, json=completion())
            if step in accepts
            else error(400, f"{step} is not supported")
        )

    return handler, seen


@pytest.mark.parametrize(
    ("accepts", "requests", "step"),
    [
        (("json_schema",), 1, "json_schema"),
        (("json_object", "prompt"), 2, "json_object"),
        (("prompt",), 3, "prompt"),
    ],
)
def test_capabilities_are_found_once_and_remembered_for_all(accepts, requests, step) -> None:
    handler, seen = server_with(accepts)
    gate, memory = Gate(), Memory()
    model(handler, gate, memory).complete(REQUEST)
    assert len(seen) == len(gate.passed) == requests
    another = model(handler, gate, memory)
    another.complete(REQUEST)
    assert len(seen) == requests + 1
    assert (
        another.capabilities("interaction").step,
        another.capabilities("interaction").proven,
    ) == (step, True)


def test_the_schema_stands_in_the_prompt_where_the_server_does_not_take_it() -> None:
    handler, seen = server_with(("json_object",))
    model(handler).complete(REQUEST)
    assert "JSON Schema" not in seen[0]["messages"][0]["content"]
    assert "JSON Schema" in seen[1]["messages"][0]["content"]


def test_requests_of_a_kind_have_one_schema_whatever_their_packs() -> None:
    sent: list = []

    def handler(request):
        sent.append(json.loads(request.content))
        return httpx2.Response(200, json=completion())

    client = model(handler)
    for items in (1, 10):
        client.complete(replace(REQUEST, items=items, max_answer_tokens=100 * items))
    assert sent[0]["response_format"]["type"] == "json_schema"
    assert sent[0]["response_format"] == sent[1]["response_format"]


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

    assert (
        model(lambda _: httpx2.Response(200, json=completion()), memory=Away())
        .complete(REQUEST)
        .complete
    )


def test_an_error_never_repeats_what_was_sent() -> None:
    with pytest.raises(Rejected) as caught:
        model(lambda _: error(422, "cannot parse 'SECRET TEXT' json_schema")).complete(REQUEST)
    assert "SECRET" not in str(caught.value)


def test_a_fork_opens_its_own_connections() -> None:
    process = [1]
    made = AnalyzerSettings(openai_api_key="k", openai_base_url="http://provider.test/v1")
    transport, gate = Connected(lambda _: httpx2.Response(200, json=completion())), Gate()
    client = LLMClient(
        made,
        Memory(),
        lambda *_: gate,
        process_id=lambda: process[0],
        now=lambda: 0.0,
        transport=transport,
    )
    client.complete(REQUEST)
    first = client._opened()
    assert client._opened() is first
    process[0] = 2
    client.complete(REQUEST)
    assert client._opened() is not first


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


# --- answers that come in other ways ------------------------------------------------------------------------------


def stream(*deltas: dict, finish: str | None = "stop", usage: bool = True) -> httpx2.Response:
    pieces: list[dict] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    if finish:
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        used: dict = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        pieces.append(
            {"choices": [], "usage": used | {"prompt_tokens_details": {"cached_tokens": 5}}}
        )
    common = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    lines = (
        "".join(f"data: {json.dumps(common | piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
    )
    return httpx2.Response(200, text=lines, headers={"content-type": "text/event-stream"})


def told(client: LLMClient) -> tuple[str, str]:
    """Return under which name the client remembers its model."""
    return "m", client._settings.parameters_for("interaction").model_dump_json(exclude_unset=True)


def test_a_model_that_only_streams_is_asked_for_a_stream_from_then_on() -> None:
    seen = []

    def handler(request):
        seen.append(json.loads(request.content))
        if not seen[-1].get("stream"):
            return error(
                400, "This model only supports stream mode, please enable the stream parameter."
            )
        return stream(
            {"role": "assistant"},
            {"reasoning_content": "hm"},
            {"content": GOOD[:5]},
            {"content": GOOD[5:]},
        )

    client = model(handler)
    answer = client.complete(REQUEST)
    assert (answer.text, answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (
        GOOD,
        7,
        3,
        5,
    )
    client.complete(REQUEST)
    assert [bool(body.get("stream")) for body in seen] == [False, True, True]
    assert seen[1]["stream_options"] == {"include_usage": True}


def test_a_server_without_stream_options_is_asked_without_them() -> None:
    def handler(request):
        if b"stream_options" in request.content:
            return error(422, "extra_forbidden: stream_options")
        return stream({"content": GOOD}, usage=False)

    client = model(handler)
    client.accesses("interaction")[0].memory._capabilities[told(client)] = EndpointCapabilities(
        stream=True
    )
    assert client.complete(REQUEST).text == GOOD


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    client = model(lambda _: stream({"content": GOOD}, finish=None))
    client.accesses("interaction")[0].memory._capabilities[told(client)] = EndpointCapabilities(
        stream=True
    )
    with pytest.raises(Retryable, match="broke off"):
        client.complete(REQUEST)


def test_a_model_that_wants_to_be_told_not_to_think_is_told() -> None:
    seen = []

    def handler(request):
        seen.append(json.loads(request.content))
        if seen[-1].get("enable_thinking") is not False:
            return error(
                400, "parameter.enable_thinking must be set to false for non-streaming calls"
            )
        return httpx2.Response(200, json=completion())

    assert model(handler).complete(REQUEST).text == GOOD
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("words", "largest"),
    [
        (
            "max_tokens is too large: {limit}. This model supports at most 700 completion tokens",
            700,
        ),
        ("Range of max_tokens should be [1, 512]", 512),
        (
            "'max_tokens' is too large: {limit}. This model's maximum context length is 600 tokens",
            600,
        ),
    ],
)
def test_a_limit_that_is_too_large_is_lowered_and_remembered(words, largest) -> None:
    limits = []

    def handler(request):
        limits.append(json.loads(request.content)["max_tokens"])
        return (
            error(400, words.format(limit=limits[-1]))
            if limits[-1] > largest
            else httpx2.Response(200, json=completion())
        )

    client = model(handler)
    client.complete(replace(REQUEST, headroom=900))
    client.complete(replace(REQUEST, headroom=900))
    assert limits == [1_000, largest, largest]


def test_the_headroom_that_an_answer_needed_is_given_to_all_later_ones() -> None:
    limits = []

    def handler(request):
        limits.append(json.loads(request.content)["max_tokens"])
        return httpx2.Response(
            200, json=completion(finish="stop" if limits[-1] > 300 else "length")
        )

    client = model(handler)
    assert not client.complete(REQUEST).complete
    assert client.complete(replace(REQUEST, headroom=300)).complete
    assert client.complete(REQUEST).complete
    assert limits == [100, 400, 400]


def test_what_the_content_filter_took_out_was_paid_for() -> None:
    for told_as in ({"finish": "content_filter"}, {"refusal": "no"}):
        answer = model(
            lambda _, told_as=told_as: httpx2.Response(200, json=completion(**told_as))
        ).complete(REQUEST)
        assert (answer.filtered, answer.input_tokens, answer.output_tokens) == (True, 7, 3)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 64}},
        {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
        {"cached_tokens": 64},
    ],
)
def test_cached_tokens_have_three_names(usage) -> None:
    body = completion()
    body["usage"] |= {"prompt_tokens": 100} | usage
    answer = model(lambda _: httpx2.Response(200, json=body)).complete(REQUEST)
    assert (answer.input_tokens, answer.cached_tokens) == (100, 64)


def test_a_request_that_leaves_without_a_slot_is_a_bug_that_shows() -> None:
    """Out: the look at the time of sending. A client that no longer tells of its heads would pass the limiter by."""
    client = model(lambda _: httpx2.Response(200, json=completion()))
    client._transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=completion()))
    with pytest.raises(RuntimeError, match="without a slot"):
        client.complete(REQUEST)


def test_each_request_makes_room_for_the_next_whatever_became_of_it() -> None:
    for response in (httpx2.Response(200, json=completion()), error(500), error(401)):
        gate = Gate()
        with suppress(Failure):
            model(lambda _, response=response: response, gate).complete(REQUEST)
        assert gate.left == ["x"]


# --- several endpoints --------------------------------------------------------------------------------------------

FILE = """
[[endpoints]]
name = "first"
base_url = "http://first.test/v1"
keys_from = ["FIRST_A", "FIRST_B"]

[[endpoints]]
name = "second"
base_url = "http://second.test/v1"
keys_from = ["SECOND"]

[models.m]
names = {second = "m-there"}
temperature = "default"
reasoning_effort = "low"
extra_body = {top_k = 1}

[models.m.error]
temperature = 0.5
"""


@pytest.fixture
def several(tmp_path, monkeypatch) -> AnalyzerSettings:
    for number, name in enumerate(("FIRST_A", "FIRST_B", "SECOND")):
        monkeypatch.setenv(name, f"key-{number}")
    path = tmp_path / "models.toml"
    path.write_text(FILE)
    return AnalyzerSettings(model="m", models_file=path)


def asked_in_turn(settings: AnalyzerSettings, *answers: httpx2.Response, gates: dict | None = None):
    """Return the client, and what was sent: (host, key, body)."""
    sent, replies = [], iter(answers)

    def handler(request):
        key = request.headers["authorization"].removeprefix("Bearer ")
        sent.append((request.url.host, key, json.loads(request.content)))
        return next(replies)

    made = gates if gates is not None else {}
    client = LLMClient(
        settings,
        Memory(),
        lambda _, name: made.setdefault(name, Gate()),
        process_id=lambda: 1,
        now=lambda: 0.0,
        transport=Connected(handler),
    )
    return client, sent


def test_what_one_key_cannot_answer_the_next_one_is_asked(several) -> None:
    good = httpx2.Response(200, json=completion())
    client, sent = asked_in_turn(several, error(401), error(503), good, good)
    assert client.complete(REQUEST).text == GOOD
    assert [(host, key) for host, key, _ in sent] == [
        ("first.test", "key-0"),
        ("first.test", "key-1"),
        ("second.test", "key-2"),
    ]
    assert [body["model"] for *_, body in sent] == ["m", "m", "m-there"]
    client.complete(REQUEST)
    # The refused key is left alone, and the key that failed once is tried again.
    assert sent[-1][1] == "key-1"


def test_a_key_that_is_paused_is_asked_last(several) -> None:
    gates: dict = {}
    client, sent = asked_in_turn(
        several, *[httpx2.Response(200, json=completion())] * 2, gates=gates
    )
    client.complete(REQUEST)
    next(iter(gates.values())).now_paused = 30.0
    client.complete(REQUEST)
    assert [key for _, key, _ in sent] == ["key-0", "key-1"]


def test_the_soonest_of_all_failures_is_told(several) -> None:
    client, _ = asked_in_turn(
        several,
        error(429, headers={"retry-after": "9"}),
        error(401),
        error(429, headers={"retry-after": "4"}),
    )
    with pytest.raises(Wait) as caught:
        client.complete(REQUEST)
    assert caught.value.seconds == 4


def test_parameters_are_those_of_the_model_and_the_kind(several) -> None:
    good = httpx2.Response(200, json=completion())
    client, sent = asked_in_turn(several, good, good)
    client.complete(REQUEST)
    client.complete(replace(REQUEST, kind="error"))
    plain, of_error = (body for *_, body in sent)
    assert "temperature" not in plain
    assert (plain["reasoning_effort"], plain["top_k"]) == ("low", 1)
    assert (of_error["temperature"], of_error["top_k"]) == (0.5, 1)
