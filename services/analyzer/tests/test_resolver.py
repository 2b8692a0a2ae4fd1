"""Packs, single questions and the one repair turn, with a model that answers from a list."""

import json
import uuid

import pytest
from structlog.testing import capture_logs

from edugraph_analyzer import pipeline
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.evidence import found_in
from edugraph_analyzer.pipeline import LARGEST_LIMIT_TOKENS, Resolver
from edugraph_analyzer.prompting.questions import Cancelled, LLMResponse, Unanswerable, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import Kind

SETTINGS = AnalyzerSettings(openai_api_key="k", model="m", prices={"m": {"input": 1, "output": 1}})


def entry(number: int, text: str = "words of item", **other) -> dict:
    return {
        "id": f"r{number}",
        "sentiment": "neutral",
        "topics": [],
        "evidence": [text],
        "confidence": 0.8,
    } | other


def mistake(number: int, text: str) -> dict:
    found = {"error_types": [], "knowledge_points": [], "difficulty": None, "severity": None}
    return {"id": f"r{number}", "evidence": [text], "confidence": 0.8} | found


def answers(*entries) -> LLMResponse:
    return LLMResponse(json.dumps({"answers": entries}), True, 100, 50)


class ScriptedClient:
    def __init__(self, *replies) -> None:
        self.replies, self.asked, self.judged, self.pauses = list(replies), [], [], []

    def judge(self, reason):
        self.judged.append(reason)
        return self.pauses.pop(0) if reason and self.pauses else 0.0

    def complete(self, request, check, _count_lost):
        check()
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Budget:
    def __init__(self, failure: Exception | None = None) -> None:
        self.usages, self.failure = [], failure

    def check(self, _job_id, _model, _price):
        if self.failure:
            raise self.failure

    def add(self, _job_id, _kind, _model, usage):
        self.usages.append(usage)


def questions(count: int, kind: Kind = "interaction"):
    for number in range(count):
        words = f"words of item {number}"
        if kind == "error":
            record = {
                "type": "error_record",
                "data": {"student_id": "s", "course_id": "c", "error_text": words},
            }
        else:
            record = {
                "type": "teacher_interaction",
                "data": {"teacher_id": "t", "student_id": "s", "text": words},
            }
        record["timestamp"] = "2026-01-05T08:00:00Z"
        yield question_of(read_document(record, kind, []), SETTINGS)


def resolve(
    model: ScriptedClient,
    count: int,
    budget: Budget | None = None,
    *,
    settings: AnalyzerSettings = SETTINGS,
    cancelled=lambda _: False,
    kind: Kind = "interaction",
):
    resolver = Resolver(
        settings,
        model,
        budget or Budget(),
        "job",
        kind,
        is_cancelled=cancelled,
        new_id=lambda: uuid.uuid4().hex,
    )
    return list(resolver.resolve(list(questions(count, kind))))


def test_a_pack_is_one_request_and_its_tokens_are_shared_out() -> None:
    model, budget = ScriptedClient(answers(*(entry(number) for number in range(1, 11)))), Budget()
    resolutions = resolve(model, 10, budget)
    assert len(model.asked) == 1
    assert all(each.answer for each in resolutions)
    assert sum(each.input_tokens for each in resolutions) == 100
    assert sum(each.output_tokens for each in resolutions) == 50
    assert [(usage.requests, usage.input_tokens) for usage in budget.usages] == [(1, 100)]
    assert budget.usages[0].cost == pytest.approx(150 / 1_000_000)


def test_what_a_pack_leaves_out_is_asked_for_alone() -> None:
    model = ScriptedClient(
        answers(entry(1), entry(2, sentiment="?")), answers(entry(1)), answers(entry(1))
    )
    with capture_logs() as lines:
        resolutions = resolve(model, 3)
    assert len(model.asked) == 3
    assert all(each.answer for each in resolutions)
    answered = next(line for line in lines if line["event"] == "pack_answered")
    assert (answered["kind"], answered["items"], answered["invalid"]) == ("interaction", 3, 2)


