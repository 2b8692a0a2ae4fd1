"""A small school for questions in words, without servers: its graph as rows, its callers, and the three services."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from edugraph_analyzer.asking import Asker
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.prompting.questions import LLMResponse
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_analyzer.wording.chooser import QuestionChooser
from edugraph_common.contracts.messages import ChooseQuestion
from edugraph_common.contracts.permissions import Role
from edugraph_common.contracts.wordings import ChosenQuestion, UnderstoodQuestion, WordsBasis
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.asked_in_words import (
    AskedInWords,
    ChoiceForWords,
    basis_of,
    understood,
)
from edugraph_insights.insights import Insights
from edugraph_insights.settings import InsightsSettings

# A Wednesday.
NOW = datetime(2026, 11, 11, 9, tzinfo=UTC)
COURSE = "MATH8"
STUDENTS = {"S01": "Anna Keller", "S02": "Ben Adeyemi", "S03": "王小明"}
OTHERS = {"S11": "Lena Fischer", "S12": "李雷雷"}
TEACHER = "Maria Okonkwo"
COURSES = [
    {"id": "MATH8", "name": "Mathematics 8"},
    {"id": "PHYS8", "name": "Physics 8"},
]
CHINESE_COURSES = [{"id": "MATH8", "name": "数学八年级"}, {"id": "PHYS8", "name": "物理八年级"}]
GROUPS = [
    {"id": "G8A", "name": "8A", "courses": ["MATH8", "PHYS8"]},
    {"id": "G8B", "name": "8B", "courses": ["MATH8", "PHYS8"]},
]
CHINESE_GROUPS = [
    {"id": "G8A", "name": "八（1）班", "courses": ["MATH8", "PHYS8"]},
    {"id": "G8B", "name": "八（2）班", "courses": ["MATH8", "PHYS8"]},
]
POINTS = [
    {"point": "P-ADD", "name": "adding fractions"},
    {"point": "P-EQ", "name": "linear equations"},
    {"point": "P-PYT", "name": "勾股定理"},
]
WITH_MODEL = AnalyzerSettings(
    model="scripted", openai_api_key="k", prices={"scripted": {"input": 1, "output": 1}}
)


@dataclass
class RowsOfSchool:
    """The answers of a graph to the statements that questions in words read. The teacher leads 8A."""

    is_chinese: bool = False
    teachers_group: str = "G8A"

    def read(self, statement: str, **given: Any) -> list[dict[str, Any]]:
        return getattr(self, f"_{statement}")(given)  # type: ignore[no-any-return]

    def _all_courses(self, _: Any) -> list[dict[str, Any]]:
        return CHINESE_COURSES if self.is_chinese else COURSES

    def _courses(self, given: Any) -> list[dict[str, Any]]:
        return [row for row in self._all_courses(given) if row["id"] in given["courses"]]

    def _courses_of_students(self, _: Any) -> list[dict[str, Any]]:
        return [{"id": row["id"]} for row in COURSES]

    def _courses_of_groups(self, _: Any) -> list[dict[str, Any]]:
        return []

    def _all_groups(self, _: Any) -> list[dict[str, Any]]:
        return CHINESE_GROUPS if self.is_chinese else GROUPS

    def _groups_led(self, given: Any) -> list[dict[str, Any]]:
        return [row for row in self._all_groups(given) if row["id"] == self.teachers_group]

    def _terms_to_choose(self, _: Any) -> list[dict[str, Any]]:
        return []

    def _owner_of(self, _: Any) -> list[dict[str, Any]]:
        return []

    def _not_restricted(self, given: Any) -> list[dict[str, Any]]:
        return [{"student": each} for each in given["students"]]

    def _students_led(self, _: Any) -> list[dict[str, Any]]:
        return [{"student": each} for each in STUDENTS]

    def _students_of_course(self, given: Any) -> list[dict[str, Any]]:
        return [{"students": [*STUDENTS, *OTHERS][: given["limit"]]}]

    def _first_course_record(self, given: Any) -> list[dict[str, Any]]:
        return [{"student": each, "at": None} for each in given["students"]]

    def _names(self, given: Any) -> list[dict[str, Any]]:
        names = {**STUDENTS, **OTHERS}
        return [{"student": each, "name": names[each]} for each in given["students"]]

    def _points_taught(self, _: Any) -> list[dict[str, Any]]:
        return POINTS


def insights_of(graph: Any) -> Insights:
    settings = InsightsSettings.model_construct(
        head_sees="persons", school_time_zone="UTC", school_name=""
    )
    parts: dict[str, Any] = dict.fromkeys(
        ("key_ring", "issuer", "audit", "views", "action_permits", "model_permits", "ping_redis")
    )
    return Insights(settings=settings, graph=graph, now=lambda: NOW, **parts)


def caller_of(role: Role) -> Caller:
    person = {"teacher": "T1", "student": "S01"}.get(role, "X1")
    return Caller(role, ("read", "personal"), (role,), person)


@dataclass
class Spending:
    """A budget. `failure` is raised by its check."""

    failure: Exception | None = None
    paid: list[tuple[str, str]] = field(default_factory=list)

    def check(self, *_: Any) -> None:
        if self.failure:
            raise self.failure

    def add(self, job_id: str, purpose: str, *_: Any) -> None:
        self.paid.append((job_id, purpose))


@dataclass
class Model:
    """A model that answers by a function of the request, and keeps what it was asked."""

    answer: Callable[[Any], str]
    asked: list[Any] = field(default_factory=list)

    def complete(self, request: Any, *_: Any) -> LLMResponse:
        self.asked.append(request)
        return LLMResponse(self.answer(request), complete=True, input_tokens=100, output_tokens=20)

    def judge(self, _reason: str) -> float:
        return 0.0


def chosen_by(
    basis: WordsBasis, model: Model | None, spending: Spending | None = None
) -> ChosenQuestion:
    """Return the choice of the analyzer for a basis: of a model, or without one by phrases."""
    settings = AnalyzerSettings()
    if model is not None:
        settings = WITH_MODEL
    people = (*STUDENTS.values(), *OTHERS.values(), TEACHER)
    members: Any = SimpleNamespace(of=lambda ids: dict.fromkeys(ids, people))
    client: Any = model
    budget: Any = spending or Spending()
    asker = Asker(
        settings, lambda: client, budget, members, CourseNames, lambda: "0" * 32, lambda: NOW
    )
    return QuestionChooser(asker).choose(ChooseQuestion(job_id="j", basis=basis, permit="0" * 64))


@dataclass(frozen=True)
class Outcome:
    """The result of one question in words. `understood` is None if it was refused."""

    chosen: ChosenQuestion
    understood: UnderstoodQuestion | None


def answered(
    role: Role,
    text: str,
    *,
    model_of: Callable[[WordsBasis], Model] | None = None,
    is_chinese: bool = False,
) -> Outcome:
    """Take a question in words the whole way: insights, the analyzer, and insights again."""
    insights = insights_of(RowsOfSchool(is_chinese))
    asked: dict[str, Any] = {"text": text, "course_id": COURSE}
    if is_chinese:
        asked["language"] = "zh"
    caller = caller_of(role)
    basis = basis_of(insights, caller, AskedInWords(**asked))
    model = None
    if model_of is not None:
        model = model_of(basis)
    chosen = chosen_by(WordsBasis.model_validate_json(basis.model_dump_json()), model)
    if chosen.state != "chosen":
        return Outcome(chosen, None)
    choice = ChoiceForWords(**asked, question=chosen.question, parameters=chosen.parameters)
    return Outcome(chosen, understood(insights, caller, choice))
