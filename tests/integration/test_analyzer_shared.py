"""What several analyzers share through Redis, on a real one: the limiter, the cache, single flight, costs."""

import json
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import guard
import httpx2
import pytest
import redis
from beside import scripted_provider
from engines import SHARED_RECORDS
from structlog.testing import capture_logs
from threads import at_once

from edugraph_analyzer.cache import store as answer_store
from edugraph_analyzer.cache.store import AnswerStore, State
from edugraph_analyzer.costs import set_budget, usage_of
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.estimate import estimate
from edugraph_analyzer.llm import client
from edugraph_analyzer.llm.rate_limiter import RateLimiter, RateLimits
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.probe import check
from edugraph_analyzer.prompting import prompts
from edugraph_analyzer.prompting.questions import messages_of, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.findings import KIND_OF_TYPE, Kind
from edugraph_common.contracts.messages import Analysis


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def name(server: "redis.Redis") -> Iterator[str]:
    """Of this test alone; everything in Redis that holds it goes afterwards."""
    own = f"test-{uuid.uuid4().hex[:12]}"
    yield own
    for key in server.scan_iter(match=f"*{own}*", count=1_000):
        server.delete(key)


class Provider:
    def __init__(self, url: str) -> None:
        self.url, self._root = url, url.removesuffix("/v1")

    def script(self, **script: Any) -> None:
        httpx2.post(f"{self._root}/script", json=script)

    def requests(self) -> list[dict[str, Any]]:
        return list(httpx2.get(f"{self._root}/log?bodies=1").json()["requests"])


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with scripted_provider() as url:
        yield Provider(url)


def pipeline(server: "redis.Redis", provider: Provider, name: str, **settings: Any) -> Pipeline:
    chosen = {
        "requests_per_minute": 6_000,
        "prices": {name: {"input": 1.0, "output": 2.0}},
        "call_timeout_seconds": 5,
    } | settings
    made = AnalyzerSettings(openai_api_key=name, openai_base_url=provider.url, model=name, **chosen)
    return Pipeline(made, server)


def chats(name: str, count: int, job: str = "", texts: int | None = None, prefix: str = "") -> Analysis:
    records = [
        {
            "type": "student_interaction",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"r{number}",
            "data": {
                "student_id_from": f"stu-{number:04}",
                "student_name_from": "Maria Gonzalez",
                "student_id_to": "stu-9999",
                "interaction_type": "chat",
                "text": f"{prefix}message {number % (texts or count)} of {name}: why do we need a common denominator?",
            },
        }
        for number in range(count)
    ]
    return Analysis(job_id=job or name, pack="p", kind="interaction", records=tuple(records))


# --- the limiter --------------------------------------------------------------------------------------------------


def limiter(
    server: "redis.Redis", name: str, requests: int, tokens: int | None = None, wait: float = 60
) -> RateLimiter:
    return RateLimiter(server, name, RateLimits(requests, tokens, wait))


def test_slots_are_evenly_spaced_and_in_order(server, name) -> None:
    gate, times = limiter(server, name, 600), []
    lock = threading.Lock()

    def take() -> None:
        for _ in range(5):
            slot = gate.acquire("m", 1)
            with lock:
                times.append((slot.at, time.monotonic()))

    at_once([take] * 4)
    slots = sorted(at for at, _ in times)
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    assert min(gaps) >= gate.limits.interval_seconds * 1_000_000 - 1
    assert len(slots) == 20


def test_a_slot_too_far_off_reserves_nothing(server, name) -> None:
    gate = limiter(server, name, 60, wait=1.5)
    gate.acquire("m", 1)
    key = f"edugraph:limit:{{{name}:m}}:line"
    gate.pause("m", 10)
    before = server.hgetall(key)
    with pytest.raises(Wait) as caught:
        gate.acquire("m", 1)
    assert server.hgetall(key) == before
    assert 5 < caught.value.seconds <= 10


def test_a_pause_stops_those_who_already_have_a_slot(server, name) -> None:
    gate = limiter(server, name, 60)
    gate.acquire("m", 1)
    began = time.monotonic()
    with ThreadPoolExecutor() as threads:
        second = threads.submit(gate.acquire, "m", 1)
        time.sleep(0.2)
        gate.pause("m", 2.0)
        second.result()
    assert time.monotonic() - began >= 2.1