def test_exchanged_items_are_asked_for_alone() -> None:
    packed = answers(entry(1, "words of item 1"), entry(2, "words of item 0"))
    model = ScriptedClient(
        packed, answers(entry(1, "words of item 0")), answers(entry(1, "words of item 1"))
    )
    assert all(each.answer for each in resolve(model, 2))
    assert len(model.asked) == 3


def test_exchanged_mistakes_are_asked_for_alone_and_those_without_a_quote_are_not() -> None:
    """Out: the look at the neighbours' texts."""
    packed = answers(
        mistake(1, "words of item 1"), mistake(2, "words of item 1"), mistake(3, "words of nobody")
    )
    model = ScriptedClient(packed, answers(mistake(1, "words of item 0")))
    resolutions = resolve(model, 3, kind="error")
    quoted = {each.question.body: each.answer.evidence for each in resolutions}
    assert list(quoted.values()) == [["words of item 1"], ["words of nobody"], ["words of item 0"]]
    assert [body[-1] for body in quoted] == ["1", "2", "0"]  # whoever is asked for alone comes last
    assert len(model.asked) == 2


@pytest.mark.parametrize("kind", ["interaction", "error"])
def test_each_text_is_read_once_for_answers_that_quote_it(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading each neighbour's text too makes a pack's time quadratic. Out: reading the own text first."""
    read = []

    def counted(quotes: tuple[str, ...], text: str) -> tuple[str, ...]:
        read.append(text)
        return found_in(quotes, text)

    monkeypatch.setattr(pipeline, "found_in", counted)
    told = mistake if kind == "error" else entry
    resolve(
        ScriptedClient(answers(*(told(number, "words of item") for number in range(1, 11)))),
        10,
        kind=kind,
    )
    assert len(read) == 10


def test_one_repair_turn_and_never_a_second() -> None:
    prose = LLMResponse("I think so.", True, 10, 5)
    model = ScriptedClient(prose, prose)
    (resolution,) = resolve(model, 1)
    assert resolution.answer is None
    assert "does not validate" in resolution.reason
    assert len(model.asked) == 2
    assert [message["role"] for message in model.asked[1].messages] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert resolution.input_tokens == 20


def test_a_repaired_answer_counts_both_turns() -> None:
    model = ScriptedClient(answers(entry(1, confidence=7)), answers(entry(1)))
    (resolution,) = resolve(model, 1)
    assert resolution.answer
    assert resolution.input_tokens == 200
    assert "confidence" in model.asked[1].messages[-1]["content"]


def test_a_cut_answer_is_said_to_be_cut() -> None:
    cut = LLMResponse('{"answers": [', False, 10, 5)
    (resolution,) = resolve(ScriptedClient(cut, cut, cut), 1)
    assert "cut at its limit" in resolution.reason


def test_one_item_that_is_refused_does_not_take_its_pack_with_it() -> None:
    model = ScriptedClient(
        Unanswerable("filter"), answers(entry(1)), Unanswerable("filter"), answers(entry(1))
    )
    resolutions = resolve(model, 3)
    assert [bool(each.answer) for each in resolutions] == [True, False, True]
    assert resolutions[1].reason == "filter"


def test_an_item_that_is_too_long_is_not_sent() -> None:
    small = AnalyzerSettings(openai_api_key="k", model="m", longest_item_tokens=3)
    model = ScriptedClient()
    resolutions = resolve(model, 2, settings=small)
    assert not model.asked
    assert all("LONGEST_ITEM" in each.reason for each in resolutions)


def test_a_spent_budget_asks_for_nothing() -> None:
    model = ScriptedClient()
    with pytest.raises(Wait):
        resolve(model, 1, Budget(Wait("spent", 60)))
    assert not model.asked


def test_a_job_that_is_cancelled_between_two_requests_makes_no_second_one() -> None:
    states = iter([False, True])
    model = ScriptedClient(answers(entry(1)), answers(entry(1)), answers(entry(1)))
    with pytest.raises(Cancelled):
        resolve(model, 3, cancelled=lambda _: next(states))
    assert len(model.asked) == 1


@pytest.mark.parametrize("evidence", ["", "words that nobody wrote"])
def test_a_sentiment_without_a_quote_from_its_own_text_is_asked_for_alone(evidence: str) -> None:
    doubtful = entry(2, evidence, sentiment="negative")
    model = ScriptedClient(answers(entry(1), doubtful), answers(entry(1)))
    resolutions = resolve(model, 2)
    assert [resolution.answer.sentiment for resolution in resolutions] == ["neutral", "neutral"]
    assert len(model.asked) == 2


# --- models that are of no use ------------------------------------------------------------------------------------


def cut(*entries, limit: int = 100) -> LLMResponse:
    text = json.dumps({"answers": entries})[: -2 if entries else None]
    return LLMResponse(text + ', {"id": "r', False, 100, 50, limit=limit)


def test_a_pack_that_was_cut_keeps_its_whole_entries_and_asks_for_the_rest_with_a_larger_limit() -> (
    None
):
    rest = answers(entry(1, "words of item 2"), entry(2, "words of item 3"))
    model = ScriptedClient(cut(entry(1), entry(2), limit=1_000), rest)
    resolutions = resolve(model, 4)
    assert all(each.answer for each in resolutions)
    first, second = model.asked
    assert (first.items, second.items) == (4, 2)
    assert first.max_answer_tokens + first.headroom < 1_100
    assert second.headroom == 4_000 - first.max_answer_tokens


def test_a_model_that_always_cuts_ends_after_three_requests_with_one_sentence() -> None:
    model = ScriptedClient(*[cut(limit=100 * 4**number) for number in range(3)])
    resolutions = resolve(model, 10)
    assert len(model.asked) == 3
    (sentence,) = {each.reason for each in resolutions}
    assert sentence == (
        "the answers of the model 'm' could not be used 3 times in a row: it was cut at its limit of 1600 tokens; "
        "set another EDUGRAPH_MODEL, or larger thinking_tokens for this one"
    )


def test_a_limit_grows_to_a_bound() -> None:
    model = ScriptedClient(*[cut(limit=50_000)] * 3)
    resolve(model, 2)
    assert model.asked[2].max_answer_tokens + model.asked[2].headroom == LARGEST_LIMIT_TOKENS


def test_a_model_that_only_talks_ends_after_three_requests() -> None:
    model = ScriptedClient(*[LLMResponse("Happy to help!", True, 10, 5)] * 3)
    resolutions = resolve(model, 10)
    assert len(model.asked) == 3
    assert all(
        "could not be used 3 times in a row: the answer is not JSON" in each.reason
        for each in resolutions
    )
    assert model.judged[-1]


def test_texts_that_go_wrong_beside_others_that_go_well_say_nothing_of_the_model() -> None:
    wrong = answers(entry(1, confidence=7))
    model = ScriptedClient(answers(entry(1)), *[wrong] * 4)
    resolutions = resolve(model, 3)
    assert len(model.asked) == 5  # each of the two alone, with its repair turn
    assert ["validate" in each.reason for each in resolutions] == [False, True, True]
    assert not any(model.judged)


def test_a_pack_waits_when_others_saw_the_model_fail_too_and_ends_when_the_pauses_are_as_long_as_they_get() -> (
    None
):
    prose = LLMResponse("Happy to help!", True, 10, 5)
    waiting = ScriptedClient(prose)
    waiting.pauses = [60.0]
    with pytest.raises(Wait, match="could not be used") as caught:
        resolve(waiting, 10)
    assert (len(waiting.asked), caught.value.seconds) == (1, 60.0)

    last = ScriptedClient(prose, prose, prose)
    last.pauses = [600.0, 600.0, 600.0]
    assert all(each.reason for each in resolve(last, 10))


def test_what_the_content_filter_took_out_is_counted_and_each_item_asked_for_alone() -> None:
    budget = Budget()
    filtered = LLMResponse("", True, 70, 3, filtered=True)
    resolutions = resolve(ScriptedClient(filtered, answers(entry(1)), filtered), 2, budget)
    assert [bool(each.answer) for each in resolutions] == [True, False]
    assert sum(usage.input_tokens for usage in budget.usages) == 70 + 100 + 70
