"""Did it help that we spoke with these students?"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import fmean
from typing import Annotated, Literal, NamedTuple

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.comparable import Difference, Observation, difference_of_comparable
from edugraph_insights.facts import Facts, TriesOfDay, with_spoken
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.school_days import day_of

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


class History:
    """Attempts of one student, by the day of the school."""

    def __init__(self) -> None:
        self._days: list[int] = []
        # The number and the outcomes, in thousandths, of the attempts before each day, and of all attempts.
        self._numbers = [0]
        self._outcomes = [0]

    def add(self, tries: TriesOfDay) -> None:
        """Add attempts. Their day is the last one so far or a later one."""
        self._days.append(tries.day.toordinal())
        self._numbers.append(self._numbers[-1] + tries.number)
        self._outcomes.append(self._outcomes[-1] + tries.outcomes)

    def between(self, first: int, after: int) -> tuple[int, float]:
        """Return the number of attempts from the day `first` until before the day `after`, and their outcomes."""
        start = bisect_left(self._days, first)
        end = bisect_left(self._days, after)
        number = self._numbers[end] - self._numbers[start]
        outcomes = self._outcomes[end] - self._outcomes[start]
        return number, outcomes / 1000


class Work(NamedTuple):
    """The first attempts and all attempts of each student, and the mean outcome of all attempts."""

    first: Mapping[str, History]
    all: Mapping[str, History]
    mean: float


class Compared(NamedTuple):
    """The observations that can be compared, and the number of contacts that cannot."""

    observations: list[Observation]
    with_few_attempts: int
    without_comparable: int


def find(facts: Facts, asked: OfSeveral) -> Found[Helped]:
    first_contacts = _first_contacts(facts, asked.course)
    compared = _compared(first_contacts, _work(facts.tries_of_days(asked.course)))
    rows = []
    if first_contacts:
        row = _row(compared.observations)
        rows.append(Measured(row, frozenset(each.student for each in compared.observations)))
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


def _work(days: Sequence[TriesOfDay]) -> Work:
    """Return the attempts of these days, which come in their order for each student."""
    first: dict[str, History] = defaultdict(History)
    every: dict[str, History] = defaultdict(History)
    number = 0
    outcomes = 0
    for tries in days:
        every[tries.student].add(tries)
        if tries.are_first:
            first[tries.student].add(tries)
        number += tries.number
        outcomes += tries.outcomes
    mean = 0.0
    if number:
        mean = outcomes / number / 1000
    return Work(first, every, mean)


def _compared(first_contacts: Mapping[str, int], work: Work) -> Compared:
    """Observe each student with a contact on its day, and all students without one until then on the same day.

    A student who is spoken with later is comparable on this day all the same: see comparable.py.
    """
    with_contact: dict[int, set[str]] = defaultdict(set)
    for student, day in first_contacts.items():
        with_contact[day].add(student)
    observations: list[Observation] = []
    with_few_attempts = 0
    without_comparable = 0
    everybody = sorted(work.first)
    for day, students in sorted(with_contact.items()):
        observed = []
        for student in everybody:
            first_contact = first_contacts.get(student, NEVER)
            if first_contact >= day:
                observation = _observe(student, day, first_contact, work)
                if observation is not None:
                    observed.append(observation)
        number = sum(each.has_contact for each in observed)
        with_few_attempts += len(students) - number
        if number == len(observed):
            without_comparable += number
        elif number > 0:
            observations += observed
    return Compared(observations, with_few_attempts, without_comparable)


def _observe(student: str, day: int, first_contact: int, work: Work) -> Observation | None:
    """Return what the student did around a day, or None with too few attempts. The day itself is on neither side."""
    first = work.first[student]
    every = work.all[student]
    begin = day - WINDOW_DAYS
    end = day + 1 + WINDOW_DAYS
    number_before, right_before = first.between(begin, day)
    number_after, right_after = first.between(day + 1, end)
    if min(number_before, number_after) < ENOUGH_ATTEMPTS:
        return None
    tries_before, right_tries_before = every.between(begin, day)
    earlier_tries, right_earlier_tries = every.between(0, begin)
    earlier_with_mean = right_earlier_tries + ATTEMPTS_OF_MEAN * work.mean
    number_with_contact, _ = first.between(min(first_contact + 1, end), end)
    return Observation(
        student=student,
        day=day,
        has_contact=first_contact == day,
        before=right_tries_before / tries_before,
        earlier=earlier_with_mean / (earlier_tries + ATTEMPTS_OF_MEAN),
        share_with_contact=number_with_contact / number_after,
        right_before=right_before / number_before,
        right_after=right_after / number_after,
    )


def _row(observations: list[Observation]) -> Helped:
    with_contact = [each for each in observations if each.has_contact]
    comparable = [each for each in observations if not each.has_contact]
    students = len({each.student for each in with_contact})
    comparable_students = len({each.student for each in comparable})
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
        right_before=fmean(each.right_before for each in with_contact),
        right_after=fmean(each.right_after for each in with_contact),
        comparable_before=fmean(each.right_before for each in comparable),
        comparable_after=fmean(each.right_after for each in comparable),
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
