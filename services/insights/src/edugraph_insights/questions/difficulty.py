"""Question 7: how hard is this course, and which of two is harder?"""

from statistics import median
from typing import Annotated, Any, ClassVar

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import (
    Count,
    Difference,
    Evidence,
    Figure,
    Found,
    Mark,
    Measured,
    Name,
    Noise,
    Ratio,
    Row,
    Share,
    mean_of,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean, paired_interval

ENOUGH_FOR_VERDICT = 10  # students who took both courses


class OfTwoCourses(Parameters):
    """Parameters of a question about one course or two."""

    other: Id | None = Field(default=None, description="a course to compare it with")

    @property
    def courses(self) -> tuple[str, ...]:
        if self.other in {None, self.course}:
            return (self.course,)
        return (self.course, str(self.other))


class Difficulty(Row):
    """One course. If two courses are compared, the row of the first has `verdict` and `harder_by`."""

    identity: ClassVar[tuple[str, ...]] = ("course",)

    course: Name
    right: Share
    median_progress: Share
    students: Count
    students_with_progress: Count
    students_of_both: Count
    harder_by: Difference = None
    # An analyst gets the difference without a verdict, which would tell which side of a bound the exact one is on.
    verdict: Annotated[str | None, Mark.PERSONAL] = ""
    evidence: Evidence = None
    progress_evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: OfTwoCourses) -> Found[Difficulty]:
    courses = asked.courses
    has_two_courses = len(courses) > 1
    wrong: dict[str, dict[str, float]] = {}
    first_attempts: dict[str, dict[str, int]] = {}
    for course in courses:
        tries = facts.first_tries(course)
        wrong[course] = tries.wrong
        if facts.in_cells:
            first_attempts[course] = tries.numbers
    known = {course: facts.progress(course) for course in courses}
    both: frozenset[str] = frozenset()
    if has_two_courses:
        both = frozenset.intersection(*(frozenset(students) for students in wrong.values()))
    rows = []
    for course in courses:
        of_course = asked.model_copy(update={"course": course})
        right = mean([1 - share for share in wrong[course].values()])
        progress = known[course]
        median_progress = None
        if progress:
            median_progress = median(progress.values()) / 100
        comparison: dict[str, Any] = {}
        if has_two_courses and course == asked.course:
            comparison = _compared(wrong, courses, both)
        row = Difficulty(
            course=course,
            right=right,
            median_progress=median_progress,
            students=len(wrong[course]),
            students_with_progress=len(progress),
            students_of_both=len(both),
            evidence=of_course.records(),
            progress_evidence=of_course.records(kind="progress"),
            **comparison,
        )
        measured = Measured(row)
        if facts.in_cells:
            figures = _figures(wrong, course, courses, both)
            if comparison:
                figures["harder_by"] = _harder_by(wrong, courses, both)
            students = frozenset(wrong[course])
            measured = Measured(row, students, figures, first_attempts[course])
        rows.append(measured)
    with_progress = frozenset(known[asked.course])
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with known progress": with_progress,
        },
        left_out={},
    )


def _figures(
    wrong: dict[str, dict[str, float]],
    course: str,
    courses: tuple[str, ...],
    both: frozenset[str],
) -> dict[str, Figure]:
    """Return the figures of a row, each with what the students add to it."""
    figures: dict[str, Figure] = {}
    name = statistic("right", course)
    figures["right"] = mean_of(name, wrong[course], is_mirrored=True)
    name = statistic("tried", course)
    figures["students"] = number_of(name, wrong[course])
    if len(courses) > 1:
        name = statistic("tried both", *courses)
        figures["students_of_both"] = number_of(name, both)
    return figures


def _harder_by(
    wrong: dict[str, dict[str, float]], courses: tuple[str, ...], both: frozenset[str]
) -> Ratio:
    """Return the mean difference of the shares wrong, over the students who took both courses."""
    this, other = courses
    differences: dict[str, float] = {}
    for student in both:
        differences[student] = wrong[this][student] - wrong[other][student]
    name = statistic("harder by", this, other)
    return mean_of(name, differences, lowest=-1.0)


def _compared(
    wrong: dict[str, dict[str, float]], courses: tuple[str, ...], both: frozenset[str]
) -> dict[str, Any]:
    """Return which course is harder, by the students who took both. Other students differ in more than the course."""
    this, other = courses
    differences = [wrong[this][student] - wrong[other][student] for student in sorted(both)]
    interval = paired_interval(differences)
    if len(both) < ENOUGH_FOR_VERDICT or interval is None:
        return {"verdict": f"no verdict under {ENOUGH_FOR_VERDICT} students who took both"}
    low, high = interval
    verdict = "no difference can be told"
    if low > 0:
        verdict = f"{this} is harder"
    elif high < 0:
        verdict = f"{other} is harder"
    return {"harder_by": mean(differences), "verdict": verdict}


QUESTION = Question(
    name="difficulty",
    title="How hard is this course, and which of two is harder?",
    computed_by="The mean over students of their share right of first attempts; the median progress. Of two "
    "courses, the mean difference of the shares wrong of the students who took both, with a 95 % "
    "interval; a verdict from 10 on.",
    parameters=OfTwoCourses,
    row=Difficulty,
    find=find,
    order=lambda row: row.course,
    from_columns=True,
)
