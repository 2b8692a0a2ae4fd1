"""Whatever a provider answers ends as findings or as one of the failures, from the bytes of a response to the finding.

The client, the resolver and the mapping are real, and the transport gives what hypothesis draws. A failure that is none
of the contract's is a bug that would lose an answer which was paid for.
"""

import json
from typing import Any, cast

import httpx2
import pytest
from any_answers import (
    ANY,
    KINDS,
    RECORDS,
    Bench,
    Transport,
    assert_ends_well,
    completion,
    written,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edugraph_analyzer.llm.responses import AnsweredError, Asked, response_of
from edugraph_analyzer.prompting.questions import LLMRequest, Unanswerable
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.findings import Kind


@settings(max_examples=150, deadline=None)
@given(ANY, KINDS, st.sampled_from([200, 200, 200, 201, 302, 400, 401, 429, 500]))
def test_any_body_ends_well(body: Any, kind: Kind, status: int) -> None:
    assert_ends_well(httpx2.Response(status, text=written(body)), kind)


@settings(max_examples=150, deadline=None)
@given(ANY, ANY, KINDS)
@example({}, {"prompt_tokens": "x", "completion_tokens": None}, "interaction")
def test_any_message_and_usage_end_well(message: Any, usage: Any, kind: Kind) -> None:
    bench = assert_ends_well(httpx2.Response(200, content=completion(message, usage=usage)), kind)
    assert sum(used.cost for used in bench.ledger.usages) > 0


@settings(max_examples=200, deadline=None)
@given(
    ANY,
    KINDS,
    st.sampled_from(
        ["{}", '{{"answers": {}}}', '{{"answers": [{}]}}', "x {} y", '{{"answers": [{}, {{']
    ),
)
def test_any_answer_of_a_model_ends_well(answer: Any, kind: Kind, around: str) -> None:
    content = around.format(written(answer))
    assert_ends_well(httpx2.Response(200, content=completion({"content": content})), kind)
    call = {"content": None, "tool_calls": [{"function": {"arguments": content}}]}
    assert_ends_well(httpx2.Response(200, content=completion(call)), kind)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY, max_size=4), KINDS, st.booleans())
def test_any_stream_ends_well(events: list[Any], kind: Kind, ends: bool) -> None:
    if ends:
        events = [*events, {"choices": [{"finish_reason": "stop"}]}]
    text = "".join(f"data: {written(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    assert_ends_well(httpx2.Response(200, text=text), kind)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), KINDS)
@example(b"[" * 100_000, "error")
@example(b'{"choices": ' * 5_000, "error")
@example(b'{"a": 1' + b"0" * 5_000 + b"}", "error")
@example(b'{"choices": [{"message": {"content": "\xff"}}]}', "error")
@example(b"<html>login</html>", "error")
@example(b"", "error")
def test_any_bytes_end_well(content: bytes, kind: Kind) -> None:
    assert_ends_well(httpx2.Response(200, content=content), kind)


def nested(depth: int) -> str:
    return '{"content": [' * depth + "1" + "]}" * depth


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_what_is_nested_deeply_ends_well(kind: Kind) -> None:
    """Python reads JSON somewhat deeper than it can write it, or walk through it."""
    for depth in (200, 300, 400, 440, 460, 480, 490, 500, 5_000):
        deep = nested(depth)
        call = f'{{"tool_calls": [{{"function": {{"arguments": {deep}}}}}]}}'
        for message in (f'{{"content": {deep}}}', f'{{"content": [{deep}]}}', call):
            body = f'{{"choices": [{{"message": {message}}}]}}'
            assert_ends_well(httpx2.Response(200, text=body), kind)
        for body in (
            f'{{"error": {deep}}}',
            f'{{"error": {{"message": {deep}, "code": {deep}}}}}',
            deep,
        ):
            for status in (200, 400, 500):
                assert_ends_well(httpx2.Response(status, text=body), kind)
        for content in (
            deep,
            f'{{"answers": [{deep}]}}',
            f'{{"answers": [{{"id": "r1", "topics": {deep}}}]}}',
        ):
            assert_ends_well(httpx2.Response(200, content=completion({"content": content})), kind)


def test_a_value_that_is_nested_more_deeply_than_it_can_be_written_is_read_as_none() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"content": [deep]}
    assert response_of({"choices": [{"message": {"content": deep}}]}, Asked(10)).text == ""
    with pytest.raises(AnsweredError):
        response_of({"error": {"message": deep}}, Asked(10))


# --- what is read in the end --------------------------------------------------------------------------------------

