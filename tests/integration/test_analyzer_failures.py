"""What a job is told when its analysis fails, on a real Redis and with a real provider process."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis
from beside import scripted_provider

from edugraph_analyzer.llm.rate_limiter import BREAKERS, Breaker, Failing
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.service import AnalyzerService
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Refused, Rejected, Retryable, Wait
from edugraph_common.contracts.messages import Analysis, AnalysisBatch, ByteRange, CourseContext
from edugraph_common.contracts.outcomes import AnalysisProgress, BatchOutcome, JobReport
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import Blobs

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
ROWS = ByteRange(source="jobs/gone/source", offset=0, length=10, first_line=1)
READ, PACK = 25, 10


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def analyzer(server: "redis.Redis", tmp_path: Path) -> AnalyzerService:
    nobody: Any = None  # neither a broker nor a model is asked here
    return AnalyzerService(
        app=nobody,
        pipeline=nobody,
        jobs=Jobs(server),
        windows=AnalysisWindows(server),
        members=CourseMembers(server),
        model_permits=None,  # type: ignore[arg-type]
        blobs=Blobs(str(tmp_path)),
        now=lambda: NOW,
        pack_size=PACK,
        packs_in_queue=3,
    )


@pytest.fixture
def job(analyzer: AnalyzerService) -> str:
    """All of its records are imported, and are to be read."""
    job_id, jobs = uuid4().hex, analyzer.jobs
    jobs.create(job_id, "import", "a.ndjson", NOW)
    jobs.begin(job_id, 1, NOW)
    written = BatchOutcome(
        job_id=job_id, batch=0, state="written", read=READ, written=READ, analysis_expected=READ
    )
    jobs.settle_batch(written, NOW)
    jobs.imported(job_id, NOW)
    return job_id


def report(analyzer: AnalyzerService, job_id: str) -> JobReport:
    found = analyzer.jobs.report(job_id, NOW)
    assert found is not None
    return found


def failing(job_id: str, expected: int | None = READ) -> AnalysisBatch:
    return AnalysisBatch(job_id=job_id, batch=0, kind="error", rows=ROWS, expected=expected)


def test_a_batch_that_cannot_be_read_leaves_its_job_partly_failed(
    analyzer: AnalyzerService, job: str
) -> None:
    analyzer.batch_failed(failing(job), "the rows are gone")
    seen = report(analyzer, job)
    assert (seen.state, seen.written, seen.analysis.failed) == ("partly failed", READ, READ)
    assert seen.error == "the rows are gone"


def test_a_batch_reported_twice_is_counted_once(analyzer: AnalyzerService, job: str) -> None:
    for _ in range(2):
        analyzer.batch_failed(failing(job), "the rows are gone")
    assert report(analyzer, job).analysis.failed == READ


def test_packs_that_were_sent_after_all_replace_what_was_given_up(
    analyzer: AnalyzerService, job: str
) -> None:
    """The broker may have taken some of the packs before it went away; a replay sends all of them."""
    analyzer.jobs.settle_pack(job, "error-0-0", AnalysisProgress(done=PACK), NOW)
    analyzer.batch_failed(failing(job), "the broker was away")
    half = report(analyzer, job)
    assert (half.state, half.analysis.done, half.analysis.failed) == (
        "partly failed",
        PACK,
        READ - PACK,
    )
    analyzer.jobs.settle_pack(job, "error-0-1", AnalysisProgress(done=PACK), NOW)
    analyzer.jobs.settle_pack(job, "error-0-2", AnalysisProgress(done=READ - 2 * PACK), NOW)
    assert analyzer.jobs.finish_if_complete(job, NOW) == "succeeded"
    assert report(analyzer, job).analysis.failed == 0


def test_a_batch_without_a_number_of_records_ends_its_job(
    analyzer: AnalyzerService, job: str
) -> None:
    """A job that waited for an unknown number of records would wait for ever."""
    with pytest.raises(Rejected, match="neither records nor rows with their number"):
        list(analyzer.packs(failing(job, expected=None)))
    analyzer.batch_failed(failing(job, expected=None), "the rows are gone")
    assert report(analyzer, job).state == "failed"


def test_of_a_cancelled_job_nothing_is_cut_into_packs_looked_up_or_counted(
    analyzer: AnalyzerService, job: str
) -> None:
    analyzer.jobs.cancel(job, NOW)
    records = tuple(record for number in range(READ) for record in pack(job, number).records)
    whole = AnalysisBatch(job_id=job, batch=0, kind="interaction", records=records)
    assert list(analyzer.packs(whole)) == []
    assert analyzer.analyse(pack(job, 1)).state == "cancelled"
    seen = report(analyzer, job)
    assert (seen.state, seen.analysis.done, seen.analysis.failed) == ("cancelled", 0, 0)


def test_each_pack_carries_what_is_known_of_its_own_courses_alone(
    analyzer: AnalyzerService, job: str
) -> None:
    """Out: the choice of contexts. A batch of 100 courses then sends all of them with each of its packs.

    Each pack has the acceptance number of the batch, so that its findings come with the same version of each record.
    """
    records = tuple(
        {
            "type": "error_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "data": {
                "student_id": "s",
                "course_id": f"c{number // PACK}",
                "error_text": f"2 + 2 = {number}",
            },
        }
        for number in range(3 * PACK)
    )
    contexts = tuple(
        CourseContext(course_id=f"c{number}", knowledge_points=("sums",)) for number in range(5)
    )
    whole = AnalysisBatch(
        job_id=job, batch=0, kind="error", records=records, contexts=contexts, acceptance=7
    )
    packs = list(analyzer.packs(whole))
    told = [[context.course_id for context in pack.contexts] for pack in packs]
    assert told == [["c0"], ["c1"], ["c2"]]
    assert [pack.acceptance for pack in packs] == [7, 7, 7]


# --- a key or a model that the provider refuses -------------------------------------------------------------------


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with scripted_provider() as url:
        yield url


def asked(provider: str, script: dict[str, Any] | None = None) -> int:
    root = provider.removesuffix("/v1")
    if script is not None:
        httpx2.post(f"{root}/script", json=script)
    return len(httpx2.get(f"{root}/log").json()["requests"])


def pack(job_id: str, number: int) -> Analysis:
    data = {
        "teacher_id": "t",
        "student_id": "s",
        "text": f"{job_id} {number}: why a common denominator?",
    }
    record = {
        "type": "teacher_interaction",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": f"r{number}",
    }
    return Analysis(
        job_id=job_id, pack=f"p{number}", kind="interaction", records=({**record, "data": data},)
    )


REFUSALS = [
    ({"keys": ["other"]}, "set EDUGRAPH_OPENAI_API_KEY"),
    ({"models": ["other"]}, "set EDUGRAPH_MODEL"),
]


@pytest.mark.parametrize(("script", "sentence"), REFUSALS)
def test_one_refused_request_ends_all_packs_of_a_job(
    server, provider, job, script, sentence
) -> None:
    asked(provider, script)
    settings = AnalyzerSettings(
        openai_api_key=job, openai_base_url=provider, model=job, requests_per_minute=6_000
    )
    pipeline = Pipeline(settings, server)
    for number in range(20):
        with pytest.raises(Rejected, match=sentence):
            pipeline.analyse(pack(job, number))
    assert asked(provider) == 1


def test_another_key_is_tried_at_once(server, provider, job) -> None:
    asked(provider, {"keys": [f"{job}-good"]})
    told = {"openai_base_url": provider, "model": job, "requests_per_minute": 6_000}
    with pytest.raises(Rejected):
        Pipeline(AnalyzerSettings(openai_api_key=job, **told), server).analyse(pack(job, 1))
    result = Pipeline(AnalyzerSettings(openai_api_key=f"{job}-good", **told), server).analyse(
        pack(job, 1)
    )
    assert len(result.findings) == 1


NO_PRICE = {"budget_per_job": 1.0, "prices": {}}


@pytest.mark.parametrize(
    "cause",
    [
        ({"keys": ["other"]}, {}, "set EDUGRAPH_OPENAI_API_KEY"),
        ({"models": ["other"]}, {}, "set EDUGRAPH_MODEL"),
        ({"faults": [{"kind": "402"}]}, {}, "no credit or quota left"),
        (
            {"faults": [{"kind": "429", "code": "insufficient_quota"}]},
            {},
            "no credit or quota left",
        ),
        ({}, NO_PRICE, "has no price: set EDUGRAPH_PRICES="),
    ],
)
def test_what_no_pack_can_be_answered_for_ends_the_job_with_one_sentence_and_no_dead_letter(
    server, provider, analyzer, job, cause
) -> None:
    script, chosen, sentence = cause
    asked(provider, script)
    settings = AnalyzerSettings(
        openai_api_key=job, openai_base_url=provider, model=job, requests_per_minute=6_000, **chosen
    )
    refusing = replace(analyzer, pipeline=Pipeline(settings, server))
    # A failure would be a dead letter.
    states = [refusing.analyse(pack(job, number)).state for number in range(5)]
    assert states == ["cancelled"] * 5
    seen = report(analyzer, job)
    assert seen.state == "failed"
    assert sentence in (seen.error or "")
    assert asked(provider) <= 1


def test_the_line_to_add_for_a_price_is_one_that_works(server, provider, job, tmp_path) -> None:
    asked(provider, {})
    told = {
        "openai_base_url": provider,
        "openai_api_key": job,
        "model": job,
        "requests_per_minute": 6_000,
    }
    with pytest.raises(Refused) as caught:
        Pipeline(AnalyzerSettings(**told, **NO_PRICE), server).analyse(pack(job, 1))
    prices = json.loads(caught.value.reason.split("EDUGRAPH_PRICES='")[1].split("'")[0])
    line = caught.value.reason.split("or add ")[1].split(" to the file")[0]
    path = tmp_path / "models.toml"
    path.write_text(line.replace("] price", "]\nprice"))
    for chosen in ({"prices": prices}, {"models_file": path, "prices": {}}):
        result = Pipeline(AnalyzerSettings(**told, budget_per_job=1.0, **chosen), server).analyse(
            pack(job, 1)
        )
        assert len(result.findings) == 1


# --- an outage of the provider ------------------------------------------------------------------------------------

PACKS, THREADS, RETRIES = 40, 8, 3
SCALE = 100  # an outage of five minutes in three seconds
SCALED = {
    name: replace(each, first_seconds=each.first_seconds / SCALE) for name, each in BREAKERS.items()
}


def test_an_outage_of_five_minutes_uses_up_no_packs_tries_and_all_is_done_afterwards(
    server, provider, job
) -> None:
    """Packs are tried again as the tasks' base class does it. Out: the pause from the third failure in a row on."""
    asked(provider, {"faults": [{"kind": "503"}]})
    settings = AnalyzerSettings(
        openai_api_key=job,
        openai_base_url=provider,
        model=job,
        requests_per_minute=60_000,
        longest_wait_seconds=0.2,
    )
    scaled: dict[Failing, Breaker] = {
        name: replace(each, longest_seconds=3) for name, each in SCALED.items()
    }
    pipeline = Pipeline(settings, server, breakers=scaled)

    def end_of(number: int) -> str:
        tries = 0
        while True:
            try:
                return "found" if pipeline.analyse(pack(job, number)).findings else "nothing"
            except Wait as wait:
                time.sleep(min(wait.seconds, 60) / SCALE)
            except Retryable as error:
                tries += 1
                if tries > RETRIES:
                    return f"dead letter: {error.reason}"
                time.sleep(2**tries / SCALE)

    def end_outage() -> None:
        time.sleep(300 / SCALE)
        httpx2.post(f"{provider.removesuffix('/v1')}/script", json={})

    with ThreadPoolExecutor(THREADS + 1) as pool:
        ended = pool.submit(end_outage)
        ends = list(pool.map(end_of, range(PACKS)))
        ended.result()
    assert ends == ["found"] * PACKS
