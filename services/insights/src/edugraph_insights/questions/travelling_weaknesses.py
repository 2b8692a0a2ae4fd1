"""Question 13: which weakness travels to the next course?"""

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Count, Difference, Evidence, Found, Measured, Name, Row, Share
from edugraph_insights.facts import Facts, by_point, wrong_share
from edugraph_insights.questions.question import Parameters, Question

# A student with a larger share of wrong first attempts at a point counts as wrong at it.
MOSTLY_WRONG = 0.5


class ToNextCourse(Parameters):
    """Parameters of a question about the students who took both courses."""

    next_course: Id = Field(description="the course that comes after this one")

    @property
    def courses(self) -> tuple[str, ...]:
        return (self.course, self.next_course)


class TravellingWeakness(Row):
    """One point. `difference` is the share wrong in the next course: those wrong in this one − those right in it."""

    point: Name
    name: Name
    difference: Difference
    wrong_after_wrong: Share
    wrong_after_right: Share
    students_wrong: Count
    students_right: Count
    evidence: Evidence = None


def find(facts: Facts, asked: ToNextCourse) -> Found[TravellingWeakness]:
    before, after = (facts.first_attempts(course) for course in (asked.course, asked.next_course))
    points = facts.tested_points(each.item for each in (*before, *after))
    in_this, in_next = by_point(before, points), by_point(after, points)
    rows, not_before = [], 0
    for point in in_this.keys() & in_next.keys():
        both = in_this[point].keys() & in_next[point].keys()
        in_order = {s for s in both if in_this[point][s][-1].at < in_next[point][s][0].at}
        not_before += len(both) - len(in_order)
        wrong = {s for s in in_order if wrong_share(in_this[point][s]) > MOSTLY_WRONG}
        wrong_later = {s for s in in_order if wrong_share(in_next[point][s]) > MOSTLY_WRONG}
        right = in_order - wrong
        shares = [len(some & wrong_later) / len(some) if some else None for some in (wrong, right)]
        row = TravellingWeakness(
            point=point.id,
            name=point.name,
            difference=shares[0] - shares[1] if shares[0] is not None and shares[1] is not None else None,
            wrong_after_wrong=shares[0],
            wrong_after_right=shares[1],
            students_wrong=len(wrong),
            students_right=len(right),
            evidence=asked.records(point=point.id),
        )
        if in_order:
            rows.append(Measured(row, frozenset(in_order), (frozenset(wrong), frozenset(right))))
    students = [frozenset(each.student for each in attempts) for attempts in (before, after)]
    in_both = students[0] & students[1]
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts in both": in_both,
        },
        left_out={"students and points that did not end before the next course began": not_before},
    )


QUESTION = Question(
    name="travelling-weaknesses",
    title="Which weakness travels to the next course?",
    computed_by="Of points that items of both courses test, over students whose last first attempt at the point"
    " in this course came before their first one in the next: share wrong in the next of those who "
    "were wrong here, minus that of those who were right here. Wrong: over half of a student's "
    "first attempts at the point.",
    parameters=ToNextCourse,
    row=TravellingWeakness,
    find=find,
    order=lambda row: (row.difference is None, -(row.difference or 0.0), row.point),
)