GOOD = {
    "id": "r1",
    "sentiment": "neutral",
    "topics": [],
    "evidence": ["I think it is"],
    "confidence": 0.9,
}
GOOD_TEXT = json.dumps({"answers": [GOOD]})
CALL = {"function": {"name": "answer", "arguments": GOOD_TEXT}}
GOOD_MESSAGES: dict[str, Any] = {
    "a text": {"content": GOOD_TEXT},
    "parts": {
        "content": [
            {"type": "text", "text": GOOD_TEXT[:9]},
            {"type": "text", "text": GOOD_TEXT[9:]},
        ]
    },
    "an object": {"content": {"answers": [GOOD]}},
    "a text in a text": {"content": json.dumps(GOOD_TEXT)},
    "a tool": {"content": None, "tool_calls": [CALL]},
    "a tool and prose": {"content": "I call the tool.", "tool_calls": [CALL]},
    "a tool with an object": {"tool_calls": [{"function": {"arguments": {"answers": [GOOD]}}}]},
    "a function of old": {"content": "", "function_call": {"arguments": GOOD_TEXT}},
    "a lone answer": {"content": json.dumps(GOOD)},
    "more than was asked for": {
        "content": json.dumps({"note": 1, "answers": [GOOD | {"reasoning": "x", "n": 2}]})
    },
    "percents": {"content": json.dumps({"answers": [GOOD | {"confidence": "90 %"}]})},
}


@pytest.mark.parametrize("way", GOOD_MESSAGES)
def test_a_good_answer_is_read_with_one_request_in_whatever_way_it_comes(way: str) -> None:
    bench = Bench(
        httpx2.Response(200, content=completion({"role": "assistant"} | GOOD_MESSAGES[way]))
    )
    (finding,) = bench.ask("interaction")
    assert (finding.sentiment, finding.confidence, bench.requests) == ("neutral", 0.9, 1)


def streamed(*deltas: dict[str, Any], end: str = "\n\n") -> str:
    pieces: list[Any] = [{"choices": [{"delta": delta}]} for delta in deltas]
    pieces.append(
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 700}}
    )
    return "".join(f"data: {json.dumps(piece, ensure_ascii=False)}{end}" for piece in pieces)


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_a_stream_that_nobody_asked_for_is_read_and_so_are_tools_in_it(end: str) -> None:
    strange = json.dumps({"answers": [GOOD | {"note": "\u2028\x85\x0b"}]}, ensure_ascii=False)
    parts = [
        {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
        for part in (strange[:20], strange[20:])
    ]
    for deltas in ([{"content": strange[:20]}, {"content": strange[20:]}], parts):
        bench = Bench(httpx2.Response(200, text=": PROCESSING\n\n" + streamed(*deltas, end=end)))
        assert len(bench.ask("interaction")) == 1
        assert bench.requests == 1


# --- money --------------------------------------------------------------------------------------------------------

BAD_NUMBERS = [None, "700", -5, True, 0, 1, 1e300, 10**40, [700], {}]


@pytest.mark.parametrize("number", BAD_NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_number_of_tokens_that_cannot_be_true_is_estimated_and_marked(
    name: str, number: Any
) -> None:
    """An instruction has about 500 tokens, and this answer about 60."""
    usage = {"prompt_tokens": 700, "completion_tokens": 30} | {name: number}
    content = json.dumps({"answers": [GOOD | {"note": "x" * 200}]})
    bench = Bench(httpx2.Response(200, content=completion({"content": content}, usage=usage)))
    assert len(bench.ask("interaction")) == 1
    (used,) = bench.ledger.usages
    assert used.estimated == 1
    assert used.input_tokens in range(300, 2_000)
    assert used.output_tokens in range(30, 150)


@pytest.mark.parametrize(
    "usage", [None, {}, [], "none", 7, {"prompt_tokens": 700}, {"completion_tokens": 30}]
)
def test_usage_that_is_missing_is_estimated(usage: Any) -> None:
    bench = Bench(httpx2.Response(200, content=completion({"content": GOOD_TEXT}, usage=usage)))
    bench.ask("interaction")
    (used,) = bench.ledger.usages
    assert (used.estimated, used.input_tokens > 300, used.output_tokens > 20) == (1, True, True)


def test_what_is_told_and_can_be_true_is_counted_as_it_is_told() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 99_999}}
    usage = {"prompt_tokens": 700, "completion_tokens": 30.0} | details
    bench = Bench(httpx2.Response(200, content=completion({"content": GOOD_TEXT}, usage=usage)))
    bench.ask("interaction")
    (used,) = bench.ledger.usages
    assert (used.input_tokens, used.output_tokens, used.estimated) == (700, 30, 0)
    assert used.cached_tokens == 700, "no more than the input"


