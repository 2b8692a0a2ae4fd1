"""Packs, single questions and the one repair turn, with a model that answers from a list."""

import json

import pytest

from edugraph_analyzer.asking import Asking
from edugraph_analyzer.items import read_item
from edugraph_analyzer.questions import Cancelled, Reply, Unanswerable, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Wait

SETTINGS = AnalyzerSettings(openai_api_key="k", model="m", prices={"m": {"input": 1, "output": 1}})


def entry(number: int, text: str = "words", **other) -> dict:
    return {"id": f"r{number}", "sentiment": "neutral", "topics": [], "evidence": [text], "confidence": 0.8} | other


def answers(*entries) -> Reply:
    return Reply(json.dumps({"answers": entries}), True, 100, 50)


class Listed:
    def __init__(self, *replies) -> None:
        self.replies, self.asked = list(replies), []

    def ask(self, ask, check):
        check()
        self.asked.append(ask)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Purse:
    def __init__(self, failure: Exception | None = None) -> None:
        self.usages, self.failure = [], failure

    def check(self, _job_id):
        if self.failure:
            raise self.failure

    def add(self, _job_id, _kind, _model, usage):
        self.usages.append(usage)


def questions(count: int):
    for number in range(count):
        data = {"teacher_id": "t", "student_id": "s", "text": f"words of item {number}"}
        record = {"type": "teacher_interaction", "timestamp": "2026-01-05T08:00:00Z", "data": data}
        yield question_of(read_item(record, "interaction", []), SETTINGS)


def settle(
    model: Listed,
    count: int,
    purse: Purse | None = None,
    settings: AnalyzerSettings = SETTINGS,
    cancelled=lambda _: False,
):
    asking = Asking(settings, model, purse or Purse(), "job", "interaction", is_cancelled=cancelled)
    return list(asking.settle(list(questions(count))))


def test_a_pack_is_one_request_and_its_tokens_are_shared_out() -> None:
    model, purse = Listed(answers(*(entry(number) for number in range(1, 11)))), Purse()
    settled = settle(model, 10, purse)
    assert len(model.asked) == 1
    assert all(each.answer for each in settled)
    assert sum(each.input_tokens for each in settled) == 100
    assert sum(each.output_tokens for each in settled) == 50
    assert [(usage.requests, usage.input_tokens) for usage in purse.usages] == [(1, 100)]
    assert purse.usages[0].cost == pytest.approx(150 / 1_000_000)


def test_what_a_pack_leaves_out_is_asked_for_alone() -> None:
    model = Listed(answers(entry(1), entry(2, sentiment="?")), answers(entry(1)), answers(entry(1)))
    settled = settle(model, 3)
    assert len(model.asked) == 3
    assert all(each.answer for each in settled)


def test_exchanged_items_are_asked_for_alone() -> None:
    packed = answers(entry(1, "words of item 1"), entry(2, "words of item 0"))
    model = Listed(packed, answers(entry(1, "words of item 0")), answers(entry(1, "words of item 1")))
    assert all(each.answer for each in settle(model, 2))
    assert len(model.asked) == 3


def test_one_repair_turn_and_never_a_second() -> None:
    prose = Reply("I think so.", True, 10, 5)
    model = Listed(prose, prose)
    (settled,) = settle(model, 1)
    assert settled.answer is None
    assert "does not validate" in settled.reason
    assert len(model.asked) == 2
    assert [message["role"] for message in model.asked[1].messages] == ["system", "user", "assistant", "user"]
    assert settled.input_tokens == 20


def test_a_repaired_answer_counts_both_turns() -> None:
    model = Listed(answers(entry(1, confidence=7)), answers(entry(1)))
    (settled,) = settle(model, 1)
    assert settled.answer
    assert settled.input_tokens == 200
    assert "confidence" in model.asked[1].messages[-1]["content"]


def test_a_cut_answer_is_said_to_be_cut() -> None:
    cut = Reply('{"answers": [', False, 10, 5)
    (settled,) = settle(Listed(cut, cut), 1)
    assert "cut at its limit" in settled.reason


def test_one_item_that_is_refused_does_not_take_its_pack_with_it() -> None:
    model = Listed(Unanswerable("filter"), answers(entry(1)), Unanswerable("filter"), answers(entry(1)))
    settled = settle(model, 3)
    assert [bool(each.answer) for each in settled] == [True, False, True]
    assert settled[1].reason == "filter"


def test_an_item_that_is_too_long_is_not_sent() -> None:
    small = AnalyzerSettings(openai_api_key="k", model="m", longest_item_tokens=3)
    model = Listed()
    settled = settle(model, 2, settings=small)
    assert not model.asked
    assert all("LONGEST_ITEM" in each.reason for each in settled)


def test_a_spent_budget_asks_for_nothing() -> None:
    model = Listed()
    with pytest.raises(Wait):
        settle(model, 1, Purse(Wait("spent", 60)))
    assert not model.asked


def test_a_job_that_is_cancelled_between_two_requests_makes_no_second_one() -> None:
    states = iter([False, True])
    model = Listed(answers(entry(1)), answers(entry(1)), answers(entry(1)))
    with pytest.raises(Cancelled):
        settle(model, 3, cancelled=lambda _: next(states))
    assert len(model.asked) == 1
