"""Did it help? Made-up courses, with a reference that goes through all attempts for each student and day."""

import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_insights.answers import Found
from edugraph_insights.comparable import Observations, difference_of_comparable
from edugraph_insights.facts import Facts, TeacherAction
from edugraph_insights.questions.did_it_help import QUESTION, Helped
from edugraph_insights.questions.question import OfSeveral

from .said_graph import SaidGraph, attempts_in_lists, kept

BEGINS = datetime(2026, 2, 2, 9, tzinfo=UTC)
UNTIL = BEGINS + timedelta(days=120)
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Course:
    """Attempts, messages of teachers, and talks with a note whether the teacher spoke."""

    def __init__(self) -> None:
        self.attempts: list[dict[str, Any]] = []
        self.messages: list[tuple[str, datetime]] = []
        self.talks: list[tuple[str, datetime, bool]] = []

    def attempt(self, student: str, at: datetime, outcome: float, item: str | None = None) -> None:
        number = len(self.attempts)
        self.attempts.append(
            {
                "student": student,
                "item": item or f"item-{number}",
                "at": at,
                "number": 1,
                "record": f"r{number:05}",
                "outcome": round(outcome * 1000),
            }
        )

    def graph(self) -> SaidGraph:
        contacts = [{"student": student, "at": at} for student, at in self.messages]
        actions = []
        for number, (student, at, spoken) in enumerate(self.talks):
            action = TeacherAction(student, f"a{number}", at, "t", None, spoken, None, None)
            actions.append(action._asdict())
        return SaidGraph(
            attempts_columns=attempts_in_lists(self.attempts),
            errors_columns=[],
            tested_points=[],
            contacts=contacts,
            actions=actions,
        )

    def asked(self, since: datetime | None = None, zone: Any = UTC) -> Found[Helped]:
        students = tuple(sorted({row["student"] for row in self.attempts}))
        graph: Any = self.graph()
        facts = Facts(graph, students, since, UNTIL, zone=zone, columns=kept(graph, zone))
        return QUESTION.find(facts, OfSeveral(course="c", since=since))

    def row(self, **asked: Any) -> Helped:
        [measured] = self.asked(**asked).rows
        return measured.row


class Observation(NamedTuple):
    """One student on one day, as the reference sees it."""

    student: str
    day: int
    has_contact: bool
    before: float
    earlier: float
    share_with_contact: float
    right_before: float
    right_after: float


def day_of(at: datetime, zone: Any) -> date:
    return at.astimezone(zone).date()


def contacts_of(course: Course, since: datetime | None, zone: Any) -> dict[str, date]:
    moments = [(student, at) for student, at, is_talk in course.talks if is_talk] + course.messages
    contacts: dict[str, date] = {}
    for student, at in moments:
        if since is None or at >= since:
            on = day_of(at, zone)
            contacts[student] = min(on, contacts.get(student, on))
    return contacts