def test_refusals_without_a_time_pause_longer_each_time(server, name) -> None:
    gate = limiter(server, name, 60)
    assert gate.pause("m", None) == pytest.approx(2, abs=0.01)
    assert gate.pause("m", None) == pytest.approx(4, abs=0.01)


def test_models_and_keys_have_their_own_limit(server, name) -> None:
    began = time.monotonic()
    limiter(server, name, 1).acquire("one", 1)
    limiter(server, name, 1).acquire("another", 1)
    limiter(server, f"{name}-b", 1).acquire("one", 1)
    assert time.monotonic() - began < 1


def test_tokens_of_a_minute_are_counted_with_the_requests(server, name) -> None:
    gate = limiter(server, name, 6_000, tokens=1_000, wait=1)
    for _ in range(4):
        gate.acquire("m", 250)
    with pytest.raises(Wait) as caught:
        gate.acquire("m", 1)
    assert 50 < caught.value.seconds < 62
    with pytest.raises(Rejected, match="EDUGRAPH_TOKENS_PER_MINUTE"):
        gate.acquire("m", 1_001)


def test_what_a_request_really_took_replaces_the_estimate(server, name) -> None:
    gate = limiter(server, name, 6_000, tokens=1_000, wait=1)
    slot = gate.acquire("m", 1_000)
    gate.settle("m", slot, 100)
    gate.acquire("m", 900)
    with pytest.raises(Wait):
        gate.acquire("m", 1)


def test_a_redis_that_forgot_lets_nobody_go_on_its_old_word(server, name) -> None:
    gate = limiter(server, name, 60)
    gate.acquire("m", 1)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(gate.acquire, "m", 1)
        time.sleep(0.2)
        server.delete(f"edugraph:limit:{{{name}:m}}:line")
        fresh = [gate.acquire("m", 1) for _ in range(2)]
        slot = waiting.result()
    times = sorted([*(slot.at for slot in fresh), slot.at])
    assert min(times[1] - times[0], times[2] - times[1]) >= gate.limits.interval_seconds * 1_000_000 - 1


def test_without_redis_nothing_is_sent(provider, name) -> None:
    provider.script()
    away = redis.Redis(port=1, retry=None)
    with pytest.raises(Retryable):
        pipeline(away, provider, name).analyse(chats(name, 1))
    assert provider.requests() == []


def keys(server: "redis.Redis", what: str) -> set[bytes]:
    """Of all answers or leases: they are named for what was asked, so who made one is told only by when it came."""
    return set(server.scan_iter(match=f"edugraph:llm:{what}:*", count=1_000))


def database(url: str, number: int) -> str:
    """Another database of the same Redis."""
    return urlsplit(url)._replace(path=f"/{number}").geturl()


# --- the cache and single flight ----------------------------------------------------------------------------------


def test_the_lease_of_a_dead_process_runs_out(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.3)
    assert store.look("interaction", [name], "one")[name].state == State.MINE
    assert store.look("interaction", [name], "two")[name].state == State.ANOTHERS
    time.sleep(0.4)
    assert store.look("interaction", [name], "two")[name].state == State.MINE


def test_the_lease_of_a_living_one_does_not(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.3)
    store.look("interaction", [name], "one")
    with store.renewed([name], "one"):
        time.sleep(0.8)
        assert store.look("interaction", [name], "two")[name].state == State.ANOTHERS


def test_those_who_wait_are_told_why_there_is_no_answer(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5)
    store.look("interaction", [name], "one")
    store.release([name], "one", {name: "does not validate"})
    seen = store.look("interaction", [name], "two")[name]
    assert (seen.state, seen.reason) == (State.FAILED, "does not validate")


def test_the_same_texts_at_the_same_time_are_paid_once(server, provider, name) -> None:
    provider.script(latency=0.2)
    found: list[Any] = []

    def run(number: int) -> None:
        found.append(pipeline(server, provider, name).analyse(chats(name, 100, job=f"{name}-{number}", texts=20)))

    at_once([partial(run, number) for number in range(6)])
    assert [len(result.findings) for result in found] == [100] * 6
    assert sum(request["items"] for request in provider.requests()) == 20
    paid = [finding for result in found for finding in result.findings if not finding.origin.cached]
    assert len(paid) == 20


