"""Question 3: who needs help now, and why?"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Self

from pydantic import Field

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Attempt, Facts
from edugraph_insights.mastery import TOO_FEW
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import SchoolDays
from edugraph_insights.settings import HelpThresholds

Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
# The first rule that holds gives the bucket.
RULES = ("inactive", "stuck", "repeated mistakes", "low mastery")
TOO_LITTLE = "too little is known"
NO_SIGN = "no sign"
BUCKETS = (*RULES, TOO_LITTLE, NO_SIGN)


class OfHelp(Parameters):
    """Parameters of needs-help. Thresholds that are not given are taken from the settings of the course."""

    inactive_school_days: int | None = Field(default=None, ge=1, le=365)
    stuck_tries: int | None = Field(default=None, ge=2, le=100)
    same_mistakes: int | None = Field(default=None, ge=2, le=100)
    low_mastery: float | None = Field(default=None, ge=0, le=1)
    low_points: int | None = Field(default=None, ge=1, le=100)

    def completed(self, thresholds: HelpThresholds) -> Self:
        given = self.model_dump(include=set(HelpThresholds.model_fields), exclude_none=True)
        return self.model_copy(update=thresholds.model_dump() | given)

    @property
    def thresholds(self) -> HelpThresholds:
        given = self.model_dump(include=set(HelpThresholds.model_fields), exclude_none=True)
        return HelpThresholds(**given)


class NeedsHelp(Row):
    """One student in one `bucket`. `reasons` are all rules that hold; the first of them is the bucket.

    `school_days_inactive` is null if no activity is known. `stuck_at` are items, `repeated` are types of mistakes and
    `low_at` are points.
    """

    student: Annotated[str, Mark.PERSONAL]
    bucket: Annotated[str, Mark.PERSONAL]
    reasons: Texts
    last_active: Annotated[date | None, Mark.PERSONAL]
    school_days_inactive: Annotated[int | None, Mark.PERSONAL]
    stuck_at: Texts = ()
    repeated: Texts = ()
    low_at: Texts = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfHelp) -> Found[NeedsHelp]:
    return found_from(facts.attempts(asked.course), facts, asked)


def found_from(attempts: list[Attempt], facts: Facts, asked: OfHelp) -> Found[NeedsHelp]:
    """Return the answer, computed from all attempts in the course."""
    limits = asked.thresholds
    active = facts.last_activity(asked.course)
    days = SchoolDays(facts.terms(), facts.until.date())
    practice = facts.practice(asked.course, attempts)
    first = practice.first
    names: dict[str, str] = {}
    for points in practice.points.values():
        names |= {point.id: point.name for point in points}
    in_time = [attempt for attempt in attempts if facts.since is None or attempt.at >= facts.since]
    stuck_at = _never_right(in_time, limits.stuck_tries)
    repeated = _repeated(facts.mistake_types(asked.course), limits.same_mistakes)
    rows = []
    for student in facts.students:
        known: dict[str, float] = {}  # point -> probability of a right answer, where it can be said
        for point, mastery in practice.mastery.get(student, {}).items():
            if mastery.probability is None or mastery.state == TOO_FEW:
                continue
            known[point] = mastery.probability
        low = [point for point, probability in known.items() if probability < limits.low_mastery]
        last = active.get(student)
        idle = _idle_school_days(facts, days, last)
        holds = {
            "inactive": idle is None or idle >= limits.inactive_school_days,
            "stuck": bool(stuck_at[student]),
            "repeated mistakes": bool(repeated[student]),
            "low mastery": len(low) >= limits.low_points,
        }
        reasons = tuple(rule for rule in RULES if holds[rule])
        if reasons:
            bucket = reasons[0]
        elif known:
            bucket = NO_SIGN
        else:
            bucket = TOO_LITTLE
        row = NeedsHelp(
            student=student,
            bucket=bucket,
            reasons=reasons,
            last_active=last,
            school_days_inactive=None if last is None else idle,
            stuck_at=tuple(sorted(stuck_at[student])),
            repeated=tuple(sorted(repeated[student])),
            low_at=tuple(sorted(names[point] for point in low)),
            evidence=asked.model_copy(update={"student": student}).records(),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "first attempts": len(first)},
        left_out={
            "first attempts at items of no known point": sum(
                each.item not in practice.points for each in first
            )
        },
    )


def _idle_school_days(facts: Facts, days: SchoolDays, last_active: date | None) -> int | None:
    """Return the whole school days without activity. None if no activity is known and the period has no beginning.

    Without a known activity, the days count from the beginning of the period.
    """
    if last_active is not None:
        return days.since(last_active)
    if facts.since is not None:
        return days.since(facts.since.date())
    return None


def _never_right(attempts: Iterable[Attempt], tries: int) -> dict[str, set[str]]:
    """Return, for each student, the items tried at least `tries` times and never with an outcome of 0.5 or more."""
    outcomes: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for attempt in attempts:
        outcomes[attempt.student, attempt.item, attempt.title].append(attempt.outcome)
    found: dict[str, set[str]] = defaultdict(set)
    for (student, _, title), outcomes_of_item in outcomes.items():
        if len(outcomes_of_item) >= tries and max(outcomes_of_item) < HALF:
            found[student].add(title)
    return found


def _repeated(mistakes: Iterable[dict[str, Any]], times: int) -> dict[str, set[str]]:
    """Return, for each student, the error types with at least `times` unresolved mistakes."""
    made: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in mistakes:
        if not row["resolved"]:
            made[row["student"], row["type"], row["name"]] += row["occurrences"]
    found: dict[str, set[str]] = defaultdict(set)
    for (student, _, name), number in made.items():
        if number >= times:
            found[student].add(name)
    return found


QUESTION = Question(
    name="needs-help",
    title="Who needs help now, and why?",
    computed_by="Each student stands in the bucket of the first rule that holds: inactive (whole school days "
    "since the last attempt, mistake, message or activity in the course: Mondays to Fridays in a "
    "term and no break), stuck (an item tried several times and never right), repeated mistakes "
    "(of one type, not resolved), low mastery (several points with a low estimated probability). "
    "The thresholds stand in the parameters.",
    parameters=OfHelp,
    row=NeedsHelp,
    find=find,
    order=lambda row: (BUCKETS.index(row.bucket), -len(row.reasons), row.student),
    quotes=True,
)
