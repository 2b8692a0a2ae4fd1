"""The answers that several analyzers share through Redis: each text is paid once, and a retry neither loses nor repeats it."""

import json
import time
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import guard
import pytest
import redis
from analyzer_bench import chats, course, keys, mistake, pipeline
from structlog.testing import capture_logs
from threads import at_once

from edugraph_analyzer.cache import store as answer_store
from edugraph_analyzer.cache.store import AnswerStore, State
from edugraph_analyzer.costs import usage_of
from edugraph_analyzer.llm import client
from edugraph_analyzer.pipeline import PackResult
from edugraph_analyzer.prompting import prompts
from edugraph_common.contracts.errors import BudgetSpent, Retryable


def database(url: str, number: int) -> str:
    """Another database of the same Redis."""
    return urlsplit(url)._replace(path=f"/{number}").geturl()


def test_the_lease_of_a_dead_process_runs_out(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.3)
    assert store.look("interaction", [name], "one")[name].state == State.MINE
    assert store.look("interaction", [name], "two")[name].state == State.ANOTHERS
    time.sleep(0.4)
    assert store.look("interaction", [name], "two")[name].state == State.MINE


def test_the_lease_of_a_living_one_does_not(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.3)
    store.look("interaction", [name], "one")
    with store.renewed("interaction", [name], "one"):
        time.sleep(0.8)
        assert store.look("interaction", [name], "two")[name].state == State.ANOTHERS


def test_those_who_wait_are_told_why_there_is_no_answer(server, name) -> None:
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5)
    store.look("interaction", [name], "one")
    store.release("interaction", [name], "one", {name: "does not validate"})
    seen = store.look("interaction", [name], "two")[name]
    assert (seen.state, seen.reason) == (State.FAILED, "does not validate")


def test_the_same_texts_at_the_same_time_are_paid_once(server, provider, name) -> None:
    provider.script(latency=0.2)
    found: list[Any] = []

    def run(number: int) -> None:
        found.append(
            pipeline(server, provider, name).analyse(
                chats(name, 100, job=f"{name}-{number}", texts=20)
            )
        )

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


def test_a_kept_answer_names_the_point_that_was_shown_when_it_was_asked(
    server, provider, name
) -> None:
    """Guard: `with_names` is called before an answer is stored. The list of a course grows, and k1 is another point."""
    provider.script(faults=[{"kind": "first_id", "every": 1}])
    one = pipeline(server, provider, name)
    asked = mistake(name, f"{name}: 1/2 + 1/3 = 2/5")
    first = one.analyse(asked.model_copy(update={"contexts": (course(name, "unlike fractions"),)}))
    later = one.analyse(
        asked.model_copy(
            update={
                "job_id": f"{name}-2",
                "contexts": (course(name, "angles", "unlike fractions"),),
            }
        )
    )
    assert len(provider.requests()) == 1
    for result in (first, later):
        (found,) = result.findings
        assert [point.name for point in found.finding.knowledge_points] == ["unlike fractions"]
    assert later.findings[0].origin.cached


def test_a_second_reading_pays_for_texts_whose_points_were_stated_since_within_its_budget(
    server, provider, name
) -> None:
    """Out: `stated` in the key of a question, or `Spending.check` before a request."""
    provider.script()
    before = course(name)
    pipeline(server, provider, name).analyse(
        mistake(name, "1/2 + 1/3 = 2/5").model_copy(update={"contexts": (before,)})
    )
    asked = len(provider.requests())
    assert asked == 1

    def read_again(stated: str, budget: float) -> PackResult:
        context = before.model_copy(update={"stated": stated})
        message = mistake(name, "1/2 + 1/3 = 2/5").model_copy(
            update={"job_id": f"{name} again", "contexts": (context,), "again": True}
        )
        return pipeline(server, provider, name, budget_per_job=budget).analyse(message)

    [found] = read_again("", 0.0).findings
    assert found.origin.cached
    with pytest.raises(BudgetSpent):
        read_again("1a", 0.0)
    assert len(provider.requests()) == asked
    [found] = read_again("1a", 5.0).findings
    assert (found.origin.cached, len(provider.requests())) == (False, asked + 1)


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


def test_another_prompt_or_model_asks_again_and_the_old_answers_are_kept(
    server, provider, name, monkeypatch
) -> None:
    provider.script()
    one = pipeline(server, provider, name)
    before = one.analyse(chats(name, 10))
    monkeypatch.setitem(prompts.CURRENT, "interaction", prompts.CURRENT["interaction"] + 1)
    monkeypatch.setattr(
        prompts, "instructions", lambda version: f"Find the sentiment. This is {version}."
    )
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