def test_a_second_run_asks_for_nothing_and_costs_nothing(server, provider, name) -> None:
    provider.script()
    one = pipeline(server, provider, name)
    first = one.analyse(chats(name, 30))
    asked = len(provider.requests())
    again = one.analyse(chats(name, 30, job=f"{name}-2"))
    assert len(provider.requests()) == asked == 3
    assert [each.finding for each in again.findings] == [each.finding for each in first.findings]
    assert all(each.origin.cached and each.origin.cost == 0 for each in again.findings)
    spent = usage_of(server, name)["interaction", name]
    assert (spent.requests, spent.items, spent.cached) == (3, 30, 0)
    assert spent.cost == pytest.approx(sum(each.origin.cost for each in first.findings))
    assert spent.input_tokens == sum(each.origin.input_tokens for each in first.findings)
    assert usage_of(server, f"{name}-2")["interaction", name].cached == 30


def test_another_temperature_is_another_question(server, provider, name) -> None:
    provider.script()
    pipeline(server, provider, name).analyse(chats(name, 1))
    pipeline(server, provider, name, temperature=0.7).analyse(chats(name, 1))
    assert len(provider.requests()) == 2


def test_stats_and_clear(redis_url, provider, name) -> None:
    """In a database of its own: both speak of all entries, whoever made them."""
    provider.script()
    address = {"EDUGRAPH_REDIS_URL": database(redis_url, 9)}
    guard.claim(address)
    with redis.Redis.from_url(address["EDUGRAPH_REDIS_URL"]) as apart:
        pipeline(apart, provider, name).analyse(chats(name, 3))
        pipeline(apart, provider, name).analyse(chats(name, 3))
        stats = answer_store.stats(apart)
        assert (stats.entries, stats.hits, stats.misses) == ({"interaction": 3}, 3, 3)
        assert answer_store.clear(apart, "error") == 0
        assert answer_store.clear(apart, "interaction") == 3
        assert answer_store.stats(apart).hits == 0


def test_a_kept_answer_that_does_not_validate_is_asked_for_again(server, provider, name) -> None:
    provider.script()
    one, others = pipeline(server, provider, name), keys(server, "answer")
    one.analyse(chats(name, 1))
    [own] = keys(server, "answer") - others
    server.set(own, json.dumps({"sentiment": "ecstatic"}), ex=60)
    with capture_logs() as lines:
        assert not one.analyse(chats(name, 1)).findings[0].origin.cached
    (line,) = (line for line in lines if line["event"] == "cached_answer_invalid")
    assert server.exists(f"edugraph:llm:answer:interaction:{line['key']}")  # kept anew


def test_what_a_retry_finds_paid_is_counted_once_and_not_lost(server, provider, name) -> None:
    """Two packs are paid before the third fails: the retry reports their cost, and what it costs itself."""
    provider.script(faults=[{"kind": "500", "every": 100, "at": 3}])
    one = pipeline(server, provider, name)
    with pytest.raises(Retryable):
        one.analyse(chats(name, 30))
    paid = usage_of(server, name)["interaction", name]
    assert paid.cost > 0
    retried = one.analyse(chats(name, 30))
    spent = usage_of(server, name)["interaction", name]
    assert spent.cost == pytest.approx(sum(found.origin.cost for found in retried.findings))
    assert spent.input_tokens == sum(found.origin.input_tokens for found in retried.findings)
    assert not any(found.origin.cached for found in retried.findings)
    redelivered = one.analyse(chats(name, 30))
    assert redelivered.findings == retried.findings
    assert usage_of(server, name)["interaction", name].cost == spent.cost
    other = one.analyse(chats(name, 30, job=f"{name}-2"))
    assert all(found.origin.cached and found.origin.cost == 0 for found in other.findings)


