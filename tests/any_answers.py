"""Helpers for tests of answers: a client that is asked once, and strategies for JSON of any type.

The client, the resolver and the mapping are real. The transport gives each request the same response.
"""

import json
import uuid
from typing import Any, cast

import httpx2
from hypothesis import strategies as st

from edugraph_analyzer.costs import Spending, Usage
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.llm.client import LLMClient
from edugraph_analyzer.llm.rate_limiter import Slot
from edugraph_analyzer.pipeline import Resolver
from edugraph_analyzer.prompting.questions import Question, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.contracts.findings import Kind

SETTINGS = AnalyzerSettings(
    openai_api_key="k",
    openai_base_url="http://provider.test/v1",
    model="m",
    prices={"m": {"input": 1, "output": 2}},
)
RECORDS: dict[Kind, tuple[str, dict[str, Any]]] = {
    "interaction": (
        "teacher_interaction",
        {"teacher_id": "t", "student_id": "s", "text": "I think it is 3/4 here"},
    ),
    "error": (
        "error_record",
        {"student_id": "s", "course_id": "c", "error_text": "I think it is 3/4 here"},
    ),
    "knowledge_points": ("course_content", {"course_id": "c", "content": "I think it is 3/4 here"}),
}


class Memory:
    def get(self, _name: str) -> None:
        return None

    def set(self, *_: Any, **__: Any) -> None:
        return


class Gate:
    """A limiter that lets all requests through, and keeps the reasons of pauses."""

    def __init__(self) -> None:
        self.paused: list[str] = []

    def reserve(self, _model: str, tokens: int) -> Slot:
        return Slot(1, 0.0, 0, tokens, 60.0, "x")

    def confirm(self, _model: str, slot: Slot) -> Slot:
        return slot

    def pause(self, _model: str, why: str, *_: Any) -> float:
        self.paused.append(why)
        return 0.0

    def settle(self, _model: str, _slot: Slot, tokens: int | None) -> None:
        assert tokens is None or tokens >= 0

    def leave(self, *_: Any) -> None:
        return

    def worked(self, _model: str) -> None:
        return


class Ledger:
    def __init__(self) -> None:
        self.usages: list[Usage] = []

    def check(self, *_: Any) -> None:
        return

    def add(self, _job: str, _kind: Kind, _model: str, usage: Usage) -> None:
        self.usages.append(usage)


class Transport(httpx2.MockTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
        return super().handle_request(request)


class Bench:
    """Asks one question of a kind and gives each request the same response."""

    def __init__(self, response: httpx2.Response) -> None:
        self.gate, self.ledger, self.requests = Gate(), Ledger(), 0

        def handler(_: httpx2.Request) -> httpx2.Response:
            self.requests += 1
            return httpx2.Response(
                response.status_code, headers=response.headers, content=response.content
            )

        self.client = LLMClient(
            SETTINGS,
            cast("Any", Memory()),
            lambda *_: cast("Any", self.gate),
            process_id=lambda: 1,
            now=lambda: 0.0,
            transport=Transport(handler),
        )

    def ask(self, kind: Kind) -> list[Any]:
        """Return the findings. Raises Failure only."""
        record_type, data = RECORDS[kind]
        record = {"type": record_type, "timestamp": "2026-01-05T08:00:00Z", "data": data}
        question = question_of(read_document(record, kind, []), SETTINGS)
        resolver = Resolver(
            SETTINGS,
            self.client,
            cast("Spending", self.ledger),
            "job",
            kind,
            is_cancelled=lambda _: False,
            new_id=lambda: uuid.uuid4().hex,
        )
        return [
            found(question, each.answer) for each in resolver.resolve([question]) if each.answer
        ]


def found(question: Question, answer: Any) -> Any:
    # Answers are JSON in Redis and on their way to the importer.
    json.dumps(answer.model_dump(), allow_nan=False)
    answer.model_dump_json()
    finding = to_finding(answer, MappingContext(question.document, question.redactor, 0.5))
    finding.model_dump_json().encode()
    return finding


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        [
            "",
            "85 %",
            "0.9",
            "r1",
            "R1",
            "error",
            "stop",
            "\ud800",
            "\x00",
            "positive",
            "core",
            "[",
            "{}",
        ]
    ),
)
NAMES = st.sampled_from(
    [
        "id",
        "answers",
        "sentiment",
        "topics",
        "evidence",
        "confidence",
        "error_types",
        "knowledge_points",
        "prerequisites",
        "name",
        "strength",
        "point",
        "requires",
        "quote",
        "importance",
        "description",
        "category",
        "difficulty",
        "severity",
        "shows_mistake",
        "what_went_wrong",
        "content",
        "message",
        "choices",
        "delta",
        "usage",
        "error",
        "code",
        "status",
        "type",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "finish_reason",
        "refusal",
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "reasoning_content",
        "index",
    ]
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def written(value: Any) -> str:
    """JSON as servers write it: with NaN, and with numbers of any length."""
    return json.dumps(value)


def completion(message: Any, **more: Any) -> bytes:
    usage = {"prompt_tokens": 700, "completion_tokens": 30}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    } | more
    return written(body).encode()


def assert_ends_well(response: httpx2.Response, kind: Kind) -> Bench:
    bench = Bench(response)
    findings = list[Any]()
    failed: Failure | None = None
    try:
        findings = bench.ask(kind)
    except Failure as failure:
        failed = failure
    assert bench.gate.paused or not isinstance(failed, Retryable), (
        "a failure that the breaker has not met"
    )
    paid = 0 < sum(usage.cost for usage in bench.ledger.usages) < 1e6
    assert paid or not findings
    assert all(
        usage.input_tokens >= 0 and usage.output_tokens >= 0 and usage.cost >= 0
        for usage in bench.ledger.usages
    )
    assert bench.requests <= 12
    return bench


KINDS = st.sampled_from(sorted(RECORDS))
