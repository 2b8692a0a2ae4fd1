"""Several runs with the same questions on one Redis: one asks, the others get its answer, and each bill is paid once."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from edugraph_analyzer.cache.single_flight import SingleFlight
from edugraph_analyzer.cache.store import AnswerStore, State
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.schema import Answer, as_answer
from edugraph_analyzer.prompting.questions import Question, Resolution, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Wait

SETTINGS = AnalyzerSettings(openai_api_key="k", model="m")


@pytest.fixture
def store(redis_url: str) -> Iterator[AnswerStore]:
    with redis.Redis.from_url(redis_url) as client:
        yield AnswerStore(client, ttl_seconds=60, lease_ttl_seconds=5)
        for key in client.scan_iter(match="edugraph:llm:*:*"):
            client.delete(key)


def questions(count: int) -> list[Question]:
    own = uuid.uuid4().hex
    made = []
    for number in range(count):
        data = {"teacher_id": "t", "student_id": "s", "text": f"words of item {number} of {own}"}
        record = {"type": "teacher_interaction", "timestamp": "2026-01-05T08:00:00Z", "data": data}
        made.append(question_of(read_document(record, "interaction", []), SETTINGS))
    return made


def answer(confidence: float = 0.5) -> Answer:
    made = as_answer(
        "interaction",
        {
            "id": "x",
            "sentiment": "neutral",
            "topics": ["t"],
            "evidence": ["words"],
            "confidence": confidence,
        },
    )
    assert not isinstance(made, str), made
    return made


def resolution(question: Question, **tokens: Any) -> Resolution:
    return Resolution(question, answer(), **tokens)


class Run:
    """One run of one pack. It sleeps by calling `meanwhile`."""

    def __init__(self, store: AnswerStore, owner: str, billed_to: str = "") -> None:
        self.slept: list[float] = []
        self.store, self._owner, self._billed_to = store, owner, billed_to or owner
        self.meanwhile: Any = lambda: None

    def begin(self, asked: list[Question], patience: float = 3) -> Iterator[list[Question]]:
        self.flight = SingleFlight(
            self.store, "interaction", self._owner, {each.key: self._billed_to for each in asked}
        )
        return self.flight.run(asked, self._sleep, patience)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        assert len(self.slept) < 100, "it waits for ever"
        self.meanwhile()

    def answer_all(self, asked: list[Question], **tokens: Any) -> list[list[Question]]:
        """Go on to the end, and return what this run was told to ask."""
        told = []
        for mine in self.begin(asked):
            told.append(mine)
            with self.flight.leased(mine):
                for question in mine:
                    self.flight.resolve(resolution(question, **tokens))
        return told


def test_a_question_that_nobody_asked_is_asked_by_the_first_and_answers_the_next(
    store: AnswerStore,
) -> None:
    asked = questions(3)
    one, two = Run(store, "one"), Run(store, "two")
    assert one.answer_all(asked, input_tokens=7, output_tokens=2) == [asked]
    assert one.slept == []
    assert one.flight.paid == {each.key for each in asked}
    assert two.answer_all(asked) == []
    assert two.flight.resolutions.keys() == {each.key for each in asked}
    assert (two.flight.paid, two.flight.paid_before) == (set(), set())
    found = two.flight.resolutions[asked[1].key]
    assert found.question is asked[1]
    assert found.answer is not None
    assert found.answer.model_dump(exclude={"id"}) == answer().model_dump(exclude={"id"})
    assert (found.input_tokens, found.output_tokens) == (0, 0)  # it cost this run nothing


def test_only_what_nobody_has_or_asks_is_asked(store: AnswerStore) -> None:
    known, others, free = questions(3)
    Run(store, "one").answer_all([known])
    two, three = Run(store, "two"), Run(store, "three")
    [two_asks] = [next(two.begin([others]))]
    assert two_asks == [others]
    going = three.begin([known, others, free])
    assert next(going) == [free]
    assert three.flight.resolutions.keys() == {known.key}
    assert three.slept == []  # while there is something to ask, nothing is waited for


def test_what_another_asks_is_waited_for_and_taken(store: AnswerStore) -> None:
    [asked] = questions(1)
    one, two = Run(store, "one"), Run(store, "two")
    next(one.begin([asked]))

    def answer_at_the_third_look() -> None:
        if len(two.slept) == 3:
            one.flight.resolve(resolution(asked))

    two.meanwhile = answer_at_the_third_look
    assert list(two.begin([asked])) == []
    assert two.slept == pytest.approx([0.02, 0.03, 0.045])
    assert two.flight.resolutions[asked.key].answer is not None


def test_the_pauses_between_looks_grow_to_half_a_second_until_patience_ends(
    store: AnswerStore,
) -> None:
    [asked] = questions(1)
    next(Run(store, "one").begin([asked]))
    two = Run(store, "two")
    with pytest.raises(Wait, match="another process") as caught:
        list(two.begin([asked], patience=3))
    assert caught.value.seconds == 5
    assert two.slept[:2] == pytest.approx([0.02, 0.03])
    assert max(two.slept) == 0.5
    assert sum(two.slept[:-1]) < 3 <= sum(two.slept)


def test_without_patience_nothing_is_waited_for(store: AnswerStore) -> None:
    [asked] = questions(1)
    next(Run(store, "one").begin([asked]))
    two = Run(store, "two")
    with pytest.raises(Wait):
        list(two.begin([asked], patience=0))
    assert two.slept == []


def test_why_there_is_no_answer_is_told_to_those_who_wait(store: AnswerStore) -> None:
    failed, good = questions(2)
    one, two = Run(store, "one"), Run(store, "two")
    next(one.begin([failed, good]))

    def end() -> None:
        with one.flight.leased([failed, good]):
            one.flight.resolve(Resolution(failed, None, "does not validate"))
            one.flight.resolve(resolution(good))

    two.meanwhile = end
    assert list(two.begin([failed, good])) == []
    assert two.flight.resolutions[failed.key] == Resolution(failed, None, "does not validate")
    assert two.flight.resolutions[good.key].answer is not None
    assert one.flight.paid == {good.key}


def test_what_a_failed_run_did_not_resolve_is_free_at_once(store: AnswerStore) -> None:
    done, left = questions(2)
    one, two = Run(store, "one"), Run(store, "two")
    mine = next(one.begin([done, left]))

    def resolve_one_and_fail() -> None:
        with one.flight.leased(mine):
            one.flight.resolve(resolution(done))
            raise KeyError

    with pytest.raises(KeyError):
        resolve_one_and_fail()
    assert two.answer_all([done, left]) == [[left]]


def test_leases_are_renewed_while_questions_are_asked(
    store: AnswerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, renewed = questions(2), []
    one = Run(store, "one")
    mine = next(one.begin(asked))
    original = store.renewed
    monkeypatch.setattr(
        store,
        "renewed",
        lambda kind, keys, owner: renewed.append((keys, owner)) or original(kind, keys, owner),
    )
    with one.flight.leased(mine):
        assert (
            store.look("interaction", [asked[0].key], "two")[asked[0].key].state == State.ANOTHERS
        )
    assert renewed == [([each.key for each in asked], "one")]
    assert store.look("interaction", [asked[0].key], "two")[asked[0].key].state == State.MINE


def test_the_same_pack_tried_again_reports_what_it_paid_before(store: AnswerStore) -> None:
    asked = questions(2)
    cost = {"input_tokens": 7, "output_tokens": 2, "cached_tokens": 3, "batched": True}
    Run(store, "first try", billed_to="pack 1 record 1").answer_all(asked, **cost)
    again = Run(store, "second try", billed_to="pack 1 record 1")
    assert again.answer_all(asked) == []
    assert again.flight.paid_before == {each.key for each in asked}
    assert again.flight.paid == set()
    for question in asked:
        found = again.flight.resolutions[question.key]
        assert {name: getattr(found, name) for name in cost} == cost


def test_another_pack_pays_nothing_for_it(store: AnswerStore) -> None:
    asked = questions(1)
    Run(store, "one", billed_to="pack 1 record 1").answer_all(
        asked, input_tokens=7, output_tokens=2
    )
    other = Run(store, "two", billed_to="pack 2 record 1")
    other.answer_all(asked)
    assert other.flight.paid_before == set()
    assert other.flight.resolutions[asked[0].key].input_tokens == 0


def test_a_run_that_meets_its_own_answer_again_has_paid_it_once(store: AnswerStore) -> None:
    """The same question stands in several packs of one run, which share what was paid."""
    asked = questions(1)
    one = Run(store, "one")
    one.answer_all(asked, input_tokens=7, output_tokens=2)
    del one.flight.resolutions[asked[0].key]
    assert list(one.flight.run(asked, one._sleep, 1)) == []
    assert one.flight.paid_before == set()
    assert one.flight.resolutions[asked[0].key].input_tokens == 0


@pytest.mark.parametrize(
    "stored",
    [
        {"sentiment": "ecstatic", "paid": {"by": "one", "input": 1, "output": 1, "cached": 0}},
        answer().model_dump(exclude={"id"}),
    ],
    ids=["no answer", "no receipt"],
)
def test_an_answer_that_does_not_validate_is_forgotten_and_asked_for_again(
    store: AnswerStore, stored: dict[str, Any]
) -> None:
    [asked] = questions(1)
    store.keep("interaction", asked.key, stored)
    one = Run(store, "one")
    with capture_logs() as lines:
        assert one.answer_all([asked]) == [[asked]]
    assert [line["event"] for line in lines] == ["cached_answer_invalid"]
    assert store.kept("interaction", [asked.key]) == {asked.key}


def test_an_answer_is_kept_without_its_number_in_the_pack_and_with_its_bill(
    store: AnswerStore,
) -> None:
    [asked] = questions(1)
    Run(store, "one", billed_to="r").answer_all([asked], input_tokens=7, output_tokens=2)
    kept = json.loads(store._redis.get(f"edugraph:llm:answer:interaction:{asked.key}"))
    assert kept.pop("paid") == {"by": "r", "of": None, "input": 7, "output": 2, "cached": 0}
    assert kept == json.loads(answer().model_dump_json(exclude={"id"}))


def test_the_same_question_twice_in_a_pack_is_asked_once(store: AnswerStore) -> None:
    [asked] = questions(1)
    one = Run(store, "one")
    assert one.answer_all([asked, asked]) == [[asked]]


def test_no_question_asks_nothing(store: AnswerStore) -> None:
    assert Run(store, "one").answer_all([]) == []