def test_another_prompt_or_model_asks_again_and_the_old_answers_are_kept(server, provider, name, monkeypatch) -> None:
    provider.script()
    one = pipeline(server, provider, name)
    before = one.analyse(chats(name, 10))
    monkeypatch.setitem(prompts.CURRENT, "interaction", prompts.CURRENT["interaction"] + 1)
    monkeypatch.setattr(prompts, "instructions", lambda version: f"Find the sentiment. This is {version}.")
    changed = one.analyse(chats(name, 10))
    assert len(provider.requests()) == 2
    assert before.findings[0].origin.prompt_version != changed.findings[0].origin.prompt_version
    pipeline(server, provider, name, interaction_model=f"{name}-b").analyse(chats(name, 10))
    assert len(provider.requests()) == 3
    monkeypatch.undo()
    assert one.analyse(chats(name, 10, job=f"{name}-2")).findings[0].origin.cached


def test_no_client_is_made_for_what_the_cache_has(server, provider, name, monkeypatch) -> None:
    provider.script()
    pipeline(server, provider, name).analyse(chats(name, 5))
    monkeypatch.setattr(client, "LLMClient", None)  # whoever makes one fails
    again = pipeline(server, provider, name).analyse(chats(name, 5, job=f"{name}-2"))
    assert [found.origin.cached for found in again.findings] == [True] * 5
    with pytest.raises(TypeError):
        pipeline(server, provider, name).analyse(chats(name, 5, prefix="another "))


# --- budgets, failures, privacy -----------------------------------------------------------------------------------


def test_a_spent_budget_pauses_the_job_until_it_is_raised(server, provider, name) -> None:
    provider.script()
    one = pipeline(server, provider, name, budget_per_job=0.0)
    with pytest.raises(Wait, match="budget"):
        one.analyse(chats(name, 1))
    assert provider.requests() == []
    set_budget(server, name, 5.0)
    assert len(one.analyse(chats(name, 1)).findings) == 1


@pytest.mark.parametrize(
    "kind", ["malformed", "truncated", "prose", "wrong_ids", "missing_item", "doubled_item", "outside_schema"]
)
def test_a_pack_answered_wrongly_ends_with_every_finding(server, provider, name, kind) -> None:
    provider.script(faults=[{"kind": kind, "first": 1}])
    result = pipeline(server, provider, name).analyse(chats(name, 5))
    assert len(result.findings) == 5
    assert not result.failed


@pytest.mark.parametrize("kind", ["malformed", "prose", "outside_schema", "truncated"])
def test_answers_that_never_validate_are_reported_and_not_stored(server, provider, name, kind) -> None:
    provider.script(faults=[{"kind": kind, "every": 1}])
    others = keys(server, "lease")
    result = pipeline(server, provider, name).analyse(chats(name, 2))
    assert not result.findings
    assert [each.record_id for each in result.failed] == ["r0", "r1"]
    assert all("does not validate" in each.reason and name not in each.reason for each in result.failed)
    assert len(provider.requests()) == 5  # the pack, then each alone with one repair turn
    provider.script()
    time.sleep(0.1)
    for key in keys(server, "lease") - others:
        server.delete(key)
    assert len(pipeline(server, provider, name).analyse(chats(name, 2)).findings) == 2


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ({"keys": ["other"]}, (Rejected, "EDUGRAPH_OPENAI_API_KEY")),
        ({"models": ["other"]}, (Rejected, "EDUGRAPH_MODEL")),
        ({"faults": [{"kind": "500"}]}, (Retryable, "500")),
        ({"faults": [{"kind": "cut"}]}, (Retryable, "cut")),
        ({"faults": [{"kind": "not_json"}]}, (Retryable, "read")),
        ({"faults": [{"kind": "timeout"}]}, (Retryable, "in time")),
        ({"faults": [{"kind": "429", "retry_after": 7}]}, (Wait, "429")),
    ],
)
def test_each_failure_is_one_request_and_one_sentence(server, provider, name, script, failure) -> None:
    provider.script(**script)
    with pytest.raises(failure[0], match=failure[1]):
        pipeline(server, provider, name, call_timeout_seconds=1).analyse(chats(name, 1))
    assert len(provider.requests()) == 1


def test_what_was_paid_before_a_failure_is_not_paid_again(server, provider, name) -> None:
    provider.script(faults=[{"kind": "500", "every": 100, "at": 2}])
    one = pipeline(server, provider, name)
    with pytest.raises(Retryable):
        one.analyse(chats(name, 30))
    assert len(one.analyse(chats(name, 30)).findings) == 30
    assert [request["items"] for request in provider.requests()] == [10, 10, 10, 10]
    assert provider.requests()[1]["status"] == 500