def observed(
    course: Course, since: datetime | None, zone: Any
) -> tuple[list[Observation], int, int]:
    """The reference: for each student and day, all attempts are looked at again."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(course.attempts, key=lambda row: (row["at"], row["number"], row["record"])):
        first.setdefault((row["student"], row["item"]), row)
    first_records = {row["record"] for row in first.values()}
    contacts = contacts_of(course, since, zone)
    found, few, alone = [], 0, 0
    students = {row["student"] for row in course.attempts} | contacts.keys()
    for on in sorted(set(contacts.values())):
        of_day = []
        for student in sorted(students):
            contact = contacts.get(student, date.max)
            if contact >= on:
                each = observation_of(course, student, on, contact, first_records, zone)
                if each is not None:
                    of_day.append(each)
                elif contact == on:
                    few += 1
        number = sum(each.has_contact for each in of_day)
        if number == len(of_day):
            alone += number
        elif number:
            found += of_day
    return found, few, alone


def observation_of(  # noqa: PLR0917
    course: Course, student: str, on: date, contact: date, first_records: set[str], zone: Any
) -> Observation | None:
    shares: dict[str, list[float]] = defaultdict(list)
    behind = 0
    for row in course.attempts:
        past = (on - day_of(row["at"], zone)).days
        outcome = row["outcome"] / 1000
        is_first = row["record"] in first_records
        if row["student"] != student:
            continue
        if past > 0:
            shares["before" if past <= 21 else "earlier"].append(outcome)
        if is_first and 1 <= past <= 21:
            shares["first before"].append(outcome)
        if is_first and -21 <= past <= -1:
            shares["first after"].append(outcome)
            behind += day_of(row["at"], zone) > contact
    if min(len(shares["first before"]), len(shares["first after"])) < 3:
        return None
    mean = sum(row["outcome"] for row in course.attempts) / 1000 / len(course.attempts)
    return Observation(
        student=student,
        day=on.toordinal(),
        has_contact=contact == on,
        before=fmean(shares["before"]),
        earlier=(sum(shares["earlier"]) + 5 * mean) / (len(shares["earlier"]) + 5),
        share_with_contact=behind / len(shares["first after"]),
        right_before=fmean(shares["first before"]),
        right_after=fmean(shares["first after"]),
    )


def coefficient(observations: list[Observation]) -> tuple[float, float]:
    """By a column of ones for each day, and least squares over all observations. The second number is that of contact."""
    days = sorted({each.day for each in observations})
    columns = [
        [float(o.has_contact), o.before, o.earlier, *(float(o.day == day) for day in days)]
        for o in observations
    ]
    explained = np.array([(o.right_after, o.share_with_contact) for o in observations])
    of_contact = np.linalg.lstsq(np.array(columns), explained, rcond=None)[0][0]
    return float(of_contact[0] / of_contact[1]), float(of_contact[1])


def interval(observations: list[Observation]) -> tuple[float, float, float]:
    value, _ = coefficient(observations)
    students = sorted({each.student for each in observations})
    without = []
    for student in students:
        others = [each for each in observations if each.student != student]
        without.append(coefficient(others)[0])
    middle = sum(without) / len(without)
    spread = sum((each - middle) ** 2 for each in without) * (len(without) - 1) / len(without)
    return value, value - 1.96 * math.sqrt(spread), value + 1.96 * math.sqrt(spread)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    course = Course()
    students = draw(st.integers(1, 40))
    random = draw(st.randoms(use_true_random=False))
    many = draw(st.sampled_from([3, 20, 60]))
    for number in range(students):
        for _ in range(random.randint(0, many)):
            # Near midnight a day of the school differs from the day in UTC.
            at = BEGINS + timedelta(days=random.randint(0, 100), hours=random.choice([0, 6, 9, 15]))
            item = random.choice([None, None, f"i{random.randint(0, 5)}"])
            course.attempt(f"s{number:02}", at, random.choice([0, 0, 0.3, 1, 1]), item)
        for _ in range(random.choice([0, 0, 1, 1, 2])):
            at = BEGINS + timedelta(
                days=random.choice([30, 31, 51, 52, 53, 70]), hours=random.choice([1, 15])
            )
            if random.random() < 0.5:
                course.messages.append((f"s{number:02}", at))
            else:
                course.talks.append((f"s{number:02}", at, random.random() < 0.8))
    return course


@settings(max_examples=60, deadline=None)
@given(
    courses(),
    st.sampled_from([None, BEGINS + timedelta(days=40)]),
    st.sampled_from([UTC, SHANGHAI]),
)
def test_an_answer_equals_the_reference(course: Course, since: datetime | None, zone: Any) -> None:
    found = course.asked(since, zone)
    observations, few, alone = observed(course, since, zone)
    assert found.left_out == {
        "contacts with too few first attempts before or after": few,
        "contacts without comparable students": alone,
    }
    if not found.rows:
        assert observations == []
        return
    row = found.rows[0].row
    with_contact = [each for each in observations if each.has_contact]
    comparable = [each for each in observations if not each.has_contact]
    assert row.students == len({each.student for each in with_contact})
    assert row.comparable_students == len({each.student for each in comparable})
    if min(row.students, row.comparable_students) < 10:
        assert row.state == "too few"
        assert (row.right_before, row.right_after, row.difference, row.low) == (None,) * 4
        return
    if coefficient(observations)[1] < 0.5:
        assert row.state == "all had contact"
        assert row.difference is None
        return
    assert row.right_after == pytest.approx(np.mean([each.right_after for each in with_contact]))
    assert row.comparable_before == pytest.approx(
        np.mean([each.right_before for each in comparable])
    )
    assert (row.difference, row.low, row.high) == pytest.approx(interval(observations), abs=1e-4)


Answers = dict[
    int, list[tuple[int, bool]]
]  # student -> day of each answer, and whether it was right


def answers_of(random: np.random.Generator, students: int) -> Answers:
    answers: Answers = defaultdict(list)
    for student, ability in enumerate(random.normal(0, 1, students)):
        for day in range(100):
            if random.random() < 0.6:
                right = random.random() < 1 / (1 + math.exp(-ability + math.sin(day / 9)))
                answers[student].append((day, right))
    return answers


def talks_of(random: np.random.Generator, answers: Answers) -> dict[int, int]:
    """Return the day of a talk by student. Each few days the teacher speaks with two who did worst lately."""
    talks: dict[int, int] = {}
    for day in range(28, 76, 5):
        shares = {}
        for student, of_student in answers.items():
            recent = [right for at, right in of_student if day - 21 <= at < day]
            shares[student] = sum(recent) / max(1, len(recent)) + random.normal(0, 0.1)
        for student in sorted(shares.keys() - talks.keys(), key=shares.__getitem__)[:2]:
            talks[student] = day
    return talks


def planted(gain: float, seed: int) -> tuple[Course, float]:
    """Return a course in which talks help, and the mean gain of the students with a talk in the three weeks after it.

    After the talk each wrong answer becomes a right one with the probability `gain`.
    """
    random = np.random.default_rng(seed)
    answers = answers_of(random, 60)
    talks = talks_of(random, answers)
    course = Course()
    gains: dict[int, list[bool]] = defaultdict(list)
    for student, of_student in answers.items():
        talk = talks.get(student, 1_000)
        for day, right in of_student:
            is_turned = day > talk and not right and random.random() < gain
            course.attempt(f"s{student:02}", BEGINS + timedelta(days=day), right or is_turned)
            if talk < day <= talk + 21:
                gains[student].append(is_turned)
    for student, day in talks.items():
        course.talks.append((f"s{student:02}", BEGINS + timedelta(days=day), True))
    return course, fmean(fmean(each) for each in gains.values() if len(each) >= 3)


@pytest.mark.parametrize(
    ("runs", "least", "most"),
    [(40, 0.85, 1), pytest.param(200, 0.91, 0.985, marks=pytest.mark.thorough)],
)
def test_a_known_gain_is_in_the_interval_as_often_as_it_says(
    runs: int, least: float, most: float
) -> None:
    """Out: `before` or `earlier` of the regression, or a rule that only those who never have a contact compare."""
    inside = 0
    for seed in range(runs):
        course, gain = planted(0.2, seed)
        row = course.row()
        assert row.low is not None
        assert row.high is not None
        inside += row.low <= gain <= row.high
    assert least <= inside / runs <= most


def test_a_gain_is_seen_and_no_gain_is_not() -> None:
    seen = [planted(0.6, seed)[0].row().state for seed in range(20)]
    assert seen.count("more right") >= 19
    unseen = [planted(0.0, seed)[0].row().state for seed in range(20)]
    assert unseen.count("cannot tell") >= 17


def test_without_contacts_there_is_no_row() -> None:
    course = Course()
    course.attempt("a", BEGINS, 1)
    course.talks.append(("a", BEGINS, False))  # a note alone
    assert course.asked().rows == ()


def test_comparable_students_who_all_had_a_contact_a_day_later_give_no_difference() -> None:
    """Their attempts came after contacts, like those of the others. Out: the None of `difference_of_comparable`."""
    course = Course()
    contact = BEGINS + timedelta(days=24)
    for number in range(24):
        student = f"s{number:02}"
        for week in range(4):
            course.attempt(student, BEGINS + timedelta(days=7 * week, minutes=number), 0.5)
            after = contact + timedelta(days=3 + 7 * week, minutes=number)
            course.attempt(student, after, (number + week) % 3 / 2)
        is_later = number >= 12
        course.messages.append((student, contact + timedelta(days=int(is_later))))
    row = course.row()
    assert (row.state, row.students, row.comparable_students) == ("all had contact", 12, 12)
    assert (row.difference, row.low, row.high, row.right_after) == (None, None, None, None)


def test_shares_that_do_not_vary_explain_nothing() -> None:
    number = np.arange(20)
    has_contact = number < 10
    half = np.full(20, 0.5)
    after = 0.4 + 0.2 * has_contact + 0.01 * (number % 2)
    share = has_contact.astype(float)
    day = np.ones(20, int)
    seen = Observations(number, day, has_contact, half, half, share, half, after)
    found = difference_of_comparable(seen)
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
