"""The economy way on a provider with batches: each text asked and paid once, wherever a process dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from analyzer_bench import Provider, chats, course, mistake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_analyzer.costs import Spending, cost_key, usage_of
from edugraph_analyzer.economy import Economy
from edugraph_analyzer.llm.batches import ProviderBatches
from edugraph_analyzer.pipeline import PackResult, Pipeline
from edugraph_analyzer.prompting.questions import Cancelled
from edugraph_analyzer.service import AnalyzerService
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Refused, Wait
from edugraph_common.contracts.messages import Analysis
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

PRICE = {"input": 1.0, "output": 2.0, "batch": 0.5}
CALLS = ("upload", "uploads", "create", "find", "look", "answers", "delete")
TEXTS, PACK = 12, 5


class Killed(BaseException):
    """In the place of SIGKILL: nothing but `finally` runs after it, and that gives back a lock that would end anyway."""


class Bench:
    """Pipelines of one model, with a clock that goes on when one of them is told to wait."""

    def __init__(self, server: Any, provider: Provider, name: str, **more: Any) -> None:
        self.server, self.provider, self.name, self.cancelled, self.time = (
            server,
            provider,
            name,
            False,
            0.0,
        )
        chosen: dict[str, Any] = {
            "requests_per_minute": 6_000,
            "pack_size": PACK,
            "prices": {name: PRICE},
        }
        chosen |= {"one_student_per_pack": False} | more
        # A transport takes longer to make than a pipeline takes here.
        self._transport = httpx2.HTTPTransport()
        self._settings = AnalyzerSettings(
            openai_api_key=name, openai_base_url=provider.url, model=name, **chosen
        )

    def now(self) -> float:
        return time.time() + self.time

    def pipeline(self) -> Pipeline:
        """Another process, as far as Redis and the provider can tell."""
        return Pipeline(
            self._settings,
            self.server,
            now=self.now,
            is_cancelled=lambda _: self.cancelled,
            transport=self._transport,
        )

    def finished(self, message: Analysis, waits: int = 20) -> PackResult:
        one = self.pipeline()
        for _ in range(waits):
            try:
                return one.analyse(message)
            except Wait as wait:
                self.time += wait.seconds
        raise AssertionError("the pack waits for ever")

    def asked(self) -> Counter[str]:
        """How often the provider has answered each text."""
        told = (each for each in self.provider.requests() if each["status"] == 200)
        return Counter(text for each in told for text in each["texts"])

    def stored(self) -> dict[str, list[str]]:
        return dict(httpx2.get(self.provider.url.removesuffix("/v1") + "/stored").json())


@pytest.fixture
def bench(server: Any, provider: Provider, name: str) -> Bench:
    provider.script()
    return Bench(server, provider, name)


def economy(name: str, count: int = TEXTS, **more: Any) -> Analysis:
    return chats(name, count, **more).model_copy(update={"economy": True})


def assert_each_once(bench: Bench, result: PackResult, texts: int = TEXTS) -> None:
    """Every text was answered once, and paid once at half the price; the provider has no file any more."""
    asked = bench.asked()
    assert (len(result.findings), len(asked), set(asked.values())) == (texts, texts, {1})
    log = bench.provider.requests()
    assert all("batch" in each for each in log)
    (usage,) = usage_of(bench.server, bench.name).values()
    assert usage.requests == len(log)
    expected = (
        usage.input_tokens * PRICE["input"] + usage.output_tokens * PRICE["output"]
    ) / 2_000_000
    assert usage.cost == pytest.approx(expected)
    assert sum(found.origin.input_tokens for found in result.findings) == usage.input_tokens
    assert sum(found.origin.cost for found in result.findings) == pytest.approx(usage.cost)
    assert float(bench.server.hget(cost_key(bench.name), "reserved") or 0) == pytest.approx(0)
    assert bench.stored()["files"] == []


def test_a_pack_is_read_by_one_batch_for_half_the_price(bench: Bench, name: str) -> None:
    with pytest.raises(Wait, match="batch"):
        bench.pipeline().analyse(economy(name))
    result = bench.finished(economy(name))
    assert_each_once(bench, result)
    # The texts that go out are redacted as always.
    assert "Maria" not in json.dumps(bench.provider.requests())
    again = bench.pipeline().analyse(economy(name))
    assert [found.origin.cost for found in again.findings] == [
        found.origin.cost for found in result.findings
    ]
    assert_each_once(bench, again)


def test_an_id_in_a_batch_means_the_point_that_was_shown_when_it_was_sent(
    bench: Bench, name: str
) -> None:
    """Guard: the points in the state of the batch. A course may have other points when the answer comes."""
    bench.provider.script(faults=[{"kind": "first_id", "every": 1}])
    asked = mistake(name, f"{name}: 1/2 + 1/3 = 2/5").model_copy(update={"economy": True})
    sent = asked.model_copy(update={"contexts": (course(name, "unlike fractions"),)})
    with pytest.raises(Wait, match="batch"):
        bench.pipeline().analyse(sent)
    result = bench.finished(asked.model_copy(update={"contexts": (course(name, "angles"),)}))
    (found,) = result.findings
    assert [point.name for point in found.finding.knowledge_points] == ["unlike fractions"]
    assert sum(bench.asked().values()) == 1


def test_a_batch_that_tells_nothing_of_its_tokens_is_estimated(bench: Bench, name: str) -> None:
    bench.provider.script(usage=None)
    result = bench.finished(economy(name))
    assert_each_once(bench, result)
    (usage,) = usage_of(bench.server, name).values()
    assert usage.estimated == usage.requests
    assert usage.input_tokens > 300 * usage.requests
    assert usage.cost > 0


@contextmanager
def cut(points: set[tuple[int, bool]], stop: Callable[[], None]) -> Iterator[list[str]]:
    """Have the process die at some of its outside calls and writes, by their number, before or after they are done."""
    seen: list[str] = []

    def cutting(of: type, called: str, patch: pytest.MonkeyPatch) -> None:
        done = getattr(of, called)

        def call(*given: Any, **named: Any) -> Any:
            number = len(seen)
            seen.append(called)
            if (number, False) in points:
                stop()
            answer = done(*given, **named)
            if (number, True) in points:
                stop()
            return answer

        patch.setattr(of, called, call)

    with pytest.MonkeyPatch.context() as patch:
        for called in CALLS:
            cutting(ProviderBatches, called, patch)
        for called in ("_write", "_claimed"):
            cutting(Economy, called, patch)
        for called in ("reserve", "settle_batch"):
            cutting(Spending, called, patch)
        yield seen


def die() -> None:
    raise Killed


def survived(bench: Bench, message: Analysis, points: set[tuple[int, bool]]) -> PackResult:
    """Finish a pack, with another process each time that one dies."""
    with cut(points, die):
        for _ in range(len(points) + 1):
            with suppress(Killed):
                return bench.finished(message)
    raise AssertionError("it died more often than it was killed")


def test_a_process_may_die_at_any_step(bench: Bench, name: str) -> None:
    """Out: `find` in Economy._find (a batch that was started is started again), `settle_batch`'s look at what it
    counted, or `uploads` in Economy.read (a file is left at the provider).
    """
    with cut(set(), die) as steps:
        bench.finished(economy(name, job=f"{name}-uncut", prefix="uncut "))
    for number in range(len(steps)):  # before the next one is nearly after this one
        bench.provider.script()
        bench.name = f"{name}-{number}"
        result = survived(
            bench, economy(name, job=bench.name, prefix=f"{number} "), {(number, True)}
        )
        assert_each_once(bench, result)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(points=st.sets(st.tuples(st.integers(0, 30), st.booleans()), max_size=4))
def test_processes_may_die_one_after_another(
    bench: Bench, name: str, counter: Iterator[int], points: set[tuple[int, bool]]
) -> None:
    bench.provider.script()
    bench.name = f"{name}-{next(counter)}"
    assert_each_once(
        bench, survived(bench, economy(name, job=bench.name, prefix=bench.name), points)
    )


@pytest.fixture(scope="module")
def counter() -> Iterator[int]:
    return iter(range(1_000_000))


DYING = """
import os, signal, sys
sys.path[:0] = ["tests", "tests/integration"]
import redis
from analyzer_bench import Provider
import test_analyzer_economy as tests
url, address, name, step = sys.argv[1:]
bench = tests.Bench(redis.Redis.from_url(url), Provider(address), name, call_timeout_seconds=1, connect_timeout_seconds=0.1)
with tests.cut({(int(step), True)}, lambda: os.kill(os.getpid(), signal.SIGKILL)):
    bench.finished(tests.economy(name))