def test_a_server_without_schemas_is_found_out_once(server, provider, name) -> None:
    provider.script(accepts=["json_object", "prompt"])
    pipeline(server, provider, name).analyse(chats(name, 10))
    pipeline(server, provider, name).analyse(chats(name, 10, prefix="more "))
    assert [request["step"] for request in provider.requests()] == ["json_schema", "json_object", "json_object"]


def hard_cases() -> list[dict[str, Any]]:
    path = Path(__file__).parents[2] / "services" / "analyzer" / "tests" / "redaction_cases.ndjson"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _record_of(number: int, case: dict[str, Any]) -> dict[str, Any]:
    """A chat between students; where a teacher is named, a teacher's record."""
    taught = any(role == "TEACHER" for role, _, _ in case["people"])
    ends = ("",) if taught else ("_from", "_to")
    data: dict[str, Any] = {"text": case["text"]}
    for role in ("STUDENT", "TEACHER"):
        for what in ("name", "id"):
            values = [value for of, value, is_what in case["people"] if (of, is_what) == (role, what)]
            own_ends = ends if role == "STUDENT" else ("",)
            data |= {f"{role.lower()}_{what}{end}": value for end, value in zip(own_ends, values, strict=False)}
    if taught:
        filled, record_type = {"teacher_id": "tutor-zz", "student_id": "pupil-zz"}, "teacher_interaction"
    else:
        filled, record_type = {"student_id_from": "pupil-zz", "student_id_to": "tutor-zz"}, "student_interaction"
        data["interaction_type"] = "chat"
    when = "2026-01-05T08:00:00Z"
    return {"type": record_type, "timestamp": when, "record_id": f"h{number}", "data": filled | data}


def test_no_private_word_reaches_the_provider_and_evidence_has_the_original_words(server, provider, name) -> None:
    provider.script()
    one, seen, quoted = pipeline(server, provider, name), 0, 0
    for number, case in enumerate(hard_cases()):
        request = Analysis(job_id=name, pack="p", kind="interaction", records=(_record_of(number, case),))
        (finding,) = one.analyse(request).findings
        requests = provider.requests()
        told = "\n".join(
            message["content"] for each in requests[seen:] for message in json.loads(each["body"])["messages"]
        )
        seen = len(requests)
        assert not [words for words in (*case["private"], "pupil-zz", "tutor-zz") if words in told]
        assert all(quote in case["text"] for quote in finding.finding.evidence)
        quoted += bool(finding.finding.evidence)
    assert seen > 80  # some redacted texts are the same
    assert quoted > 95


PRIVATE_FORMS = {
    "e-mail": re.compile(r"[\w.+-]+@[\w-]+\.\w+"),
    "phone": re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)"),
    "id number": re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"),
}
# The random characters of a mark may be as many digits as a phone number has.
_MARK = re.compile(r"</?(?:item|course)-[0-9a-f]{16}(?=[ >])")
OWN_TEXT = ("text", "error_text", "content")
PLANTED = {"student_name": "欧阳晓彤", "student_name_from": "欧阳晓彤"}
SENTENCE = "学号 {own}，xiaotong.ouyang@example.com，13812345678，11010519491231002X。"


def _with_private_words(record: dict[str, Any]) -> dict[str, Any]:
    """The shared records name nobody: this one gets a name where it has a student, and says what students do say."""
    data = record["data"]
    own = str(data.get("student_id") or data.get("student_id_from") or "20230714")
    field = next(name for name in OWN_TEXT if name in data)
    names = {name: value for name, value in PLANTED.items() if name.replace("name", "id") in data}
    said = "".join(f"我是{value}，" for value in names.values()) + SENTENCE.format(own=own)
    return {**record, "data": {**data, **names, field: f"{data[field]}\n{said}"}}