@pytest.mark.parametrize(
    ("raised", "is_paid"),
    [
        (httpx2.ReadTimeout("x"), True),
        (httpx2.RemoteProtocolError("x"), True),
        (httpx2.Response(200, content=b'{"choices": [{"mess'), True),
        (httpx2.Response(200, text="data: {}\n\n"), True),
        (httpx2.Response(200, json={"ok": True}), True),
        (httpx2.Response(200, text="<html>login</html>"), False),
        (httpx2.Response(500), False),
        (httpx2.Response(429), False),
        (httpx2.Response(401), False),
    ],
)
def test_an_answer_that_does_not_come_counts_its_input(raised: Any, is_paid: bool) -> None:
    bench = Bench(httpx2.Response(200))

    def handler(_: httpx2.Request) -> httpx2.Response:
        if isinstance(raised, Exception):
            raise raised
        return cast("httpx2.Response", raised)

    bench.client._transport = Transport(handler)
    with pytest.raises(Failure):
        bench.ask("interaction")
    counted = [(used.input_tokens > 300, used.estimated) for used in bench.ledger.usages]
    assert counted == ([(True, 1)] if is_paid else [])


# --- errors inside of status 200 ----------------------------------------------------------------------------------

REQUEST = LLMRequest("interaction", [{"role": "user", "content": "u"}], 100, items=1)
TOLD: list[tuple[Any, str, str]] = [
    *(({"error": {"code": code}}, "Refused", "credit") for code in (402, "402")),
    ({"error": {"code": "insufficient_quota", "message": "no"}}, "Refused", "credit"),
    ({"error": {"code": 401, "message": "User not found"}}, "Refused", "EDUGRAPH_OPENAI_API_KEY"),
    ({"error": {"type": "authentication_error"}}, "Refused", "EDUGRAPH_OPENAI_API_KEY"),
    ({"error": {"code": "model_not_found"}}, "Refused", "EDUGRAPH_MODEL"),
    ({"error": {"code": 429}}, "ProviderBusy", "429"),
    ({"error": "Rate limit exceeded"}, "ProviderBusy", "429"),
    ({"code": 429, "message": "slow down"}, "ProviderBusy", "429"),
    ({"error": {"code": 502, "message": "bad gateway"}}, "Retryable", "502"),
    ({"error": {"message": "?"}}, "Retryable", "502"),
    ({"error": "?"}, "Retryable", "502"),
    (
        {"object": "error", "message": "maximum context length is 9", "code": 400},
        "Unanswerable",
        "too long",
    ),
    ({"choices": [{"error": {"code": 503}, "finish_reason": "error"}]}, "Retryable", "503"),
    ({"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}, "Retryable", "502"),
    ([{"error": {"code": 403, "status": "PERMISSION_DENIED"}}], "Refused", "403"),
    ({"error": {"status": "RESOURCE_EXHAUSTED"}}, "ProviderBusy", "429"),
    ({"error": {"status": "UNAUTHENTICATED"}}, "Refused", "EDUGRAPH_OPENAI_API_KEY"),
    # Some proxies name the error beside no `error`.
    ({"detail": "Not authenticated"}, "Refused", "EDUGRAPH_OPENAI_API_KEY"),
    ({"errors": [{"message": "Insufficient credits"}]}, "Refused", "credit"),
    ({"success": False, "error_code": 429}, "ProviderBusy", "429"),
    ({"errorCode": "503"}, "Retryable", "503"),
]


@pytest.mark.parametrize(("body", "failure", "words"), TOLD, ids=lambda value: str(value)[:60])
def test_an_error_inside_of_200_is_read_as_the_status_that_it_names(
    body: Any, failure: str, words: str
) -> None:
    stream = "".join(
        f"data: {json.dumps(piece)}\n\n"
        for piece in ({"choices": [{"delta": {"content": "a"}}]}, body)
    )
    responses = [httpx2.Response(200, json=body, headers={"retry-after": "7"})]
    if isinstance(body, dict) and body.get("error"):
        responses.append(httpx2.Response(200, text=stream, headers={"retry-after": "7"}))
    for response in responses:
        bench = Bench(response)
        with pytest.raises((Failure, Unanswerable)) as caught:
            bench.client.complete(REQUEST)
        assert type(caught.value).__name__ == failure
        assert words in getattr(caught.value, "reason", "")
        assert ("refused" in bench.gate.paused) == (failure == "ProviderBusy")
        assert ("failed" in bench.gate.paused) == (failure == "Retryable")


# --- redirects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://new.test/v1/chat/completions?key=SECRET", "https://new.test ("),
        ("https://user:SECRET@new.test:8443/SECRET", "https://new.test:8443 ("),
        ("//new.test/SECRET", "http://new.test ("),
        ("/v2/SECRET", "another path of provider.test ("),
        ("https://new.test:SECRET/", "another address ("),
        ("", "another path of provider.test ("),
        ("http://[SECRET", "another address ("),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_new_address_is_named(
    status: int, location: str, there: str
) -> None:
    bench = Bench(httpx2.Response(status, headers={"location": location}))
    with pytest.raises(Failure) as caught:
        bench.client.complete(REQUEST)
    assert type(caught.value).__name__ == "Refused"
    assert there in caught.value.reason
    assert "SECRET" not in caught.value.reason
    assert "EDUGRAPH_OPENAI_BASE_URL" in caught.value.reason
    assert bench.requests == 1
