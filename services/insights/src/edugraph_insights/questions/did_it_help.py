"""Did it help that we spoke with these students?"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, NamedTuple

import numpy as np

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.comparable import (
    Difference,
    Observations,
    difference_of_comparable,
    joined_observations,
)
from edugraph_insights.facts import Facts, with_spoken
from edugraph_insights.mastery import Integers
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.school_days import day_of
from edugraph_insights.tries import SumsBeforeDay, SumsOfStudents, TriesByDay

WINDOW_DAYS = 21
# First attempts before and after the day, so that a share is not that of a single answer.
ENOUGH_ATTEMPTS = 3
# With fewer students on one side, chance decides.
ENOUGH_STUDENTS = 10
# The day of the first contact of a student who had none.
NEVER = date.max.toordinal()
# The mean of all students counts as five earlier attempts of each.
ATTEMPTS_OF_MEAN = 5
State = Literal["more right", "less right", "cannot tell", "too few", "all had contact"]
PersonalShare = Annotated[float | None, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]


class Helped(Row):
    """The students with a contact beside comparable students. The shares are means of their first attempts.

    `difference` is between the two at the same shares before, from `low` to `high` with 95 % certainty. No share and
    no difference is given if there are too few students on one side, or if the comparable students had a contact soon
    afterwards, too.
    """

    state: Annotated[State, Mark.PERSONAL]
    students: Number
    comparable_students: Number
    right_before: PersonalShare = None
    right_after: PersonalShare = None
    comparable_before: PersonalShare = None
    comparable_after: PersonalShare = None
    difference: PersonalShare = None
    low: PersonalShare = None
    high: PersonalShare = None


class Compared(NamedTuple):
    """The observations that can be compared, the ids of their students, and the numbers of contacts that cannot."""

    observations: Observations | None
    students: frozenset[str]
    with_few_attempts: int
    without_comparable: int


class AroundDay:
    """The attempts of students before and after a day, which only moves on. The day itself is on neither side."""

    def __init__(self, tries: TriesByDay, first_contact: Integers) -> None:
        first = tries.first()
        self._first_contact = first_contact
        self._all_to_begin = SumsBeforeDay(tries)
        self._all_to_day = SumsBeforeDay(tries)
        self._first_to_begin = SumsBeforeDay(first)
        self._first_to_day = SumsBeforeDay(first)
        self._first_to_next = SumsBeforeDay(first)
        self._first_to_end = SumsBeforeDay(first)
        size = len(tries.students)
        is_until_contact = first.day <= first_contact[first.student]
        students_until = first.student[is_until_contact]
        self._until_contact = np.bincount(students_until, minlength=size)
        number_of_all = max(len(tries.outcome), 1)
        outcomes = int(tries.outcome.sum())
        self._mean = outcomes / number_of_all / 1000

    def observed(self, day: int) -> Observations:
        """Return all students without a contact before the day who have enough first attempts around it."""
        begin = day - WINDOW_DAYS
        end = day + 1 + WINDOW_DAYS
        before = self._first_to_day.at(day).without(self._first_to_begin.at(begin))
        first_to_end = self._first_to_end.at(end)
        after = first_to_end.without(self._first_to_next.at(day + 1))
        earlier = self._all_to_begin.at(begin)
        all_before = self._all_to_day.at(day).without(earlier)

        fewest = np.minimum(before.number, after.number)
        has_enough = fewest >= ENOUGH_ATTEMPTS
        is_comparable = self._first_contact >= day
        rows = np.flatnonzero(has_enough & is_comparable)
        behind_contact = first_to_end.number - self._until_contact
        with_contact = np.maximum(behind_contact, 0)
        with_mean = SumsOfStudents(
            earlier.number + ATTEMPTS_OF_MEAN, earlier.outcomes + ATTEMPTS_OF_MEAN * self._mean
        )
        return Observations(
            student=rows,
            day=np.full(len(rows), day),
            has_contact=self._first_contact[rows] == day,
            before=all_before.right(rows),
            earlier=with_mean.right(rows),
            share_with_contact=with_contact[rows] / after.number[rows],
            right_before=before.right(rows),
            right_after=after.right(rows),
        )


def find(facts: Facts, asked: OfSeveral) -> Found[Helped]:
    first_contacts = _first_contacts(facts, asked.course)
    compared = _compared(first_contacts, facts.tries_by_day(asked.course))
    rows = []
    if first_contacts:
        row = _row(compared.observations)
        rows.append(Measured(row, compared.students))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with a contact": frozenset(first_contacts),
        },
        left_out={
            "contacts with too few first attempts before or after": compared.with_few_attempts,
            "contacts without comparable students": compared.without_comparable,
        },
    )


def _first_contacts(facts: Facts, course: str) -> dict[str, int]:
    """Return, for each student, the first day of the period on which a teacher spoke with or wrote to the student.

    A day is given by its number.
    """
    contacts = with_spoken(facts.contacts(course), facts.actions(course))
    first: dict[str, int] = {}
    for student, moments in contacts.items():
        in_period = [at for at in moments if facts.since is None or at >= facts.since]
        if in_period:
            first_day = min(day_of(at, facts.zone) for at in in_period)
            first[student] = first_day.toordinal()
    return first


def _compared(first_contacts: Mapping[str, int], tries: TriesByDay) -> Compared:
    """Observe each student with a contact on its day, and all students without one until then on the same day.

    A student who is spoken with later is comparable on this day all the same: see comparable.py.
    """
    first_contact = np.full(len(tries.students), NEVER)
    for place, student in enumerate(tries.students):
        first_contact[place] = first_contacts.get(student, NEVER)
    around = AroundDay(tries, first_contact)
    parts: list[Observations] = []
    with_few_attempts = 0
    without_comparable = 0
    for day, students in sorted(Counter(first_contacts.values()).items()):
        observed = around.observed(day)
        number = int(np.count_nonzero(observed.has_contact))
        with_few_attempts += students - number
        if number == len(observed):
            without_comparable += number
        elif number > 0:
            parts.append(observed)
    if not parts:
        return Compared(None, frozenset(), with_few_attempts, without_comparable)
    observations = joined_observations(parts)
    ids = frozenset(tries.students[place] for place in observations.of_students())
    return Compared(observations, ids, with_few_attempts, without_comparable)


def _row(observations: Observations | None) -> Helped:
    if observations is None:
        return Helped(state="too few", students=0, comparable_students=0)
    with_contact = observations.where(observations.has_contact)
    comparable = observations.where(~observations.has_contact)
    students = len(with_contact.of_students())
    comparable_students = len(comparable.of_students())
    if min(students, comparable_students) < ENOUGH_STUDENTS:
        return Helped(state="too few", students=students, comparable_students=comparable_students)
    difference = difference_of_comparable(observations)
    if difference is None:
        return Helped(
            state="all had contact", students=students, comparable_students=comparable_students
        )
    return Helped(
        state=_state(difference),
        students=students,
        comparable_students=comparable_students,
        right_before=float(with_contact.right_before.mean()),
        right_after=float(with_contact.right_after.mean()),
        comparable_before=float(comparable.right_before.mean()),
        comparable_after=float(comparable.right_after.mean()),
        difference=difference.value,
        low=difference.low,
        high=difference.high,
    )


def _state(difference: Difference) -> State:
    if difference.low > 0:
        return "more right"
    if difference.high < 0:
        return "less right"
    return "cannot tell"


QUESTION = Question(
    name="did-it-help",
    title="Did it help that we spoke with these students?",
    computed_by="A contact is the first day of the period on which a teacher noted a talk with a student or wrote to "
    "the student. Students with a contact are compared with those who had none until that day; each needs 3 first "
    "attempts in the 21 days before the day and in the 21 days after it. The difference is that of the mean outcomes "
    "of the first attempts afterwards, at the same day, the same mean outcome of all attempts in the 21 days before, "
    "and the same mean outcome of all earlier attempts (linear regression), divided by how much more of the attempts "
    "afterwards followed a contact, with a 95 % interval (jackknife over students). With fewer than 10 students on "
    "either side there is no number. Nobody drew lots: if teachers choose by something that no record shows, the "
    "difference is wrong by that, and mostly too low.",
    parameters=OfSeveral,
    row=Helped,
    find=find,
    order=lambda row: row.state,
    quotes=True,
)