def _packs_of_records() -> Iterator[tuple[Kind, list[dict[str, Any]]]]:
    for path in sorted(SHARED_RECORDS.glob("*.ndjson")):
        by_kind: dict[Kind, list[dict[str, Any]]] = defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["type"] in KIND_OF_TYPE:
                by_kind[KIND_OF_TYPE[record["type"]]].append(record)
        for kind, records in by_kind.items():
            yield from ((kind, records[start : start + 100]) for start in range(0, len(records), 100))


def _told(provider: Provider) -> str:
    """What the provider read, without the marks that the analyzer puts around each text."""
    bodies = (json.loads(each["body"]) for each in provider.requests())
    return _without_marks(message["content"] for body in bodies for message in body["messages"])


def _without_marks(contents: Iterable[str]) -> str:
    return _MARK.sub("<", "\n".join(contents))


def _private_words_in(told: str, records: list[dict[str, Any]]) -> list[str]:
    """What of these records' people, and what that looks private by its form, is in a text."""
    named = {str(v) for r in records for k, v in r["data"].items() if k.startswith(("student_", "teacher_")) and v}
    known = [word for word in {*named, "欧阳", "晓彤"} if word in told]
    return known + [found[0] for form in PRIVATE_FORMS.values() if (found := form.search(told))]


def test_the_marks_around_a_text_are_not_taken_for_private_words() -> None:
    """Out: `_MARK`. What the text itself says is found."""
    (record,) = chats("marks", 1).records
    settings = AnalyzerSettings(openai_api_key="k", model="m")
    question = question_of(read_document(record, "interaction", ()), settings)
    told = _without_marks(
        each["content"] for each in messages_of("interaction", [question], lambda: "f13812345678a40b")
    )
    assert "common denominator" in told
    assert _private_words_in(told, []) == []
    assert _private_words_in(f"{told}13812345678", []) == ["13812345678"]


@pytest.mark.real
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)  # what is redacted is the same whatever keeps answers
@pytest.mark.timeout(600)  # a minute on an idle machine
@pytest.mark.skipif(not SHARED_RECORDS.is_dir(), reason=f"no records at {SHARED_RECORDS} (EDUGRAPH_SHARED_DATA)")
def test_nothing_private_of_any_shared_record_reaches_the_provider(server, provider, name) -> None:
    one = pipeline(server, provider, name, pack_size=100, pack_tokens=200_000, requests_per_minute=1_000_000)
    read = 0
    for kind, records in _packs_of_records():
        sent = [*records[::2], *map(_with_private_words, records[1::2])]
        provider.script()
        result = one.analyse(Analysis(job_id=name, pack="p", kind=kind, records=tuple(sent)))
        assert not _private_words_in(_told(provider), sent)
        read += len(result.findings)
    assert read > 10_000


# --- what is told before and beside a run -------------------------------------------------------------------------


def test_the_check_of_a_provider_tells_what_it_accepts(server, provider, name) -> None:
    provider.script(accepts=["json_object", "prompt"], headers={"x-ratelimit-limit-requests": "100"})
    settings = AnalyzerSettings(openai_api_key=name, openai_base_url=provider.url, model=name)
    facts = {fact.name: fact for fact in check(settings, server)}
    assert facts["structured answers"].value == "json_object"
    assert facts["a pack of 2"].good
    assert "x-ratelimit-limit-requests" in facts["limits it tells"].value
    provider.script(keys=["other"])
    assert any("EDUGRAPH_OPENAI_API_KEY" in fact.value for fact in check(settings, server))


def test_an_estimate_counts_what_is_still_to_be_asked(server, provider, name) -> None:
    provider.script()
    prices = {name: {"input": 1.0, "output": 2.0}}
    settings = AnalyzerSettings(openai_api_key=name, openai_base_url=provider.url, model=name, prices=prices)
    before = estimate([chats(name, 40, texts=25)], settings)
    assert (before.items, before.different, before.requests) == (40, 25, 3)
    assert before.cost == pytest.approx((before.input_tokens + 2 * before.output_tokens) / 1_000_000)
    assert before.minutes == pytest.approx(0.03, abs=0.002)
    pipeline(server, provider, name, temperature=settings.temperature).analyse(chats(name, 10, texts=25))
    after = estimate(
        [chats(name, 40, texts=25)], settings, AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5).kept
    )
    assert (after.kept, after.requests) == (10, 2)
