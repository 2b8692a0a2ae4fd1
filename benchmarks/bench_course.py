"""The CPU time of each question about one large course: `make bench-course` (BENCH_ARGS="--students 1700").

The attempts of a made course are loaded as columns, and no graph is read: its other statements have made rows. A
statement about single records that are not in the columns, such as messages, has OTHER_ROWS rows. So the figures are
the CPU time of this process without the driver of the graph, and no answer is kept. Each question is asked several
times. The fastest time counts.

The bench prints one table. It exits with 1 if a question costs more than the goal. Questions about one student or two
groups are left out. The limits of the number of students are not applied.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_insights.asking import computed
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.facts import Facts
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import HelpThresholds

Rows = list[dict[str, Any]]
MOST_CPU_SECONDS = 0.3
STUDENTS = 18_000
ATTEMPTS_OF_STUDENT = 50
POINTS = 60
ITEMS = 240
WRONG_ANSWERS = 3  # different ones of each item
CHANCE_TO_BE_RIGHT = 0.6
OTHER_ROWS = 20_000
STUDENTS_WITH_CONTACT = 0.05
CONTACT_DAYS = 30
COURSE = "course"
BEGINS = datetime(2026, 2, 9, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTES = (NOW - BEGINS) // timedelta(minutes=1)
MINUTE = timedelta(minutes=1)


class MadeCourse:
    """Answers the statements of questions about one course whose attempts are drawn by a fixed seed."""

    def __init__(self, students: int) -> None:
        self._random = np.random.default_rng(37)
        self.students = [f"student-{number:06d}" for number in range(students)]
        self._number_of = {student: number for number, student in enumerate(self.students)}
        self.items = [f"item-{number:04d}" for number in range(ITEMS)]
        self.points = [f"point-{number:03d}" for number in range(POINTS)]
        shape = (students, ATTEMPTS_OF_STUDENT)
        self._item = self._random.integers(0, ITEMS, shape)
        self._minute = self._random.integers(0, MINUTES, shape)
        ability = self._random.normal(0, 0.1, (students, 1))
        is_right = self._random.random(shape) < CHANCE_TO_BE_RIGHT + ability
        self._outcome = np.where(is_right, 1000, 0)
        wrong_answer = self._random.integers(1, WRONG_ANSWERS + 1, shape)
        self._answer = np.where(is_right, 0, wrong_answer)
        self._statements = self._known_statements()

    def read(self, statement: str, **asked: Any) -> Rows:
        return self._statements[statement](asked)

    def read_by_student(self, statement: str, students: Sequence[str], **asked: Any) -> Rows:
        return self._statements[statement]({**asked, "students": students})

    def read_columns(
        self, statement: str, portions: Iterable[Sequence[str]], **_asked: Any
    ) -> Iterator[tuple[Sequence[str], Rows]]:
        for portion in portions:
            rows: Rows = []
            if statement == "attempts_columns":
                rows = [self._attempts_of(student) for student in portion]
            yield portion, rows

    def _attempts_of(self, student: str) -> dict[str, Any]:
        number = self._number_of[student]
        first = int(BEGINS.timestamp()) * 1_000_000
        moments = first + self._minute[number] * 60_000_000
        outcomes = self._outcome[number].tolist()
        attempts = range(ATTEMPTS_OF_STUDENT)
        return {
            "student": student,
            "item": [self.items[item] for item in self._item[number]],
            "record": [f"{student}-{attempt}" for attempt in attempts],
            "moment": moments.tolist(),
            "number": [0] * ATTEMPTS_OF_STUDENT,
            "outcome": outcomes,
            "is_mistake": [outcome == 0 for outcome in outcomes],
            "is_long": [False] * ATTEMPTS_OF_STUDENT,
            "answer": [f"answer {answer}" for answer in self._answer[number]],
        }

    def _known_statements(self) -> dict[str, Callable[[dict[str, Any]], Rows]]:
        """Return what each statement answers. A statement of `EMPTY` has no rows in this course."""
        of_points = [{"point": each, "name": f"Point {each}"} for each in self.points]
        needs = []
        for point, needed in zip(self.points[1:], self.points, strict=False):
            needs.append({"point": point, "needs": needed, "name": needed, "confidence": 0.9})
        statements: dict[str, Callable[[dict[str, Any]], Rows]] = {
            "course_name": lambda _: [{"course": COURSE, "name": COURSE}],
            "students_of_course": lambda asked: [{"students": self.students[: asked["limit"]]}],
            "students_of_columns": _without_losses,
            "level_students": lambda asked: _each(self.students[: asked["limit"]]),
            "first_course_record": lambda asked: _each(asked["students"], at=BEGINS),
            "enrolled": lambda asked: _each(asked["students"], at=BEGINS),
            "names": lambda asked: _each(asked["students"], name="A Name"),
            "latest_progress": self._progress,
            "last_activity": lambda asked: _each(asked["students"], at=NOW, days=[]),
            "contacts": lambda _: self._contacts(),
            "terms": lambda _: [{"starts": BEGINS, "ends": NOW, "breaks": None}],
            "terms_to_choose": lambda _: _two_terms(),
            "tested_points": self._tested_points,
            "item_names": lambda asked: [{"names": [[each, each] for each in asked["items"]]}],
            "answers_of_attempts": self._answers,
            "points_taught": lambda _: of_points,
            "points_of_course": lambda _: of_points,
            "points_called": self._points_called,
            "prerequisites": lambda asked: [
                each for each in needs if each["point"] in asked["points"]
            ],
            "use_of_points": lambda asked: _uses(asked["points"]),
            "assigned_to_course": lambda _: self._assigned(),
        }
        for statement, rows in self._other_records().items():
            statements[statement] = partial(_same, rows)
        for statement in EMPTY:
            statements[statement] = partial(_same, [])
        return statements

    def _progress(self, asked: dict[str, Any]) -> Rows:
        progress = [[student, 50.0] for student in asked["students"]]
        return [{"students": asked["students"], "progress": progress}]

    def _tested_points(self, asked: dict[str, Any]) -> Rows:
        rows = []
        for item in asked["items"]:
            point = self.points[self.items.index(item) % POINTS]
            rows.append({"item": item, "point": point, "name": f"Point {point}"})
        return rows

    def _points_called(self, asked: dict[str, Any]) -> Rows:
        known = [each for each in asked["ids"] if each in self.points]
        return [{"called": each, "point": each, "name": each} for each in known]

    def _answers(self, asked: dict[str, Any]) -> Rows:
        answers = []
        for record in asked["records"]:
            student, _, attempt = record.rpartition("-")
            answer = self._answer[self._number_of[student]][int(attempt)]
            answers.append([record, f"answer {answer}"])
        return [{"answers": answers}]

    def _contacts(self) -> Rows:
        rows = []
        with_contact = self.students[: int(len(self.students) * STUDENTS_WITH_CONTACT)]
        for number, student in enumerate(with_contact):
            at = BEGINS + timedelta(days=30 + number % CONTACT_DAYS)
            rows.append({"student": student, "at": at})
        return rows

    def _assigned(self) -> Rows:
        rows = []
        for number, item in enumerate(self.items[:20]):
            due = BEGINS + timedelta(days=number)
            of_item = {"item": item, "name": item, "group": None, "record": f"r{number}"}
            rows.append({**of_item, "at": BEGINS, "due": due, "due_of_item": None})
        return rows

    def _other_records(self) -> dict[str, Rows]:
        """Return the rows of statements about single records that are not in the columns."""
        point = {"found": self.points[0], "point": self.points[0], "name": "P", "confidence": 0.9}
        kind = {"found": "t", "stated": True, "type": "t", "name": "T", "occurrences": 1}
        known = dict.fromkeys(("read", "evidence", "reviewed", "resolved"), False)
        return {
            "hand_ins": self._other("record", late=False),
            "hinted_attempts": self._other("record", "at", title="An item", hints=1),
            "mistakes": self._other("item", **point, **known),
            "mistake_types": self._other(**kind, resolved=False, points=self.points[:1]),
            "moods": self._other("item", mood="positive", topic="t", name="T"),
            "messages": self._other("item", **known, confidence=0.9, sentiment="positive"),
        }

    def _other(self, *without: str, **more: Any) -> Rows:
        """Return rows about single records of students in turn, at different moments."""
        rows = []
        for number in range(OTHER_ROWS):
            row = {
                "student": self.students[number % len(self.students)],
                "record": f"other-{number}",
                "item": self.items[number % ITEMS],
                "at": BEGINS + MINUTE * (number % MINUTES),
                **more,
            }
            for name in without:
                del row[name]
            rows.append(row)
        return rows


# Statements that have no rows here, since this course has no groups, posts, findings and reviews.
EMPTY = (
    "accepted_prerequisites",
    "actions",
    "assigned_to_groups",
    "claims_of_points",
    "comparison",
    "excluded_prerequisites",
    "findings",
    "followed_prerequisites",
    "judged_misconceptions",
    "members_of_groups",
    "misconceptions",
    "mistakes_at_point",
    "mistakes_naming",
    "posts",
    "proposed_prerequisites",
    "proposed_same",
    "proposed_topics",
    "records",
    "said_of_items",
    "texts_of_course",
    "ties",
    "unsettled_claims",
)


def _same(rows: Rows, _: dict[str, Any]) -> Rows:
    return rows


def _each(students: Iterable[str], **more: Any) -> Rows:
    return [{"student": student, **more} for student in students]


def _uses(points: Iterable[str]) -> Rows:
    return [{"point": point, "courses": [COURSE], "records": 1} for point in points]


def _without_losses(asked: dict[str, Any]) -> Rows:
    students = asked["students"]
    attempts = [ATTEMPTS_OF_STUDENT] * len(students)
    return [{"students": students, "words": [""] * len(students), "attempts": attempts}]


def _two_terms() -> Rows:
    middle = BEGINS + (NOW - BEGINS) / 2
    return [
        {"id": "1", "name": "1", "starts": BEGINS, "ends": middle},
        {"id": "2", "name": "2", "starts": middle, "ends": NOW},
    ]


def unchanged(position: Position | None) -> Since:
    """Return the changes of a graph that never changes."""
    return Since((), Position("0", ""), is_known=position is not None)


def cpu_seconds(name: str, facts: Facts, times: int) -> tuple[float, int]:
    """Return the CPU time of the fastest of some answers, and the number of their rows."""
    question = QUESTIONS[name]
    given = {"course": COURSE}
    fields = question.parameters.model_fields
    if "next_course" in fields:
        given["next_course"] = COURSE
    if "point" in fields and fields["point"].is_required():
        given["point"] = "point-001"
    asked = question.parameters(**given).completed(HelpThresholds())
    rows = 0
    fastest = float("inf")
    for _ in range(times + 1):
        begun = time.process_time()
        rows = len(computed(question, asked, facts).rows)
        fastest = min(fastest, time.process_time() - begun)
    return fastest, rows


def is_of_few(name: str) -> bool:
    """Return whether a question is about a student or two groups, and never about a whole course."""
    fields = QUESTIONS[name].parameters.model_fields
    return any(each in fields and fields[each].is_required() for each in ("student", "group"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--questions", nargs="+", default=[])
    parser.add_argument("--smoke", action="store_true", help="few students: figures do not count")
    given = parser.parse_args()
    students, times = (200, 1) if given.smoke else (given.students, given.times)
    made: Any = MadeCourse(students)
    facts = Facts(made, tuple(made.students), None, NOW, columns=ColumnStore(made, unchanged, UTC))
    begun = time.process_time()
    facts.first_tries(COURSE)
    loaded = time.process_time() - begun
    attempts = students * ATTEMPTS_OF_STUDENT
    print(f"{attempts:,} attempts of {students:,} students, loaded with {loaded:.1f} s of CPU")
    print(f"{'question':<24}{'CPU seconds':>12}{'rows':>10}")
    missed = 0
    for name in given.questions or QUESTIONS:
        if is_of_few(name):
            continue
        try:
            spent, rows = cpu_seconds(name, facts, times)
        except TooLarge:
            missed += 1
            print(f"{name:<24}{'too large':>12}", flush=True)
            continue
        is_missed = spent > MOST_CPU_SECONDS
        missed += is_missed
        mark = "  MISSED" if is_missed else ""
        print(f"{name:<24}{spent:>12.3f}{rows:>10,}{mark}", flush=True)
    print(f"goal: {MOST_CPU_SECONDS} s of CPU of each question; {missed} missed")
    return 0 if given.smoke else int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
