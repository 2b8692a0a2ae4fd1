"""Whom the question needs-help names, against the truth of synthetic schools. `make bench-needs-help`.

Each school is asked at the end of each second week of its courses, as if this were now: about the whole course, and
about each class of 28 students. The truth of a student is the mean of the true mastery of the points of the course in
that week. No server is needed: the question reads records from memory. The command prints one table and exits with 1
if a figure misses its goal.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any, NamedTuple

from edugraph_cli.synthetic_school import GROUP_SIZE, Course, School
from edugraph_insights.facts import Facts
from edugraph_insights.questions.needs_help import INACTIVE, QUESTION, NeedsHelp, OfHelp
from edugraph_insights.settings import HelpThresholds
from evaluation.goals import Goal, missed_goals, print_goals
from evaluation.kept_columns import HeldRecords, TriedItem, columns_of

# The bound and the order of the names were chosen on the schools 3 to 6.
SEEDS = (7, 8, 9, 10)
STUDENTS = 120  # 60 in each course
FIRST_JUDGED_WEEK = 8  # of the order of the names
WEEKS = tuple(range(2, 17, 2))
FIRST_OF_COURSE = 8
FIRST_OF_CLASS = 4
SMALLEST_COURSE = 50
SMALLEST_CLASS = 20  # of up to 28 students; the class of the others is smaller, and is not judged
WEAKEST_SHARE = 0.25
Row = dict[str, Any]


GOALS = (
    Goal("courses: share of the first 8 in the weakest quarter, lowest week from 8 on", least=0.75),
    Goal("classes: share of the first 4 in the weakest quarter, lowest week from 8 on", least=0.75),
    Goal("courses: share flagged, lowest mean of a week", least=0.08),
    Goal("courses: share flagged, highest mean of a week", most=0.22),
    Goal("courses: share of course-weeks with 5 to 25 % flagged", least=0.90),
    Goal("courses: largest share flagged", most=0.40),
)


class WatchedSchool(School):
    """A synthetic school that notes the true mastery of its students at the end of each week."""

    def __init__(self, students: int, seed: int, records: int | None = None) -> None:
        super().__init__(students, seed, records)
        self.mastery_by_week: list[dict[tuple[str, str], float]] = []  # (student, point) -> mastery

    def week(self, term: int, week: int, begins: datetime) -> Iterator[Row]:
        yield from super().week(term, week, begins)
        mastery = {}
        for student in self.students:
            for point, skill in student.skills.items():
                level = skill.at(week, student.forgetting)
                mastery[student.id, point] = self.mastery(point, level)
        self.mastery_by_week.append(mastery)

    def truth_of(self, course: Course, week: int) -> dict[str, float]:
        """Return student -> mean mastery of the points of a course at the end of a week of the year."""
        mastery = self.mastery_by_week[week]
        found = {}
        for student in self.students:
            if student.language == course.language:
                found[student.id] = fmean(mastery[student.id, point] for point in course.needs)
        return found


class RecordsOfCourse(HeldRecords):
    """Answers the statements of needs-help from the records of a course until a moment, in place of the graph."""

    def __init__(self, school: WatchedSchool, records: Iterable[Row], until: datetime) -> None:
        self.until = until
        self.terms = [
            {
                "starts": datetime.combine(term["starts"], datetime.min.time(), UTC),
                "ends": datetime.combine(term["starts"], datetime.min.time(), UTC)
                + timedelta(weeks=term["weeks"]),
                "breaks": [_interval(each) for each in term["breaks"]],
            }
            for term in school.terms
        ]
        self.points: dict[str, str] = {}  # item -> the point that its record names
        for course in school.courses:
            for items in course.items.values():
                self.points |= {item.id: item.stated for item in items}
        super().__init__([])
        self.mistakes: list[Row] = []
        self.joined: dict[str, datetime] = {}
        self.left: set[str] = set()
        self.active: dict[str, datetime] = {}
        self._read(records)

    def _read(self, records: Iterable[Row]) -> None:
        latest: dict[str, Row] = {}  # id of a record -> its latest version at that moment
        for record in records:
            if _moment(record["timestamp"]) <= self.until:
                latest[record["record_id"]] = record
        for record in latest.values():
            data = record["data"]
            at = _moment(record["timestamp"])
            student = data.get("student_id") or data.get("student_id_from")
            if student is None:
                continue
            if record["type"] == "membership_record":
                # The class list. Without course records, it says who is in the course.
                self.joined[student] = _moment(data["starts"])
                if _moment(data["ends"]) <= self.until:
                    self.left.add(student)
                continue
            if record["type"] in {"teacher_interaction", "course_record"}:
                continue
            self.active[student] = max(at, self.active.get(student, at))
            # Homework that was handed in without an outcome does not count.
            if record["type"] == "attempt_record" and "correct" in data:
                attempt = TriedItem(
                    student=student,
                    item=data["item_id"],
                    at=at,
                    number=data.get("attempt_number", 0),
                    record=record["record_id"],
                    outcome=1000 * data["correct"],
                )
                self.attempts.append(attempt)
            if record["type"] == "error_record":
                self.mistakes.append(
                    {
                        "student": student,
                        "record": record["record_id"],
                        "at": at,
                        "stated": True,
                        "type": data["error_type"],
                        "name": data["error_type"],
                        "occurrences": 1,
                        "resolved": data.get("resolved", False),
                        "item": None,
                        "points": [],
                    }
                )

    def read(self, statement: str, **asked: Any) -> list[Row]:
        if statement == "terms":
            return self.terms
        if statement == "tested_points":
            named = [(item, self.points[item]) for item in asked["items"]]
            return [{"item": item, "point": point, "name": point} for item, point in named]
        if statement == "last_activity":
            return [
                {"student": each, "at": self.active.get(each), "days": []}
                for each in asked["students"]
            ]
        if statement == "students_of_course":
            return [{"students": sorted(self.joined)}]
        if statement == "level_students":
            return [{"student": each} for each in sorted(self.joined)]
        if statement == "first_course_record":
            return [{"student": each, "at": at} for each, at in self.joined.items()]
        if statement == "item_names":
            return [{"names": [(item, item) for item in asked["items"]]}]
        return super().read(statement, **asked)

    def read_by_student(self, statement: str, students: Iterable[str], **asked: Any) -> list[Row]:
        if statement != "mistake_types":
            return super().read(statement)
        wanted = set(students)
        since = datetime.fromisoformat(asked["since"])
        return [row for row in self.mistakes if row["student"] in wanted and row["at"] >= since]


def _moment(text: str) -> datetime:
    """Return a moment. A day is its beginning in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