"""


@pytest.mark.parametrize(
    "redis_of_session",
    [pytest.param("redis", marks=pytest.mark.real)],
    indirect=True,
    scope="session",
)
def test_a_killed_process_leaves_what_the_next_one_needs(
    server: Any, redis_url: str, provider: Provider, name: str
) -> None:
    """SIGKILL after a batch was started and before it was noted."""
    provider.script()
    bench = Bench(server, provider, name, call_timeout_seconds=1, connect_timeout_seconds=0.1)
    with cut(set(), die) as steps:
        bench.finished(economy(name, job=f"{name}-0", prefix="0 "))
    provider.script()
    command = [
        sys.executable,
        "-c",
        DYING,
        redis_url,
        provider.url,
        name,
        str(steps.index("create")),
    ]
    died = subprocess.run(command, check=False, env=os.environ, timeout=60)
    assert died.returncode == -signal.SIGKILL
    time.sleep(2.3)  # the lock of the process that died ends
    assert_each_once(bench, bench.finished(economy(name)))


def test_a_batch_is_cancelled_with_its_job_and_who_resumes_it_pays_for_the_rest(
    bench: Bench, name: str
) -> None:
    """Out: `batches.cancel` in Economy._looked_at."""
    bench.provider.script(batch_seconds=3_600, cancelled_after=1)
    with pytest.raises(Wait):
        bench.pipeline().analyse(economy(name))
    assert bench.pipeline().is_under_way(economy(name))
    bench.cancelled = True
    with pytest.raises(Cancelled):
        bench.finished(economy(name))
    assert bench.asked().total() == PACK  # the provider had answered one request when it stopped
    assert not bench.pipeline().is_under_way(economy(name))
    assert bench.stored()["files"] == []
    (usage,) = usage_of(bench.server, name).values()
    assert usage.requests == 1
    bench.cancelled = False
    bench.provider.script()
    result = bench.finished(economy(name))
    assert len(result.findings) == TEXTS
    assert bench.asked().total() == TEXTS - PACK


def test_the_answer_to_a_text_that_was_erased_meanwhile_is_paid_and_not_kept(
    bench: Bench, name: str
) -> None:
    message = economy(name)
    with pytest.raises(Wait):
        bench.pipeline().analyse(message)
    result = bench.finished(message.model_copy(update={"records": message.records[1:]}))
    assert [found.record["record_id"] for found in result.findings] == [
        f"r{number}" for number in range(1, TEXTS)
    ]
    assert (len(bench.asked()), set(bench.asked().values())) == (TEXTS, {1})
    (usage,) = usage_of(bench.server, name).values()
    assert usage.requests == len(bench.provider.requests())


@pytest.mark.parametrize("under_way", [True, False])
def test_a_cancelled_pack_is_left_out_once_the_provider_has_nothing_of_it(
    bench: Bench, name: str, redis_url: str, *, under_way: bool
) -> None:
    """Out: `is_under_way` in AnalyzerService._is_left_out."""
    bench.provider.script(batch_seconds=3_600)
    nobody: Any = None
    redis = connect(redis_url)
    jobs, pipeline, now = Jobs(redis), bench.pipeline(), datetime.now(UTC)
    service = AnalyzerService(
        app=nobody,
        pipeline=pipeline,
        jobs=jobs,
        windows=AnalysisWindows(redis),
        members=nobody,
        model_permits=nobody,
        blobs=nobody,
        now=lambda: now,
        pack_size=PACK,
        packs_in_queue=1,
    )
    jobs.create(name, "analysis", "inline", now, to_analyse=TEXTS)
    if under_way:
        with pytest.raises(Wait, match="in a batch"):
            service.analyse(economy(name))
    jobs.cancel(name, now)
    bench.cancelled = True
    if under_way:
        with pytest.raises(Wait, match="in a batch"):
            service.analyse(economy(name))
    assert service.analyse(economy(name)).state == "cancelled"
    assert bench.stored()["files"] == []


def test_without_a_provider_the_offline_analyser_answers_at_once(server: Any, name: str) -> None:
    assert len(Pipeline(AnalyzerSettings(), server).analyse(economy(name)).findings) == TEXTS


def test_nothing_is_sent_for_a_job_that_was_cancelled_before(bench: Bench, name: str) -> None:
    bench.cancelled = True
    with pytest.raises(Cancelled):
        bench.pipeline().analyse(economy(name))
    assert bench.stored() == {"files": [], "batches": []}


def test_after_the_deadline_the_rest_is_asked_as_usual(
    server: Any, provider: Provider, name: str
) -> None:
    bench = Bench(server, provider, name, batch_poll_seconds=3_600)
    bench.provider.script(batch_seconds=3_600_000, cancelled_after=1)
    result = bench.finished(economy(name), waits=60)
    assert len(result.findings) == TEXTS
    assert bench.time > 25 * 3_600
    assert set(bench.asked().values()) == {1}
    assert ["batch" in each for each in bench.provider.requests()].count(True) == 1
    assert bench.stored()["files"] == []


@pytest.mark.parametrize("script", [{"batches": False}, {"batch_status": 400}])
def test_a_provider_without_batches_is_asked_as_usual_at_once(
    bench: Bench, name: str, script: dict[str, Any]
) -> None:
    bench.provider.script(**script)
    result = bench.pipeline().analyse(economy(name))
    assert len(result.findings) == TEXTS
    (usage,) = usage_of(bench.server, name).values()
    assert usage.cost == pytest.approx((usage.input_tokens + 2 * usage.output_tokens) / 1_000_000)


@pytest.mark.parametrize(
    ("status", "failure"), [(401, Refused), (402, Refused), (429, Wait), (500, Wait), (503, Wait)]
)
def test_what_the_provider_says_of_a_batch_means_what_it_means_elsewhere(
    bench: Bench, name: str, status: int, failure: type[Exception]
) -> None:
    bench.provider.script(batch_status=status)
    with pytest.raises(failure):
        bench.pipeline().analyse(economy(name))
    bench.provider.script()
    if failure is Wait:
        assert_each_once(bench, bench.finished(economy(name)))


def test_what_a_batch_did_not_answer_is_asked_as_usual(bench: Bench, name: str) -> None:
    bench.provider.script(faults=[{"kinds": ["500", "malformed"], "first": 2}])
    result = bench.finished(economy(name))
    assert len(result.findings) == TEXTS
    assert bench.stored()["files"] == []


def test_a_text_that_another_pack_has_in_a_batch_is_waited_for(bench: Bench, name: str) -> None:
    """Out: `_claimed` in Economy._begin."""
    first, second = economy(name), economy(name).model_copy(update={"pack": "q"})
    for message in (first, second):
        with pytest.raises(Wait):
            bench.pipeline().analyse(message)
    with pytest.raises(Wait, match="another batch"):
        bench.pipeline().analyse(second)
    assert_each_once(bench, bench.finished(first))
    assert all(found.origin.cached for found in bench.finished(second).findings)
    assert set(bench.asked().values()) == {1}


def test_a_batch_that_the_budget_has_no_room_for_is_not_sent(
    server: Any, provider: Provider, name: str
) -> None:
    """Out: `reserve` in Economy._begin."""
    provider.script(batch_seconds=3_600)
    whole = Bench(server, provider, name)
    with pytest.raises(Wait):
        whole.pipeline().analyse(economy(name))
    cost = float(server.hget(cost_key(name), "reserved"))
    provider.script(batch_seconds=3_600)
    bench = Bench(server, provider, name, budget_per_job=1.5 * cost)
    job = f"{name}-2"
    with pytest.raises(Wait, match="in a batch"):
        bench.pipeline().analyse(economy(name, job=job, prefix="one "))
    with pytest.raises(Wait, match="budget"):
        bench.pipeline().analyse(
            economy(name, job=job, prefix="two ").model_copy(update={"pack": "q"})
        )
    assert len(bench.stored()["batches"]) == 1


def test_a_spent_budget_pauses_an_economy_job_too(
    server: Any, provider: Provider, name: str
) -> None:
    provider.script()
    with pytest.raises(Wait, match="budget"):
        Bench(server, provider, name, budget_per_job=0.0).pipeline().analyse(economy(name))
    assert provider.requests() == []
