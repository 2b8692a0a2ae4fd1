"""The limits of asking once more: two requests, a cut answer, one budget a day, and a judged provider."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.asking import Asker, Errand, NotUsable
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.prompting.questions import LLMRequest, LLMResponse, Unanswerable
from edugraph_analyzer.sending import Bill
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import BudgetSpent

NOW = datetime(2026, 12, 3, 23, 59, tzinfo=UTC)
SETTINGS = AnalyzerSettings(
    model="scripted", openai_api_key="k", prices={"scripted": {"input": 1, "output": 1}}
)
FIRST = LLMRequest("error", [{"role": "user", "content": "choose"}], 100, 1)
PROBLEM = "it is not right"
TOKENS = 150


class School:
    """A model with its answers, and a budget that pays for `pays_for` requests. It keeps what it was asked."""

    def __init__(self, answers: list[str], pays_for: int = 10) -> None:
        self.answers = answers
        self.pays_for = pays_for
        self.asked: list[LLMRequest] = []
        self.judged: list[str] = []
        self.paid: list[tuple[str, str]] = []

    def complete(self, request: LLMRequest, *_: Any) -> LLMResponse:
        answer = self.answers[len(self.asked)]
        self.asked.append(request)
        return LLMResponse(
            answer,
            complete=True,
            input_tokens=100,
            output_tokens=50,
            filtered=answer == "filtered",
        )

    def judge(self, reason: str) -> float:
        self.judged.append(reason)
        return 0.0

    def check(self, *_: Any) -> None:
        if len(self.paid) >= self.pays_for:
            raise BudgetSpent("the job's budget of 1 is spent", 60.0)

    def add(self, job_id: str, purpose: str, *_: Any) -> None:
        self.paid.append((job_id, purpose))


def asker(school: School, now: datetime = NOW, members: Any = None) -> Asker:
    model: Any = school
    return Asker(SETTINGS, lambda: model, model, members, CourseNames, lambda: "id", lambda: now)


def read(text: str) -> int:
    if not text.isdecimal():
        raise NotUsable(PROBLEM)
    return int(text)


DRAFT = Errand(purpose="draft", budget="drafts", longest_shown=40)


@given(
    answers=st.lists(st.sampled_from(["7", "no", "", "filtered", "x" * 90]), min_size=5),
    longest=st.integers(0, 50),
    pays_for=st.integers(0, 4),
)
def test_a_bad_answer_is_asked_for_once_more(
    answers: list[str], longest: int, pays_for: int
) -> None:
    """Out: MOST_REQUESTS, the cut of the shown answer, the first messages, a call of `judge`, or the bill."""
    school = School(answers, pays_for)
    errand = Errand(purpose="draft", budget="drafts", longest_shown=longest)
    # A reference: the requests that are sent, from the answers and the budget.
    sent = 0
    end: Any = NotUsable
    for answer in answers[:2]:
        if sent == pays_for:
            end = BudgetSpent
            break
        sent += 1
        if answer == "filtered":
            end = Unanswerable
            break
        if answer == "7":
            end = 7
            break
    bill = Bill()
    if end == 7:
        assert asker(school).ask(FIRST, read, errand, bill) == end
    else:
        with pytest.raises(end):
            asker(school).ask(FIRST, read, errand, bill)
    assert (bill.input_tokens, bill.output_tokens) == (100 * sent, 50 * sent)
    assert bill.cost == pytest.approx(sent * TOKENS / 1_000_000)
    assert len(school.asked) == len(school.paid) == sent
    for number, request in enumerate(school.asked):
        assert request.messages[0] == FIRST.messages[0]
        assert len(request.messages) == 1 + 2 * number
    if sent == 2:
        shown = school.asked[1].messages[1]["content"]
        assert shown == answers[0][:longest]
        assert PROBLEM in school.asked[1].messages[2]["content"]
    judged = []
    for answer in answers[:sent]:
        if answer == "filtered":
            continue
        judged.append("" if answer == "7" else PROBLEM)
    assert [PROBLEM if PROBLEM in each else each for each in school.judged] == judged


def test_the_requests_of_a_day_share_one_budget() -> None:
    """Out: the day in the id that pays, or the errand's purpose."""
    school = School(["no", "7", "7", "7"])
    asker(school).ask(FIRST, read, DRAFT, Bill())
    asker(school, NOW + timedelta(minutes=1)).ask(FIRST, read, DRAFT, Bill())
    question = Errand(purpose="question", budget="questions", longest_shown=40)
    asker(school).ask(FIRST, read, question, Bill())
    assert school.paid == [
        ("drafts-2026-12-03", "draft"),
        ("drafts-2026-12-03", "draft"),
        ("drafts-2026-12-04", "draft"),
        ("questions-2026-12-03", "question"),
    ]


def test_the_names_of_every_course_must_be_known() -> None:
    """Out: the look for unknown courses in `names_of`."""
    known = {"MATH8": ("Anna Keller",), "PHYS8": ("Ben Adeyemi",)}
    members = SimpleNamespace(of=lambda ids: {each: known[each] for each in ids if each in known})
    one = asker(School([]), members=members)
    assert len(one.names_of(["MATH8", "PHYS8"])) == 2
    with pytest.raises(MembersUnknown) as unknown:
        one.names_of(["MATH8", "ART8"])
    assert unknown.value.course_ids == ("ART8",)
    assert asker(School([])).names_of(["MATH8"]) == []