def _interval(text: str) -> str:
    """Return a break of a term in the form of the graph."""
    first, after = text.split("/")
    return f"{first}T00:00:00+00:00/{after}T00:00:00+00:00"


class CourseWeek(NamedTuple):
    """The answer about a course, or about a class of it, at the end of a week of its term."""

    is_class: bool
    week: int
    rows: list[NeedsHelp]
    truth: Mapping[str, float]

    @property
    def flagged(self) -> float:
        """The share of the students with a reason other than inactivity."""
        return fmean(bool(set(row.reasons) - {INACTIVE}) for row in self.rows)

    @property
    def weakest_among_first(self) -> float:
        """The share of the first names that are in the weakest quarter. Inactivity alone names nobody here."""
        number = FIRST_OF_COURSE
        if self.is_class:
            number = FIRST_OF_CLASS
        students = sorted((row.student for row in self.rows), key=lambda each: self.truth[each])
        weakest = set(students[: round(len(students) * WEAKEST_SHARE)])
        named = [row.student for row in self.rows if row.reasons != (INACTIVE,)]
        return fmean(student in weakest for student in named[:number])


def weeks_of(students: int, seed: int, weeks: Iterable[int] = WEEKS) -> Iterator[CourseWeek]:
    """Yield the answers about the courses and classes of a school in these weeks of its terms."""
    school = WatchedSchool(students, seed)
    records: dict[str, list[Row]] = defaultdict(list)  # by course
    for record in school.records():
        course_id = record["data"].get("course_id")
        if course_id is not None:
            records[course_id].append(record)
    number_of = {student.id: student.number for student in school.students}
    for course in school.courses:
        weeks_before = sum(each["weeks"] for each in school.terms[: course.term - 1])
        starts = school.terms[course.term - 1]["starts"]
        begins = datetime.combine(starts, datetime.min.time(), UTC)
        for week in weeks:
            until = begins + timedelta(weeks=week) - timedelta(seconds=1)
            graph = RecordsOfCourse(school, records[course.id], until)
            truth = school.truth_of(course, weeks_before + week - 1)
            of_course = sorted(set(graph.joined) - graph.left)
            if len(of_course) >= SMALLEST_COURSE:
                rows = answer(graph, course.id, of_course)
                yield CourseWeek(False, week, rows, truth)
            classes: dict[int, list[str]] = defaultdict(list)
            for student in of_course:
                classes[number_of[student] // GROUP_SIZE].append(student)
            for of_class in classes.values():
                if len(of_class) >= SMALLEST_CLASS:
                    rows = answer(graph, course.id, of_class)
                    yield CourseWeek(True, week, rows, truth)


def answer(graph: Any, course: str, students: Iterable[str]) -> list[NeedsHelp]:
    """Return the rows of needs-help about these students, in its order."""
    facts = Facts(graph, tuple(students), None, graph.until, columns=columns_of(graph))
    asked = OfHelp(course=course).completed(HelpThresholds())
    found = QUESTION.find(facts, asked)
    return sorted((each.row for each in found.rows), key=QUESTION.order)


def figures_of(answers: Iterable[CourseWeek]) -> dict[str, float]:
    first: dict[tuple[bool, int], list[float]] = defaultdict(list)
    flagged: dict[int, list[float]] = defaultdict(list)
    for each in answers:
        first[each.is_class, each.week].append(each.weakest_among_first)
        if not each.is_class:
            flagged[each.week].append(each.flagged)
    shares = [share for of_week in flagged.values() for share in of_week]
    means = [fmean(of_week) for of_week in flagged.values()]
    of_courses = []
    of_classes = []
    for (is_class, week), of_week in sorted(first.items()):
        if week < FIRST_JUDGED_WEEK:
            continue
        if is_class:
            of_classes.append(fmean(of_week))
        else:
            of_courses.append(fmean(of_week))
    values = (
        min(of_courses),
        min(of_classes),
        min(means),
        max(means),
        fmean(0.05 <= share <= 0.25 for share in shares),
        max(shares),
    )
    return {goal.name: value for goal, value in zip(GOALS, values, strict=True)}


def missed(figures: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that miss their goals."""
    return missed_goals(GOALS, figures)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    given = arguments.parse_args()
    answers = [each for seed in given.seeds for each in weeks_of(STUDENTS, seed)]
    figures = figures_of(answers)
    misses = missed(figures)
    print(f"{'week':<8}{'courses: first 8':>18}{'classes: first 4':>18}{'flagged':>10}{'most':>8}")
    for week in WEEKS:
        of_week = [each for each in answers if each.week == week]
        courses = [each for each in of_week if not each.is_class]
        classes = [each for each in of_week if each.is_class]
        first = fmean(each.weakest_among_first for each in courses)
        of_class = fmean(each.weakest_among_first for each in classes)
        flagged = [each.flagged for each in courses]
        print(
            f"{week:<8}{first:>18.2f}{of_class:>18.2f}{fmean(flagged):>10.2f}{max(flagged):>8.2f}"
        )
    print_goals(GOALS, figures)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
