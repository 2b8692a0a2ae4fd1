"""Question 3: who needs help now, and why?"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from math import exp
from typing import Annotated, NamedTuple, Self

from pydantic import Field

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.mastery import MASTERED_PROBABILITY, Ability, is_shown
from edugraph_insights.questions.question import Parameters, Question, RecordsOfStudents
from edugraph_insights.school_days import SchoolDays, beginning_of, day_of
from edugraph_insights.settings import HelpThresholds
from edugraph_insights.statistics import NORMAL_95
from edugraph_insights.usefulness import shown_types

Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
PersonalShare = Annotated[float | None, Mark.PERSONAL]
BELOW = "below the course"
STUCK = "stuck"
REPEATED = "repeated mistakes"
INACTIVE = "inactive"
# The first rule that holds gives the bucket. Inactivity comes last, so that it does not hide another reason.
RULES = (BELOW, STUCK, REPEATED, INACTIVE)
TOO_LITTLE = "too little is known"
NO_SIGN = "no sign"
BUCKETS = (*RULES, TOO_LITTLE, NO_SIGN)
# An average student of the course is right at this share of the questions.
AVERAGE = 0.5
# If more than this share of the students is inactive, the course is, and inactivity is not a reason.
MOST_INACTIVE_SHARE = 0.5


class OfHelp(Parameters):
    """Parameters of needs-help. Thresholds that are not given are taken from the settings of the course."""

    inactive_school_days: int | None = Field(default=None, ge=1, le=365)
    recent_school_days: int | None = Field(default=None, ge=1, le=365)
    stuck_tries: int | None = Field(default=None, ge=2, le=100)
    same_mistakes: int | None = Field(default=None, ge=2, le=100)
    low_estimate: float | None = Field(default=None, ge=0, le=1)

    def completed(self, thresholds: HelpThresholds) -> Self:
        given = self.model_dump(include=set(HelpThresholds.model_fields), exclude_none=True)
        return self.model_copy(update=thresholds.model_dump() | given)

    @property
    def thresholds(self) -> HelpThresholds:
        given = self.model_dump(include=set(HelpThresholds.model_fields), exclude_none=True)
        return HelpThresholds(**given)


class NeedsHelp(Row):
    """One student in one `bucket`. `reasons` are all rules that hold; the first of them is the bucket.

    `estimate` is the estimated share right of this student at questions that an average student of the course gets
    right in a half of the cases, with the ends of its 95 % interval. All three are null without a first attempt at
    an item of a known point. `school_days_inactive` is null if no activity is known. `stuck_at` are items, `repeated`
    are types of mistakes, and `low_at` are points whose estimated mastery is below a half.
    """

    student: Annotated[str, Mark.PERSONAL]
    bucket: Annotated[str, Mark.PERSONAL]
    reasons: Texts
    estimate: PersonalShare = None
    low: PersonalShare = None
    high: PersonalShare = None
    last_active: Annotated[date | None, Mark.PERSONAL]
    school_days_inactive: Annotated[int | None, Mark.PERSONAL]
    stuck_at: Texts = ()
    repeated: Texts = ()
    low_at: Texts = ()
    evidence: Evidence = None


class Signs(NamedTuple):
    """How one student stands. The fields are those of NeedsHelp."""

    student: str
    reasons: tuple[str, ...]
    estimate: float | None
    low: float | None
    high: float | None
    last_active: date | None
    school_days_inactive: int | None
    stuck_at: tuple[str, ...]
    repeated: tuple[str, ...]
    low_at: tuple[str, ...]


class Judged(NamedTuple):
    """The signs of all students, the number of first attempts, and what was left out."""

    students: list[Signs]
    first_attempts: int
    left_out: dict[str, int]


def find(facts: Facts, asked: OfHelp) -> Found[NeedsHelp]:
    with facts.in_one_state(asked.course) as then:
        judged = judge(then, asked)
    records = RecordsOfStudents(asked)
    rows = []
    for signs in judged.students:
        row = NeedsHelp(
            **signs._asdict(),
            bucket=_bucket(signs),
            evidence=records.of(signs.student),
        )
        rows.append(Measured(row))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": judged.first_attempts,
        },
        left_out=judged.left_out,
    )


def judge(facts: Facts, asked: OfHelp) -> Judged:
    """Return how each student stands."""
    limits = asked.thresholds
    active = facts.last_activity(asked.course)
    days = SchoolDays(facts.terms(), day_of(facts.until, facts.zone), facts.zone)
    first_day = days.first_of_last(limits.recent_school_days)
    recent_from = beginning_of(first_day, facts.zone)
    if facts.since is not None:
        recent_from = max(recent_from, facts.since)
    practice = facts.practice(asked.course)
    abilities = practice.abilities()
    low_at = practice.below(AVERAGE)
    # Students with so large a share of right attempts that a point with it would be mastered do not need help, even
    # where the others of the course are right nearly always.
    mostly_right = facts.mostly_right(asked.course, MASTERED_PROBABILITY)
    recent = replace(facts, since=recent_from)
    stuck_at = recent.stuck_at(asked.course, limits.stuck_tries)
    mistakes, hidden = shown_types(recent, asked.course)
    repeated = _repeated(mistakes, recent, asked.course, limits.same_mistakes)
    # Many students were active last on the same day.
    idle_since: dict[date | None, int | None] = {}
    for last in {None, *active.values()}:
        idle_since[last] = _idle_school_days(facts, days, last)
    inactive = set()
    for student in facts.students:
        number = idle_since[active.get(student)]
        if number is None or number >= limits.inactive_school_days:
            inactive.add(student)
    # An answer about one student does not know the others.
    is_about_several = asked.student is None
    are_most_inactive = len(inactive) > MOST_INACTIVE_SHARE * len(facts.students)
    is_course_inactive = is_about_several and are_most_inactive
    judged = []
    for student in facts.students:
        estimate, low, high = _estimate(abilities.get(student))
        is_low = estimate is not None and estimate < limits.low_estimate
        # A student without an estimate is judged by the plain rules.
        is_below_average = estimate is None or estimate < AVERAGE
        holds = {
            BELOW: is_low and student not in mostly_right,
            STUCK: is_below_average and student in stuck_at,
            REPEATED: is_below_average and student in repeated,
            INACTIVE: student in inactive and not is_course_inactive,
        }
        last = active.get(student)
        idle_days = None
        if last is not None:
            idle_days = idle_since[last]
        signs = Signs(
            student=student,
            reasons=tuple(rule for rule in RULES if holds[rule]),
            estimate=estimate,
            low=low,
            high=high,
            last_active=last,
            school_days_inactive=idle_days,
            stuck_at=tuple(sorted(stuck_at.get(student, ()))),
            repeated=tuple(sorted(repeated.get(student, ()))),
            low_at=tuple(sorted(low_at.get(student, ()))),
        )
        judged.append(signs)
    left_out = {
        "first attempts at items of no known point": practice.tries.without_point,
        **hidden.left_out,
    }
    if is_course_inactive:
        left_out["inactivity of students, since most of the course is inactive"] = len(inactive)
    return Judged(judged, practice.tries.number, left_out)


def _idle_school_days(facts: Facts, days: SchoolDays, last_active: date | None) -> int | None:
    """Return the whole school days without activity. None if no activity is known and the period has no beginning.

    Without a known activity, the days count from the beginning of the period.
    """
    if last_active is not None:
        return days.since(last_active)
    if facts.since is not None:
        return days.since_moment(facts.since)
    return None


def _estimate(ability: Ability | None) -> tuple[float | None, float | None, float | None]:
    """Return an ability and the ends of its 95 % interval as shares right, where 0.5 is the average of the course."""
    if ability is None:
        return None, None, None
    margin = NORMAL_95 * ability.error
    ends = (ability.value - margin, ability.value + margin)
    low, high = (_share(end) for end in ends)
    return _share(ability.value), low, high


def _share(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def _bucket(signs: Signs) -> str:
    if signs.reasons:
        return signs.reasons[0]
    if signs.low is None or signs.high is None or not is_shown(signs.low, signs.high):
        return TOO_LITTLE
    return NO_SIGN


def _repeated(
    mistakes: Iterable[GraphRow], recent: Facts, course: str, times: int
) -> dict[str, set[str]]:
    """Return, for each student, the error types with at least `times` of these mistakes of the period.

    A mistake does not count if its record says that it is resolved, or if the student was right later: at its item,
    or at another item of one of its points by a first attempt.
    """
    unresolved = [mistake for mistake in mistakes if not mistake["resolved"]]
    often = {student for student, _, _ in _made(unresolved, times)}
    last_right = recent.last_right(course, sorted(often))
    still_made = []
    for mistake in unresolved:
        right = last_right.at(mistake["student"], mistake["item"], mistake["points"])
        was_right_later = right is not None and right > mistake["at"]
        if not was_right_later:
            still_made.append(mistake)
    found: dict[str, set[str]] = defaultdict(set)
    for student, _, name in _made(still_made, times):
        found[student].add(name)
    return found


def _made(mistakes: Iterable[GraphRow], times: int) -> list[tuple[str, str, str]]:
    """Return each student with the id and the name of an error type of at least `times` of these mistakes."""
    made: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in mistakes:
        made[row["student"], row["type"], row["name"]] += row["occurrences"]
    return [each for each, number in made.items() if number >= times]


def in_order(row: NeedsHelp | Signs) -> tuple[int, float, str]:
    """Students with a reason in their work come first, then those who are inactive alone, each by the estimate."""
    rank = 2
    if row.reasons == (INACTIVE,):
        rank = 1
    elif row.reasons:
        rank = 0
    estimate = AVERAGE
    if row.estimate is not None:
        estimate = row.estimate
    return rank, estimate, row.student


QUESTION = Question(
    name="needs-help",
    title="Who needs help now, and why?",
    computed_by="Each student stands in the bucket of the first rule that holds. Below the course: the estimated "
    "share right at questions that an average student of the course gets right in a half of the cases, from all "
    "attempts until then, retries included, is low, and less than three quarters of these are right. Stuck: an item "
    "was tried several times in the last school days without a right answer. Repeated mistakes: several of one type "
    "in the last school days that are not resolved. These two end with a later right attempt at the item, or "
    "right first attempt at another item of the point, and count only for students below the average of the "
    "course or without an estimate. Inactive: whole school days since the last attempt, mistake, message or "
    "activity in the course (Mondays to Fridays in a term and no break); if more than half of the students are "
    "inactive, the course is, and nobody is said to be. The order is that of the estimate, which is shown with "
    "its 95 % interval. The thresholds stand in the parameters. Types that an analyser found do not count if "
    "reviewers accepted under 40 % of those like them, and types that it named without a model until they are "
    "measured.",
    parameters=OfHelp,
    row=NeedsHelp,
    find=find,
    order=in_order,
    quotes=True,
)
