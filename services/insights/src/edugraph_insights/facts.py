"""Facts that questions read from the graph about permitted students: attempts, points, mistakes, prerequisites."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple, TypeVar

import numpy as np

from edugraph_common.contracts.findings import confidence_of_claim
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import HALF
from edugraph_insights.columns.course import Numbers, Read, Reading
from edugraph_insights.columns.marks import LONG_ANSWER, NO_ANSWER
from edugraph_insights.columns.schema import (
    ANSWERS_AT_POINTS,
    FIRST_TRIES_AT_ITEMS,
    FIRST_TRIES_IN_ORDER,
    FIRST_TRIES_OF_DAYS,
    FIRST_TRIES_OF_PERIOD,
    LAST_RECORD,
    LAST_RIGHT_AT_ITEMS,
    LAST_RIGHT_AT_POINTS,
    LONG_ANSWERS,
    MISTAKES_IN_NO_TERM,
    MISTAKES_MADE,
    MISTAKES_OF_TERMS,
    MISTAKES_OF_WEEKS,
    REPETITIONS,
    RIGHT_TRIES_OF_STUDENTS,
    SAMPLES_OF_ANSWERS,
    STUCK,
    TRIES_AT_POINTS,
    TRIES_BY_DAY,
    TRIES_IN_NO_TERM,
    TRIES_MADE,
    TRIES_OF_CELLS,
    TRIES_OF_STUDENTS,
    TRIES_OF_TERMS,
    TRIES_OF_WEEKS,
    TRIES_WITHOUT_POINT,
    UNRESOLVED_MISTAKES,
    WORK_OF_STUDENTS,
    WRONG_AT_POINT,
    WRONG_OR_MISTAKEN,
)
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.graph import MAX_ROWS, NARROWER, Reader, Row
from edugraph_insights.item_tries import FirstAnswers, ItemTries
from edugraph_insights.mastery import (
    Answers,
    Attempts,
    Counts,
    Integers,
    counts_of,
)
from edugraph_insights.practice import PointTries, Practice, Sums, practice_of
from edugraph_insights.problems import TooLarge
from edugraph_insights.school_days import Term, breaks_of, day_of, monday
from edugraph_insights.tries import (
    NO_MISTAKES,
    NO_TRIES,
    Cell,
    FirstTries,
    Mistakes,
    Tries,
    TriesAtPoints,
    TriesByDay,
    TriesInOrder,
    TriesMade,
    split,
)

# One goal may need this many points, directly and indirectly. The walk stops when there are more.
MAX_POINTS_BEFORE = 500
# A search for cycles of prerequisites visits this many points.
MAX_POINTS_AROUND = 5_000
# Prerequisites of prerequisites are followed for this many steps.
STEPS_BACK = 4
# The name of a count in `left_out`: prerequisites that are not followed before somebody accepts them.
WAITING_NEEDS = "prerequisites that too few texts say: accept or reject them in the review"
# The levels of the points of a course are estimated from the answers of this many students.
LEVEL_STUDENTS = 500
# A question about each term of the school is about this many terms.
MOST_TERMS = 20
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
# The ordinal of the day that numpy counts from.
_FIRST_DAY_OF_NUMPY = date(1970, 1, 1).toordinal()
MINUTES_OF_DAY = 24 * 60
Key = TypeVar("Key")
# The texts of this many answers are read at once.
ANSWERS_AT_ONCE = 5_000
EVERYTHING = "everything"
NO_TERM = "no term"
NOT_TRIED = FirstTries(0, 0)


# The place of an attempt among the others of a student: its time, its number and its record.
Place = tuple[datetime, int, str]


class Attempt(NamedTuple):
    """One try at an item. `outcome` is in thousandths. The attempt with the smallest `place` is the first one."""

    student: str
    item: str
    at: datetime
    number: int
    record: str
    outcome: int

    @property
    def place(self) -> Place:
        return self.at, self.number, self.record


class Point(NamedTuple):
    id: str
    name: str


class ItemOfPoints(NamedTuple):
    """An item, and those of the given points that it tests."""

    id: str
    name: str
    points: frozenset[str]


class Need(NamedTuple):
    """A prerequisite: `point` needs `needs` first, directly or through other points.

    `way` are the points from the direct prerequisite of `point` up to `needs`. It is empty if the prerequisite was
    read as a single step. `confidence` is the product of the confidences of the steps.
    """

    point: str
    needs: Point
    confidence: float
    way: tuple[Point, ...] = ()


class Post(NamedTuple):
    """A post. `answers` is the mark of the post that this one answers, or None."""

    student: str
    record: str
    at: datetime
    answers: str | None


class Assignment(NamedTuple):
    """An item that the students of a group, or of the course if `group` is None, have to hand in."""

    item: str
    name: str
    group: str | None
    due_at: datetime


class GroupMember(NamedTuple):
    """A membership. Without `starts` or `ends` it has no limit on that side."""

    student: str
    group: str
    starts: datetime | None
    ends: datetime | None

    def is_at(self, moment: datetime) -> bool:
        """Return whether the student is a member at this moment."""
        has_begun = self.starts is None or self.starts <= moment
        return has_begun and (self.ends is None or self.ends > moment)


class Joined(NamedTuple):
    """When a student joined a course: `enrolled` is what a record says, `first` is the time of the first record."""

    enrolled: datetime | None
    first: datetime | None

    def was_there(self, moment: datetime) -> bool | None:
        """Return whether the student was in the course at this moment, or None if no record tells."""
        if self.enrolled is not None:
            return self.enrolled <= moment
        if self.first is not None and self.first <= moment:
            return True
        return None


class HandIn(NamedTuple):
    """An attempt as something that was handed in. `late` is what its source says, or None."""

    student: str
    item: str
    at: datetime
    late: bool | None

    def is_late(self, due_at: datetime) -> bool:
        if self.late is not None:
            return self.late
        return self.at > due_at


class DatedTerm(NamedTuple):
    """A term with both ends. `ends` is not part of it."""

    id: str
    name: str
    starts: datetime
    ends: datetime

    def has(self, moment: datetime) -> bool:
        """Return whether a moment lies in the term."""
        return self.starts <= moment < self.ends

    def overlaps(self, other: "DatedTerm") -> bool:
        """Return whether a moment lies in both terms."""
        return self.starts < other.ends and other.starts < self.ends


def without_overlaps(terms: Iterable[DatedTerm]) -> list[DatedTerm]:
    """Return the terms that overlap no shorter one of those that are returned."""
    kept: list[DatedTerm] = []
    for term in sorted(terms, key=lambda each: (each.ends - each.starts, each.starts, each.id)):
        if not any(term.overlaps(shorter) for shorter in kept):
            kept.append(term)
    return kept


def ids_of_terms(terms: Iterable[DatedTerm], moment: datetime) -> list[str]:
    """Return the ids of the terms in which a moment lies."""
    return [term.id for term in terms if term.has(moment)]


class Repetition(NamedTuple):
    """A day on which a student tried items of a point. It is right if the mean outcome is a half or more."""

    day: date
    tries: int
    is_right: bool


class TryOfDay(NamedTuple):
    """An attempt. `outcome` is in thousandths."""

    student: str
    item: str
    day: date
    outcome: int


class WorkOfStudent(NamedTuple):
    """The first attempts and the number of mistakes of a student, and the time of the last of both."""

    first: FirstTries
    mistakes: int
    last: datetime | None


NO_WORK = WorkOfStudent(NOT_TRIED, 0, None)


class MistakeMade(NamedTuple):
    """A mistake of a student."""

    student: str
    record: str
    at: datetime


class HintedAttempt(NamedTuple):
    """An attempt, with the number of hints that were used, or None if its record does not say it."""

    student: str
    item: str
    title: str
    hints: int | None


class MistakeAtPoint(NamedTuple):
    """A mistake at a point. `words` are those that an analyser found to show the reason, `text` is the whole text.

    `went_wrong` has the id of each sentence about it, and the id and the name of the canonical one.

    `tested` says that its item tests the point, and `named` are the ids of the point that an analyser found. `types`
    has lists of the id of a type, its name, and whether the record itself gives it.
    """

    student: str
    record: str
    at: datetime
    tested: bool
    named: list[str]
    types: list[tuple[str | None, str | None, bool]]
    words: list[str] | None
    went_wrong: list[tuple[str, str, str]]
    text: str | None

    @property
    def quote(self) -> str | None:
        """The words that show the reason, or else the whole text. None if the record has no words."""
        if self.words:
            return " … ".join(self.words)
        return self.text or None


class Claim(NamedTuple):
    """A text or definition that claims a prerequisite. `title` is the title of a text or the id of a definition.

    `quote` has the words of the text that say so. It is empty if the text implies it, and for a definition.
    """

    title: str
    confidence: float
    quote: str = ""


class TeacherAction(NamedTuple):
    """An action of a teacher about a student. Before the day `not_until` the student is not proposed for today."""

    student: str
    record: str
    at: datetime
    author: str
    author_name: str | None
    spoken: bool
    text: str | None
    not_until: str | None


def put_off(actions: Iterable[TeacherAction], today: date) -> dict[str, TeacherAction]:
    """Return, for each student who is not to be proposed today, the action that says so.

    The latest action with a day counts, so that a later one can end it.
    """
    latest: dict[str, TeacherAction] = {}
    for action in actions:
        if action.not_until is None:
            continue
        known = latest.get(action.student)
        if known is None or (action.at, action.record) > (known.at, known.record):
            latest[action.student] = action
    found = {}
    for student, action in latest.items():
        if action.not_until is not None and today.isoformat() < action.not_until:
            found[student] = action
    return found


def with_spoken(
    contacts: Mapping[str, list[datetime]], actions: Iterable[TeacherAction]
) -> dict[str, list[datetime]]:
    """Return when teachers wrote to or spoke with each student."""
    found = {student: list(moments) for student, moments in contacts.items()}
    for action in actions:
        if action.spoken:
            found.setdefault(action.student, []).append(action.at)
    return found


class Use(NamedTuple):
    """The courses that have a point, and the number of records that name it."""

    courses: tuple[str, ...]
    records: int


class TriesOfTerms(NamedTuple):
    """The first attempts in terms that have some, by id of the term, and the number of those in no term."""

    of_terms: dict[str, Tries]
    in_no_term: int


class MistakesOfTerms(NamedTuple):
    """The mistakes in terms that have some, by id of the term, and the number of those in no term."""

    of_terms: dict[str, Mistakes]
    in_no_term: int


class HeldReading(NamedTuple):
    """The columns of a course, opened to read a part of it."""

    course: str
    read: Read
    reading: Reading

    def has(self, course: str, read: Read) -> bool:
        """Return whether this part of a course can be read here. A part without terms does not need them."""
        terms = read.terms or self.read.terms
        return self.course == course and self.read == replace(read, terms=terms)


@dataclass(frozen=True)
class Facts:
    """The graph as one question may see it: only `students`, from `since` until `until`.

    `outsiders` is the number of students of the group who are not in the course. No records of theirs are read. With
    `in_cells` the answer is for a caller who sees only cells, so no other students are read at all, and
    `joined_cells` says when each of them joined the course.

    Each method raises what `Graph.read` raises.
    """

    graph: Reader
    students: tuple[str, ...]
    since: datetime | None
    until: datetime
    term: Term | None = None  # the term in the parameters of the question
    in_past: bool = False  # the question is about a day in the past
    outsiders: int = 0
    in_cells: bool = False
    joined_cells: Mapping[str, datetime] = field(default_factory=dict)
    beside: "Facts | None" = None  # facts about the other group, if a question compares two
    zone: tzinfo = UTC  # the time zone of the school
    # The columns of courses. Cells do not use them: they are computed as of several weeks.
    columns: ColumnStore | None = None
    # The columns of one course at one moment, which methods read if they need the same part of the course.
    held: "HeldReading | None" = None

    @contextmanager
    def in_one_state(self, course: str, terms: Sequence[DatedTerm] = ()) -> Iterator["Facts"]:
        """Yield the same facts. Their methods read one state of the columns, whatever is written meanwhile."""
        if not self.reads_columns:
            yield self
            return
        read = self._read(self.students, _ends_of(terms))
        with self._reading(course, terms=read.terms) as reading:
            yield replace(self, held=HeldReading(course, read, reading))

    @property
    def reads_columns(self) -> bool:
        """Whether attempts are read from columns, and not from the graph."""
        return self.columns is not None and not self.in_cells

    def first_tries(self, course: str) -> Tries:
        """Return the first attempts in a course that fall into the period."""
        if not self.reads_columns:
            tries = self._added_up(course, lambda _: [EVERYTHING])
            return tries.get(EVERYTHING, NO_TRIES)
        with self._reading(course) as reading:
            return _tries(reading)

    def tries_of_weeks(self, course: str) -> dict[date, Tries]:
        """Return the first attempts of the period by week. A week is named by its Monday."""
        if not self.reads_columns:
            return self._added_up(course, lambda attempt: [monday(attempt.at, self.zone)])
        with self._reading(course) as reading:
            columns = reading.columns(TRIES_OF_WEEKS)
            ids = reading.student_ids
        columns["monday"] = columns["monday"].astype("datetime64[D]")
        return dict(split(ids, columns, "monday"))

    def tries_of_terms(self, course: str, terms: Sequence[DatedTerm]) -> TriesOfTerms:
        """Return the first attempts of the period by term. Terms may overlap."""
        if not self.reads_columns:
            found = self._added_up(
                course, lambda attempt: ids_of_terms(terms, attempt.at) or [NO_TERM]
            )
            in_no_term = found.pop(NO_TERM, NO_TRIES).total
            return TriesOfTerms(found, in_no_term)
        with self._reading(course, terms=_ends_of(terms)) as reading:
            columns = reading.columns(TRIES_OF_TERMS)
            ids = reading.student_ids
            [(in_no_term,)] = reading.rows(TRIES_IN_NO_TERM)
        of_terms: dict[str, Tries] = {}
        for number, tries in split(ids, columns, "term"):
            of_terms[terms[number].id] = tries
        return TriesOfTerms(of_terms, in_no_term)

    def _reading(
        self,
        course: str,
        students: Sequence[str] | None = None,
        terms: Sequence[tuple[datetime, datetime]] = (),
    ) -> AbstractContextManager[Reading]:
        """Return the columns of a course, about the students of the question or about other ones."""
        if self.columns is None:
            raise ValueError("there are no columns")
        if students is None:
            students = self.students
        read = self._read(students, terms)
        if self.held is not None and self.held.has(course, read):
            return nullcontext(self.held.reading)
        return self.columns.reading(course, read)

    def _read(self, students: Sequence[str], terms: Sequence[tuple[datetime, datetime]]) -> Read:
        return Read(students, self.since or _BEGINNING, self.until, terms)

    def _added_up(
        self, course: str, keys_of: Callable[[Attempt], Iterable[Key]]
    ) -> dict[Key, Tries]:
        """Return the first attempts of the period from the graph, by the keys of each attempt."""
        added: dict[Key, dict[str, FirstTries]] = defaultdict(dict)
        for attempt in self.first_attempts(course):
            for key in keys_of(attempt):
                before = added[key].get(attempt.student, NOT_TRIED)
                added[key][attempt.student] = before.with_one(attempt.outcome)
        return {key: Tries.of(tries) for key, tries in added.items()}

    def point_tries(self, course: str) -> PointTries:
        """Return the first attempts at the points of a course."""
        if not self.reads_columns:
            return self._point_tries_of_graph(course)
        with self._reading(course) as reading:
            return reading.kept(lambda: _point_tries(reading))

    def _point_tries_of_graph(self, course: str) -> PointTries:
        """Return what `point_tries` returns, from the attempts in the graph."""
        first_ever = first_by_item(self.attempts(course))
        begins = self.since or _BEGINNING
        first = [each for each in first_ever if begins <= each.at]
        tested = self.tested_points(each.item for each in first_ever)
        ever = by_point(first_ever, tested)
        points = sorted(ever)
        students = sorted({each.student for each in first_ever})
        number_of = {student: number for number, student in enumerate(students)}
        rows: list[tuple[int, int, Attempts]] = []
        sums: list[tuple[int, int, int]] = []
        moments: list[datetime] = []
        for point_number, point in enumerate(points):
            for student in sorted(ever[point]):
                every = ever[point][student]
                rows.append((number_of[student], point_number, counted(every)))
                in_period = [each for each in every if begins <= each.at]
                outcomes = [each.outcome for each in in_period]
                right = sum(outcome >= HALF for outcome in outcomes)
                sums.append((len(outcomes), right, sum(outcomes)))
                first_there = [*in_period, every[-1]][0]
                moments.append(first_there.at.astimezone(UTC).replace(tzinfo=None))
        columns = np.array(sums, dtype=np.int64).reshape(-1, 3).T
        first_moments = np.array(moments, dtype="datetime64[us]")
        ids = [point.id for point in points]
        names = {point.id: point.name for point in points}
        numbers = Counter(each.student for each in first)
        without_point = sum(each.item not in tested for each in first)
        in_columns = Sums(columns[0], columns[1], columns[2], first_moments)
        return PointTries(students, ids, names, counts_of(rows), in_columns, numbers, without_point)

    def tries_in_order(self, course: str) -> TriesInOrder:
        """Return the first attempts of the period at the points of a course, in their order."""
        if not self.reads_columns:
            return self._tries_in_order_of_graph(course)
        with self._reading(course) as reading:
            columns = reading.columns(FIRST_TRIES_IN_ORDER)
            numbers = np.unique(columns["point"]).tolist()
            points = {number: _point(reading, number) for number in numbers}
            tries = _tries(reading)
            [(without_point,)] = reading.rows(TRIES_WITHOUT_POINT)
            ids = reading.student_ids
        outcomes = columns["outcome"].astype(np.int64)
        return TriesInOrder(
            ids,
            points,
            columns["student"],
            columns["point"],
            outcomes,
            tries.numbers,
            without_point,
        )

    def _tries_in_order_of_graph(self, course: str) -> TriesInOrder:
        """Return what `tries_in_order` returns, from the attempts in the graph."""
        first = self.first_attempts(course)
        tested = self.tested_points(each.item for each in first)
        students = Numbers()
        points: dict[int, Point] = {}
        rows: list[tuple[int, int, int]] = []
        for number, (point, of_students) in enumerate(by_point(first, tested).items()):
            points[number] = point
            for student, tries in of_students.items():
                student_number = students.of(student)
                rows += [(student_number, number, each.outcome) for each in tries]
        student_column, point_column, outcomes = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        numbers = Counter(each.student for each in first)
        without_point = sum(each.item not in tested for each in first)
        return TriesInOrder(
            students.ids, points, student_column, point_column, outcomes, numbers, without_point
        )

    def attempts(self, course: str) -> list[Attempt]:
        """Return all attempts in a course until `until`, also those before `since`."""
        rows = self.graph.read_by_student(
            "attempts",
            self.students,
            course=course,
            until=self.until.isoformat(),
        )
        return [Attempt(**row) for row in rows]

    def first_attempts(self, course: str) -> list[Attempt]:
        """Return the first attempt of each student at each item of a course, if it falls into the period."""
        first = first_by_item(self.attempts(course))
        return [each for each in first if self.since is None or each.at >= self.since]

    def item_tries(self, course: str) -> ItemTries:
        """Return the first attempts of the period at the items of a course. Without columns, no answers are known."""
        if self.reads_columns:
            with self._reading(course) as reading:
                return _item_tries(reading)
        students = Numbers()
        items = Numbers()
        rows = []
        for each in self.first_attempts(course):
            rows.append((students.of(each.student), items.of(each.item), each.outcome, NO_ANSWER))
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return ItemTries(students.ids, items.ids, *columns)

    def first_answers(self, course: str, *, below: int, least: int) -> FirstAnswers:
        """Return the first attempts with the texts of the answers that at least `least` students gave to one item.

        Only texts of attempts with an outcome below `below`, in thousandths, are read, and only these attempts count.
        Texts are read from the graph, so that the memory has none. A text that is gone by now is left out.
        """
        limits = {"below": below, "least": least, "none": NO_ANSWER, "long": LONG_ANSWER}
        with self._reading(course) as reading:
            tries = _item_tries(reading)
            places: dict[tuple[int, int], str] = {}  # (student, item) -> record with a long answer
            for student, item, record in reading.rows(LONG_ANSWERS.format(**limits)):
                places[student, item] = record
            samples = dict(reading.rows(SAMPLES_OF_ANSWERS.format(**limits)))
            mark_of = reading.mark_of
        long_texts = self._answer_texts(places.values())
        answers = tries.answers.copy()
        texts: dict[int, str] = {}
        for row in np.flatnonzero(answers == LONG_ANSWER).tolist():
            pair = (int(tries.student[row]), int(tries.item[row]))
            text = long_texts.get(places.get(pair, ""), "").strip()
            mark = mark_of(text)
            answers[row] = mark
            if text:
                texts[mark] = text
        short_texts = self._answer_texts(samples.values())
        for mark, record in samples.items():
            text = short_texts.get(record, "").strip()
            if text:
                texts[mark] = text
        return FirstAnswers(replace(tries, answers=answers), texts)

    def _answer_texts(self, records: Iterable[str]) -> dict[str, str]:
        """Return the answers in these attempts. Raises TooLarge for very many of them."""
        ids = list(records)
        if len(ids) > MAX_ROWS:
            found = f"This question would read more than {MAX_ROWS:,} answers at once"
            raise TooLarge(found, NARROWER)
        texts: dict[str, str] = {}
        for start in range(0, len(ids), ANSWERS_AT_ONCE):
            portion = ids[start : start + ANSWERS_AT_ONCE]
            [read] = self.graph.read("answers_of_attempts", records=portion)
            texts |= dict(read["answers"])
        return texts

    def item_names(self, items: Iterable[str]) -> dict[str, str]:
        """Return the names of items. An item without a name has its id."""
        [read] = self.graph.read("item_names", items=sorted(set(items)))
        return dict(read["names"])

    def tested_points(self, items: Iterable[str]) -> dict[str, list[Point]]:
        """Return the points that items test, by item. An item that tests no point is left out."""
        found: dict[str, list[Point]] = defaultdict(list)
        for row in self.graph.read("tested_points", items=sorted(set(items))):
            found[row["item"]].append(Point(row["point"], row["name"]))
        return dict(found)

    def items_of_points(self, course: str, points: Iterable[str]) -> list[ItemOfPoints]:
        """Return the items of a course that test at least one of these points, whoever tried them."""
        rows = self.graph.read("items_of_points", course=course, points=sorted(points))
        return [ItemOfPoints(row["item"], row["name"], frozenset(row["points"])) for row in rows]

    def practice(self, course: str) -> Practice:
        """Return what the students tried in a course, and how well they master it."""
        tries = self.point_tries(course)
        answers = AnswersAtPoints({}, {})
        if tries.points and self.in_cells:
            answers = self._answers_of_cells(tries)
        elif tries.points:
            answers = self._answers_at_points(course)
        return practice_of(tries, answers.first, answers.all, self.until)

    def cells(self, course: str) -> tuple[dict[Point, dict[str, Cell]], TriesMade]:
        """Return the attempts of the period by point and student, and how many attempts of the period there are.

        A repeated attempt is a try, but not a first attempt, even if the first one is not in the period.
        """
        cells: dict[Point, dict[str, Cell]] = defaultdict(dict)
        with self._reading(course) as reading:
            for point, student, *values in reading.rows(TRIES_OF_CELLS.format(wanted="true")):
                cells[_point(reading, point)][reading.student(student)] = _cell(values)
            [made] = reading.rows(TRIES_MADE)
        return dict(cells), TriesMade(*made)

    def cells_at_point(self, course: str, point: str) -> dict[str, Cell]:
        """Return what `cells` has of one point: the attempts of the period by student."""
        cells: dict[str, Cell] = {}
        with self._reading(course) as reading:
            is_wanted = f"point = {reading.number_of_point(point)}"
            for _, student, *values in reading.rows(TRIES_OF_CELLS.format(wanted=is_wanted)):
                cells[reading.student(student)] = _cell(values)
        return cells

    def tries_at_points(self, course: str) -> TriesAtPoints:
        """Return who tried each point in the period, with the first attempts of the period."""
        with self._reading(course) as reading:
            columns = reading.columns(FIRST_TRIES_OF_PERIOD)
        students, point_ids, columns = _in_order(reading, columns)
        points = [Point(each, reading.point_names[each]) for each in point_ids]
        return TriesAtPoints(
            students,
            points,
            columns["student"],
            columns["point"],
            columns["number"],
            columns["outcomes"],
        )

    def repetitions(
        self, course: str
    ) -> tuple[dict[tuple[Point, str], list[Repetition]], TriesMade]:
        """Return the days on which each student practised each point in the period, in their order.

        Also return how many attempts of the period there are.
        """
        found: dict[tuple[Point, str], list[Repetition]] = defaultdict(list)
        with self._reading(course) as reading:
            for point, student, day, tries, is_right in reading.rows(REPETITIONS):
                pair = (_point(reading, point), reading.student(student))
                found[pair].append(Repetition(day, tries, is_right))
            [made] = reading.rows(TRIES_MADE)
        return dict(found), TriesMade(*made)

    def first_tries_by_day(self, course: str) -> list[TryOfDay]:
        """Return the first attempts of the period."""
        with self._reading(course) as reading:
            found = []
            for student, item, day, outcome in reading.rows(FIRST_TRIES_OF_DAYS):
                student_id = reading.student(student)
                found.append(TryOfDay(student_id, reading.item_ids[item], day, outcome))
        return found

    def tries_by_day(self, course: str) -> TriesByDay:
        """Return all attempts in a course until `until`, also those before `since`, in the order of their days."""
        with self._reading(course) as reading:
            columns = reading.columns(TRIES_BY_DAY)
            ids = reading.student_ids
        days = columns["day"].astype("datetime64[D]").astype(np.int64) + _FIRST_DAY_OF_NUMPY
        return TriesByDay(ids, columns["student"], days, columns["is_first"], columns["outcome"])

    def work_of_students(self, course: str) -> dict[str, WorkOfStudent]:
        """Return the first attempts and the mistakes of the period of each student who has any."""
        found = {}
        with self._reading(course) as reading:
            for student, tries, outcomes, mistakes, last in reading.rows(WORK_OF_STUDENTS):
                work = WorkOfStudent(
                    FirstTries(tries, outcomes), mistakes, last.replace(tzinfo=UTC)
                )
                found[reading.student(student)] = work
        return found

    def last_record(self, course: str) -> datetime | None:
        """Return the time of the last attempt until `until`, or of the last mistake of the period if it is later."""
        with self._reading(course) as reading:
            [(last,)] = reading.rows(LAST_RECORD)
        if last is None:
            return None
        return last.replace(tzinfo=UTC)  # type: ignore[no-any-return]

    def number_who_tried(self, course: str) -> int:
        """Return the number of students with an attempt in the period."""
        with self._reading(course) as reading:
            [(_, students, _)] = reading.rows(TRIES_MADE)
        return int(students)

    def unresolved_mistakes(self, course: str) -> list[MistakeMade]:
        """Return the mistakes of the period that no record says are resolved."""
        found = []
        with self._reading(course) as reading:
            for student, record, at in reading.rows(UNRESOLVED_MISTAKES):
                mistake = MistakeMade(reading.student(student), record, at.replace(tzinfo=UTC))
                found.append(mistake)
        return found

    def latest_wrong(
        self, course: str, students: Sequence[str], limit: int, *, point: str | None = None
    ) -> tuple[str, ...]:
        """Return the records of the latest wrong attempts and mistakes of these students in the period.

        With `point` only attempts at the items of this point count.
        """
        with self._reading(course, students) as reading:
            sql = WRONG_OR_MISTAKEN.format(limit=limit)
            if point is not None:
                number = reading.number_of_point(point)
                sql = WRONG_AT_POINT.format(point=number, limit=limit)
            return tuple(record for (record,) in reading.rows(sql))

    def mostly_right(self, course: str, share: float) -> set[str]:
        """Return the students with at least this share of right attempts, whenever they were."""
        found = set()
        with self._reading(course) as reading:
            for student, number, right in reading.rows(RIGHT_TRIES_OF_STUDENTS):
                if right / number >= share:
                    found.add(reading.student(student))
        return found

    def stuck_at(self, course: str, tries: int) -> defaultdict[str, list[str]]:
        """Return, for each student, the names of the items at which the student is stuck.

        These are items with at least `tries` attempts in the period after the student was last right at the item, by
        any attempt, or at one of its points, by a first attempt at another item.
        """
        with self._reading(course) as reading:
            rows = reading.rows(STUCK.format(tries=tries))
            stuck = [(reading.student(who), reading.item_ids[item]) for who, item in rows]
        names = {}
        if stuck:
            names = self.item_names(item for _, item in stuck)
        found: defaultdict[str, list[str]] = defaultdict(list)
        for student, item in stuck:
            found[student].append(names.get(item, item))
        return found

    def last_right(self, course: str, students: Sequence[str]) -> "LastRight":
        """Return when these students were last right in the period."""
        found = LastRight({}, {})
        if not students:
            return found
        with self._reading(course, students) as reading:
            for student, item, at in reading.rows(LAST_RIGHT_AT_ITEMS):
                pair = (reading.student(student), reading.item_ids[item])
                found.at_items[pair] = at.replace(tzinfo=UTC)
            for student, point, at in reading.rows(LAST_RIGHT_AT_POINTS):
                pair = (reading.student(student), reading.point(point))
                found.at_points[pair] = at.replace(tzinfo=UTC)
        return found

    def _answers_at_points(self, course: str) -> "AnswersAtPoints":
        """Return the attempts at each point of a course, from which the level of the point is estimated.

        They are those of up to LEVEL_STUDENTS students of the course who had joined it, whoever asks, so that the
        estimate of a student is the same in each question.
        """
        statement = "first_answers"
        chosen = "level_students_with_answers"
        if has_course_records(self.graph, course):
            statement = "first_course_record"
            chosen = "level_students"
        rows = self.graph.read(chosen, course=course, limit=LEVEL_STUDENTS)
        students = [row["student"] for row in rows]
        later = set()
        for row in self.graph.read(statement, students=students, course=course):
            if row["at"] is not None and row["at"] > self.until:
                later.add(row["student"])
        joined = sorted(set(students) - later)
        answers = AnswersAtPoints({}, {})
        if self.reads_columns:
            with self._reading(course, joined) as reading:
                for number, right, first, right_tries, tries in reading.rows(ANSWERS_AT_POINTS):
                    point = reading.point(number)
                    answers.first[point] = Answers(right, first)
                    answers.all[point] = Answers(right_tries, tries)
            return answers
        rows = self.graph.read(
            "first_outcomes", students=joined, course=course, until=self.until.isoformat()
        )
        for row in rows:
            point = row["point"]
            answers.first[point] = Answers(row["right"], row["number"])
            answers.all[point] = Answers(row["right_tries"], row["tries"])
        return answers

    def _answers_of_cells(self, tries: PointTries) -> "AnswersAtPoints":
        """Return the first attempts at each point by up to LEVEL_STUDENTS students of the cells.

        No other students are read.
        """
        counts = tries.counts
        chosen = set(self.students[:LEVEL_STUDENTS])
        is_chosen = np.array([student in chosen for student in tries.students], dtype=np.bool_)
        answers = {}
        for point_number, point in enumerate(tries.points):
            rows = tries.rows_of_point(point_number)
            students = counts.students[rows]
            rows = rows[is_chosen[students]]
            right = counts.right[rows].sum()
            number = counts.number[rows].sum()
            answers[point] = Answers(int(right), int(number))
        return AnswersAtPoints(answers, answers)

    def assignments(self, course: str) -> tuple[list[Assignment], int]:
        """Return what is to be handed in in a course, with its due date, and the number of assignments without one.

        Only groups count in which one of the students is or was. For each pair of an item and a course or group, the
        latest record decides; a date that it does not give is that of the item.
        """
        rows = self.graph.read("assigned_to_course", course=course)
        rows += self.graph.read("assigned_to_groups", students=list(self.students))
        latest: dict[tuple[str, str | None], Row] = {}
        for row in sorted(rows, key=lambda each: (each["at"], each["record"])):
            latest[row["item"], row["group"]] = row
        found = []
        without_date = 0
        for (item, group), row in latest.items():
            # An item of a group is in the course that its record names, or else in each course of the group.
            courses = [course] if group is None else row["stated"] or row["of_group"]
            if course not in courses:
                continue
            due_at = row["due"] or row["due_of_item"]
            if due_at is None:
                without_date += 1
            else:
                found.append(Assignment(item, row["name"], group, due_at))
        return found, without_date

    def group_members(self, groups: Iterable[str]) -> list[GroupMember]:
        """Return all memberships of the students in these groups, also those that are over."""
        rows = self.graph.read(
            "members_of_groups", students=list(self.students), groups=sorted(groups)
        )
        return [GroupMember(**row) for row in rows]

    def joined(self, course: str) -> dict[str, Joined]:
        """Return when each of the students joined a course."""
        statement = "first_answers"
        if has_course_records(self.graph, course):
            statement = "first_course_record"
        of_whom = {"students": list(self.students), "course": course}
        first = {row["student"]: row["at"] for row in self.graph.read(statement, **of_whom)}
        enrolled = {row["student"]: row["at"] for row in self.graph.read("enrolled", **of_whom)}
        return {each: Joined(enrolled.get(each), first.get(each)) for each in self.students}

    def hand_ins(self, course: str, items: Iterable[str]) -> list[HandIn]:
        """Return the attempts at these items until `until`, in the course or without a course, as hand-ins."""
        rows = self.graph.read_by_student(
            "hand_ins",
            self.students,
            course=course,
            items=sorted(items),
            until=self.until.isoformat(),
        )
        return [HandIn(**row) for row in rows]

    def hinted_attempts(self, course: str) -> list[HintedAttempt]:
        """Return the attempts of the period in a course, also those without an outcome, with their hints."""
        return [HintedAttempt(**row) for row in self._by_student("hinted_attempts", course)]

    def mistakes(self, course: str) -> list[Row]:
        """Return a row for each mistake and point behind it.

        `found` is the id of the point in the finding, and `point` that of its canonical point. Both are None if no
        point is known.
        """
        return self._by_student("mistakes", course)

    def mistakes_made(self, course: str) -> Mistakes:
        """Return the mistakes of the period."""
        if not self.reads_columns:
            made = self._mistakes_by(course, lambda _: [EVERYTHING])
            return made.get(EVERYTHING, NO_MISTAKES)
        with self._reading(course) as reading:
            [(number, unresolved)] = reading.rows(MISTAKES_MADE)
        return Mistakes(number, unresolved, {})

    def mistakes_of_weeks(self, course: str) -> dict[date, Mistakes]:
        """Return the mistakes of the period by week. A week is named by its Monday."""
        if not self.reads_columns:
            return self._mistakes_by(course, lambda at: [monday(at, self.zone)])
        found: dict[date, Mistakes] = {}
        with self._reading(course) as reading:
            for week, number, unresolved in reading.rows(MISTAKES_OF_WEEKS):
                found[week] = Mistakes(number, unresolved, {})
        return found

    def mistakes_of_terms(self, course: str, terms: Sequence[DatedTerm]) -> MistakesOfTerms:
        """Return the mistakes of the period by term. Terms may overlap."""
        of_terms: dict[str, Mistakes] = {}
        if not self.reads_columns:
            of_terms = self._mistakes_by(course, lambda at: ids_of_terms(terms, at) or [NO_TERM])
            in_no_term = of_terms.pop(NO_TERM, NO_MISTAKES).number
            return MistakesOfTerms(of_terms, in_no_term)
        with self._reading(course, terms=_ends_of(terms)) as reading:
            for term, number, unresolved in reading.rows(MISTAKES_OF_TERMS):
                of_terms[terms[term].id] = Mistakes(number, unresolved, {})
            [(in_no_term,)] = reading.rows(MISTAKES_IN_NO_TERM)
        return MistakesOfTerms(of_terms, in_no_term)

    def _mistakes_by(
        self, course: str, keys_of: Callable[[datetime], Iterable[Key]]
    ) -> dict[Key, Mistakes]:
        """Return the mistakes of the period from the graph, by the keys of the moment of each."""
        made: dict[Key, dict[str, tuple[str, bool]]] = defaultdict(dict)
        for told in self.mistakes(course):  # a row for each point behind it
            for key in keys_of(told["at"]):
                made[key][told["record"]] = told["student"], told["resolved"]
        return {key: Mistakes.of(records.values()) for key, records in made.items()}

    def mistakes_at_point(self, course: str, point: str) -> list[MistakeAtPoint]:
        """Return the mistakes at the items of a canonical point, and those whose finding names it."""
        rows = self._by_student("mistakes_at_point", course, point=point)
        return [MistakeAtPoint(**row) for row in rows]

    def messages(self, course: str) -> list[Row]:
        return self._by_student("messages", course)

    def mistake_types(self, course: str) -> list[Row]:
        """Return a row for each mistake and each of its types. Mistakes without a type are left out.

        `found` is the id of the type, and `type` that of its canonical type. `stated` says that the record itself
        gives it. `item` may be None. `points` are those that the item tests and those behind the mistake.
        """
        return self._by_student("mistake_types", course)

    def moods(self, course: str) -> list[Row]:
        """Return a row for each text of a student and each of its topics, or with `topic` None if it has no topic."""
        return self._by_student("moods", course)

    def ties(self, course: str) -> dict[tuple[str, str], int]:
        """Return (one student, another) -> how often the first wrote to, answered, or liked a text of the second."""
        times: dict[tuple[str, str], int] = defaultdict(int)
        for row in self._of_students("ties", course):
            times[row["sender"], row["receiver"]] += row["times"]
        posts = self.posts(course)
        for post in posts.values():
            answered = posts.get(post.answers or "")
            in_period = self.since is None or post.at >= self.since
            if in_period and answered is not None and answered.student != post.student:
                times[post.student, answered.student] += 1
        return dict(times)

    def posts(self, course: str) -> dict[str, Post]:
        """Return the posts of the students in a course until `until`, by their marks, also those before `since`.

        A post keeps the mark of the post that it answers, so this dictionary finds the answered post.
        """
        until = self.until.isoformat()
        rows = self.graph.read_by_student("posts", self.students, course=course, until=until)
        return {record_mark(row["record"]): Post(**row) for row in rows}

    def last_activity(self, course: str) -> dict[str, date]:
        """Return the last day until `until` on which each student was active in the course, also before `since`.

        The graph has the active minutes of days in UTC, from which the day of the school is computed here.
        """
        last: dict[str, date] = {}
        until = self.until.isoformat()
        rows = self.graph.read(
            "last_activity",
            students=list(self.students),
            course=course,
            until=until,
            day=until[:10],
        )
        for row in rows:
            moments = [_last_minute(day["date"], day["hours"], self.until) for day in row["days"]]
            moments.append(row["at"])
            known = [moment for moment in moments if moment is not None]
            if known:
                last[row["student"]] = day_of(max(known), self.zone)
        return last

    def terms(self) -> tuple[Term, ...]:
        """Return the term in the parameters of the question, or all terms of the school if there is none."""
        if self.term is not None:
            return (self.term,)
        return tuple(as_term(row) for row in self.graph.read("terms"))

    def dated_terms(self) -> list[DatedTerm]:
        """Return the latest terms of the school that have a beginning and an end.

        For cells, a term that overlaps a shorter one is left out: two terms that overlap can differ by one student.
        """
        rows = self.graph.read("terms_to_choose", limit=MOST_TERMS)
        terms = [DatedTerm(**row) for row in rows]
        if self.in_cells:
            return without_overlaps(terms)
        return terms

    def point_called(self, ids: Iterable[str]) -> Point | None:
        """Return the canonical point of the first of these ids that is a point, or None."""
        ordered = list(ids)
        rows = {row["called"]: row for row in self.graph.read("points_called", ids=ordered)}
        for node_id in ordered:
            if node_id in rows:
                return Point(rows[node_id]["point"], rows[node_id]["name"])
        return None

    def findings(self, course: str, *, reviewed: bool = False) -> list[Row]:
        """Return the mistakes with a finding of an analyser. With `reviewed`, only those with a verdict."""
        return self._by_student("findings", course, reviewed=reviewed)

    def proposed_topics(self, course: str) -> list[Row]:
        """Return the messages, posts and answers without an outcome with topics that no list has.

        A text that another student sent or received, whom the question is not about, is left out.
        """
        students = set(self.students)
        shown: list[Row] = []
        for row in self._by_student("proposed_topics", course):
            if students.issuperset(row["people"]):
                shown.append(row)
        return shown

    def said_of_items(self, items: Iterable[str]) -> list[Row]:
        """Return a row for each item and each point that records or reviewers say it tests, or does not test.

        `verdict` is None if only records say it. `canonical` is the canonical node of the named point.
        """
        rows = self.graph.read("said_of_items", items=sorted(set(items)))
        return [
            {**row, "verdict": row["stamp"] and row["stamp"].rpartition("|")[2]} for row in rows
        ]

    def canonical_points(self, points: Iterable[str]) -> dict[str, str]:
        """Return the canonical point of each of these points that exists."""
        return {
            row["called"]: row["point"]
            for row in self.graph.read("points_called", ids=sorted(set(points)))
        }

    def texts_of(self, course: str) -> list[Row]:
        return self.graph.read("texts_of_course", course=course)

    def points_of(self, course: str) -> set[str]:
        return {row["point"] for row in self.graph.read("points_of_course", course=course)}

    def taught_points(self, course: str) -> list[Point]:
        """Return the points that the texts of a course teach, without synonyms."""
        return [
            Point(row["point"], row["name"])
            for row in self.graph.read("points_taught", course=course)
        ]

    def direct_needs(self, points: Iterable[str]) -> list[Need]:
        """Return the direct prerequisites of these points.

        If several synonyms of a point have the same prerequisite, the surest counts.
        """
        return _surest(self.graph.read("prerequisites", points=sorted(set(points))))

    def proposed_needs(self, points: Iterable[str]) -> list[Need]:
        """Return the direct prerequisites of these points that are not followed, since too few texts say them."""
        return _surest(self.graph.read("proposed_prerequisites", points=sorted(set(points))))

    def waiting(self, points: Iterable[str]) -> dict[str, int]:
        """Return the number of proposed prerequisites of these points, as an item of `left_out`."""
        return {WAITING_NEEDS: len(self.proposed_needs(points))}

    def waiting_in(self, course: str) -> dict[str, int]:
        """Return the number of proposed prerequisites of the points that a course teaches, as an item of `left_out`.

        Points that only students tried are not counted: the number must not tell what a single student did.
        """
        return self.waiting(point.id for point in self.taught_points(course))

    def needs_around(self, points: Iterable[str]) -> tuple[dict[str, list[Need]], bool]:
        """Return direct and indirect prerequisites of these points by point, and whether all of them were read."""
        needs: dict[str, list[Need]] = defaultdict(list)
        reached = set(points)
        ahead = sorted(reached)
        while ahead and len(reached) <= MAX_POINTS_AROUND:
            found = self.direct_needs(ahead)
            for need in found:
                needs[need.point].append(need)
            ahead = sorted({need.needs.id for need in found} - reached)
            reached.update(ahead)
        return needs, not ahead

    def proposed_same(self, points: Iterable[str]) -> list[Row]:
        """Return the pairs of possible synonyms with at least one of these points. Each pair is returned once."""
        rows = self.graph.read("proposed_same", points=sorted(set(points)))
        return list({frozenset((row["one"], row["other"])): row for row in rows}.values())

    def prerequisites_to_review(self, points: Iterable[str]) -> list[Row]:
        """Return the prerequisites of these points without those that a school states and that are followed."""
        ids = sorted(set(points))
        return [
            *self.graph.read("excluded_prerequisites", points=ids),
            *self.graph.read("followed_prerequisites", points=ids),
        ]

    def claims(self, points: Iterable[str]) -> dict[tuple[str, str], list[Claim]]:
        """Return the claims by (point, its prerequisite), in the order of their titles."""
        found: dict[tuple[str, str], list[Claim]] = defaultdict(list)
        for row in self.graph.read("claims_of_points", points=sorted(set(points))):
            # A definition has no quotes, and findings of earlier releases have none either.
            quotes = row["quotes"] or [""] * len(row["requires"])
            each_claim = zip(row["requires"], row["confidence"], quotes, strict=True)
            for needed, confidence, quote in each_claim:
                sure = confidence
                if row["is_text"]:
                    sure = confidence_of_claim(confidence, quote)
                found[row["point"], needed].append(Claim(row["title"], sure, quote))
        return {pair: sorted(claims) for pair, claims in found.items()}

    def accepted_needs(self, points: Iterable[str]) -> set[tuple[str, str]]:
        """Return (point, its prerequisite) of the prerequisites that reviewers accepted, as canonical points."""
        rows = self.graph.read("accepted_prerequisites", points=sorted(set(points)))
        return {(row["point"], row["needs"]) for row in rows}

    def are_claims_settled(self) -> bool:
        """Return whether prerequisites have been derived from all claims and verdicts so far."""
        return not self.graph.read("unsettled_claims")

    def uses(self, course: str, points: Iterable[str]) -> dict[str, Use]:
        """Return the uses of these points under exactly this id. Mistakes of other students do not count."""
        ids = sorted(set(points))
        mistakes = {
            row["point"]: row["mistakes"]
            for row in self._of_students("mistakes_naming", course, points=ids)
        }
        uses = dict.fromkeys(ids, Use((), 0))
        for row in self.graph.read("use_of_points", points=ids):
            point = row["point"]
            records = row["records"] + mistakes.get(point, 0)
            uses[point] = Use(tuple(sorted(row["courses"])), records)
        return uses

    def comparison(self) -> tuple[int, str | None] | None:
        """Return the number of points of the last comparison, and its encoder or None. None if there was none yet."""
        for row in self.graph.read("comparison"):
            return row["compared"], row["encoder"]
        return None

    def names(self) -> dict[str, str]:
        """Return the names of the students by id. Students whose records give no name are left out."""
        rows = self.graph.read("names", students=list(self.students))
        return {row["student"]: row["name"] for row in rows if row["name"]}

    def progress(self, course: str) -> dict[str, float]:
        """Return the progress of the students by id. Students whose records give no progress are left out."""
        return {
            student: progress
            for student, progress in self.latest_progress(course).items()
            if progress is not None
        }

    def latest_progress(self, course: str) -> dict[str, float | None]:
        """Return the students who are in the course, with their progress or None if no record gives it."""
        of_whom = {"students": list(self.students), "course": course}
        is_of_then = self.in_past or self.in_cells
        if is_of_then:
            rows = self.graph.read("latest_progress_until", **of_whom, until=self.until.isoformat())
            latest_last = sorted(rows, key=lambda row: (row["at"], row["record"]))
        else:
            [found] = self.graph.read("latest_progress", **of_whom)
            known = {student: float(progress) for student, progress in found["progress"]}
            return dict.fromkeys(found["students"]) | known
        progress_of = dict[str, float | None].fromkeys(row["student"] for row in rows)
        for row in latest_last:
            if row["progress"] is not None:
                progress_of[row["student"]] = float(row["progress"])
        return progress_of

    def course_name(self, course: str) -> str | None:
        """Return the name of the course, or None if the course does not exist."""
        return next((row["name"] for row in self.graph.read("course_name", course=course)), None)

    def contacts(self, course: str) -> dict[str, list[datetime]]:
        """Return when teachers wrote to each student until `until`, in this course or without naming a course."""
        found: dict[str, list[datetime]] = defaultdict(list)
        until = self.until.isoformat()
        for row in self.graph.read(
            "contacts", students=list(self.students), course=course, until=until
        ):
            found[row["student"]].append(row["at"])
        return dict(found)

    def actions(self, course: str) -> list[TeacherAction]:
        """Return what teachers did about these students in a course until `until`, the latest first."""
        rows = self.graph.read(
            "actions", students=list(self.students), course=course, until=self.until.isoformat()
        )
        return [TeacherAction(**row) for row in rows]

    def records(
        self,
        course: str,
        point: str | None,
        item: str | None,
        limit: int,
        *,
        misconception: str | None = None,
    ) -> list[Row]:
        """Return attempts and mistakes with their texts, the latest first.

        With `misconception` only mistakes with this canonical sentence about what went wrong.
        """
        return self._of_students(
            "records", course, point=point, item=item, limit=limit, misconception=misconception
        )

    def misconceptions(self, course: str) -> list[Row]:
        """Return a row for each mistake and each sentence about it, with the points of the mistake."""
        return self._by_student("misconceptions", course)

    def judged_misconceptions(self, ids: Iterable[str]) -> list[Row]:
        """Return the pairs of sentences that reviewers judged, with at least one of these. A pair may come twice."""
        return self.graph.read("judged_misconceptions", ids=sorted(set(ids)))

    def message_records(self, course: str, of: str | None, limit: int) -> list[Row]:
        """Return messages and posts whose students are all permitted, the latest first.

        With `of` only those that this student sent or received, and the answers to posts of this student.
        """
        posts = self.posts(course)
        marks = [mark for mark, post in posts.items() if post.student == of]
        rows = self._of_students("message_records", course, of=of, marks=marks, limit=limit)
        for row in rows:
            answered = posts.get(row.pop("answers") or "")
            if answered is not None and answered.student != row["student"]:
                row["partner"] = answered.student
        return rows

    def post_records(self, course: str, thread: str | None, limit: int) -> list[Row]:
        """Return the posts with their texts, the latest first; with `thread` only those of this thread.

        `reply_to` is the answered post, or None if no permitted student wrote it.
        """
        rows = self._of_students("post_records", course, thread=thread, limit=limit)
        posts = self.posts(course)
        for row in rows:
            answered = posts.get(row.pop("answers") or "")
            row["reply_to"] = answered.record if answered is not None else None
        return rows

    def progress_records(self, course: str, limit: int) -> list[Row]:
        """Return the records of the progress of the students in a course, the latest first."""
        return self._of_students("progress_records", course, limit=limit)

    def text_records(self, course: str, limit: int) -> list[Row]:
        """Return the texts of a course by their titles, the latest first."""
        return self.graph.read("text_records", course=course, limit=limit)

    def needs_before(self, points: Iterable[str], least_confidence: float = 0.0) -> list[Need]:
        """Return the direct and indirect prerequisites of these points, each with the surest way to it.

        Steps with a confidence below `least_confidence` are not used. STEPS_BACK limits the length of a way.
        """
        ways: dict[tuple[str, str], Need] = {}  # (first point, last point) -> the surest way so far
        # (first point, last point) of a way -> its confidence, and the points after the first
        ahead: dict[tuple[str, str], tuple[float, tuple[Point, ...]]] = {}
        for point in points:
            ahead[point, point] = (1.0, ())
        for _ in range(STEPS_BACK):
            last_points = sorted({last for _, last in ahead})
            steps_of: dict[str, list[Need]] = defaultdict(list)
            for need in self.direct_needs(last_points):
                if need.confidence >= least_confidence:
                    steps_of[need.point].append(need)
            reached: dict[tuple[str, str], tuple[float, tuple[Point, ...]]] = {}
            for (first, last), (confidence, passed) in ahead.items():
                for step in steps_of[last]:
                    if step.needs.id == first:
                        continue  # synonyms may close a circle
                    pair = (first, step.needs.id)
                    confidence_of_way = confidence * step.confidence
                    if pair in ways and ways[pair].confidence >= confidence_of_way:
                        continue
                    way = (*passed, step.needs)
                    ways[pair] = Need(first, step.needs, confidence_of_way, way)
                    reached[pair] = (confidence_of_way, way)
            ahead = reached
        return list(ways.values())

    def all_needs(self, goal: Point, least_confidence: float) -> tuple[list[Need], bool]:
        """Return each step of the direct and indirect prerequisites of a point, and whether all of them were read."""
        needs: list[Need] = []
        reached = {goal.id}
        ahead = [goal.id]
        while ahead and len(reached) <= MAX_POINTS_BEFORE:
            steps = [
                need for need in self.direct_needs(ahead) if need.confidence >= least_confidence
            ]
            needs += steps
            ahead = sorted({need.needs.id for need in steps} - reached)
            reached.update(ahead)
        return needs, not ahead

    def _of_students(
        self, statement: str, course: str, **more: str | int | Sequence[str] | None
    ) -> list[Row]:
        return self.graph.read(
            statement, students=list(self.students), course=course, **self._times(), **more
        )

    def _by_student(self, statement: str, course: str, **more: bool | str) -> list[Row]:
        return self.graph.read_by_student(
            statement, self.students, course=course, **self._times(), **more
        )

    def _times(self) -> dict[str, str]:
        return {"since": (self.since or _BEGINNING).isoformat(), "until": self.until.isoformat()}


def _surest(rows: Iterable[Row]) -> list[Need]:
    """Return the direct prerequisites in these rows. If synonyms have the same one, the surest counts."""
    surest: dict[tuple[str, str], Need] = {}
    for row in rows:
        pair = (row["point"], row["needs"])
        if row["point"] == row["needs"]:
            continue
        confidence = float(row["confidence"] or 0.0)
        if pair not in surest or surest[pair].confidence < confidence:
            surest[pair] = Need(row["point"], Point(row["needs"], row["name"]), confidence)
    return list(surest.values())


def has_course_records(graph: Reader, course: str) -> bool:
    """Return whether there are records of the progress of students in a course.

    If there are, the students of these records are in the course. Otherwise the students with answers or mistakes
    are, so that questions also work for a school that imports answers only. Raises what `Graph.read` raises.
    """
    [found] = graph.read("students_of_course", course=course, limit=1)
    return bool(found["students"])


class LastRight(NamedTuple):
    """When students were last right: at an item by any attempt, at a point by a first attempt at one of its items."""

    at_items: dict[tuple[str, str], datetime]
    at_points: dict[tuple[str, str], datetime]

    def at(self, student: str, item: str | None, points: Iterable[str]) -> datetime | None:
        """Return the latest of these moments at the item or one of the points, or None if there is none."""
        found = [self.at_points.get((student, point)) for point in points]
        if item is not None:
            found.append(self.at_items.get((student, item)))
        return max((moment for moment in found if moment is not None), default=None)


class AnswersAtPoints(NamedTuple):
    """The first attempts, and all attempts, at the items of each point, by id of the point."""

    first: dict[str, Answers]
    all: dict[str, Answers]


def first_by_item(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the first of these attempts by student and item, in the order of their places."""
    first: dict[tuple[str, str], Attempt] = {}
    for attempt in sorted(attempts, key=lambda each: each.place):
        first.setdefault((attempt.student, attempt.item), attempt)
    return list(first.values())


def by_point(
    attempts: Iterable[Attempt], points: Mapping[str, list[Point]]
) -> dict[Point, dict[str, list[Attempt]]]:
    """Return the attempts by the points that their items test and by student, in the order of their places.

    An attempt at an item that tests two points stands at both.
    """
    found: dict[Point, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for attempt in sorted(attempts, key=lambda each: each.place):
        for point in points.get(attempt.item, ()):
            found[point][attempt.student].append(attempt)
    return {point: dict(of_students) for point, of_students in found.items()}


def counted(tries: Sequence[Attempt]) -> Attempts:
    """Return how many of these attempts were right and wrong. They must be in the order of their places."""
    right = sum(each.outcome >= HALF for each in tries)
    last = tries[-1]
    return Attempts(right, len(tries) - right, last.at, last.outcome >= HALF)


def _tries(reading: Reading) -> Tries:
    columns = reading.columns(TRIES_OF_STUDENTS)
    return Tries(reading.student_ids, columns["student"], columns["number"], columns["outcomes"])


def _point_tries(reading: Reading) -> PointTries:
    """Return the first attempts at the points of a course, and how many attempts there are."""
    columns = reading.columns(TRIES_AT_POINTS)
    numbers = _tries(reading).numbers
    [(without_point,)] = reading.rows(TRIES_WITHOUT_POINT)
    students, points, columns = _in_order(reading, columns)
    counts = Counts(
        columns["student"],
        columns["point"],
        columns["number_ever"],
        columns["right_ever"],
        columns["last"],
        columns["last_was_right"],
    )
    sums = Sums(columns["number"], columns["right"], columns["outcomes"], columns["first"])
    names = {point: reading.point_names[point] for point in points}
    all_tries = counts._replace(number=columns["tries"], right=columns["right_tries"])
    return PointTries(students, points, names, counts, sums, numbers, without_point, all_tries)


def _item_tries(reading: Reading) -> ItemTries:
    columns = reading.columns(FIRST_TRIES_AT_ITEMS)
    return ItemTries(
        list(reading.student_ids),
        list(reading.item_ids),
        columns["student"],
        columns["item"],
        columns["outcome"].astype(np.int64),
        columns["answer"],
    )


def _in_order(
    reading: Reading, columns: Mapping[str, Any]
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return the ids of the students and points, and the columns in the order of the ids of points and students.

    In these columns, students and points are numbered in the order of their ids.
    """
    students, student_places = _sorted_ids(reading.student, columns["student"])
    points, point_places = _sorted_ids(reading.point, columns["point"])
    # Each pair has one row, so the order of equal pairs does not matter. One key is sorted faster than two.
    order = np.argsort(point_places * len(students) + student_places)
    placed = {**columns, "student": student_places, "point": point_places}
    return students, points, {name: column[order] for name, column in placed.items()}


def _sorted_ids(id_of: Callable[[int], str], numbers: Integers) -> tuple[list[str], Integers]:
    """Return the ids of these numbers in their order, each once, and the place of the id of each number there."""
    # The numbers are small, so a table of all of them is made faster than they are sorted.
    known = np.flatnonzero(np.bincount(numbers))
    ordered = sorted((id_of(number), number) for number in known.tolist())
    places = np.zeros(numbers.max(initial=0) + 1, dtype=np.int64)
    for place, (_, number) in enumerate(ordered):
        places[number] = place
    return [node_id for node_id, _ in ordered], places[numbers]


def _cell(values: Sequence[Any]) -> Cell:
    """Return a cell of the values of a row of TRIES_OF_CELLS, whose time has no zone."""
    cell = Cell(*values)
    return cell._replace(last=cell.last.replace(tzinfo=UTC))


def _point(reading: Reading, number: int) -> Point:
    point = reading.point(number)
    return Point(point, reading.point_names[point])


def _ends_of(terms: Iterable[DatedTerm]) -> list[tuple[datetime, datetime]]:
    return [(term.starts, term.ends) for term in terms]


def as_term(row: Row) -> Term:
    return Term(row["starts"], row["ends"], breaks_of(row["breaks"] or ()))


def _last_minute(day: str, hours: Sequence[int], until: datetime) -> datetime | None:
    """Return the beginning of the last active minute of a day in UTC that does not come after `until`, or None.

    Bit n of a number in `hours` stands for minute n of the hour.
    """
    begins = datetime.combine(date.fromisoformat(day), time(), UTC)
    minutes_until = (until - begins) // timedelta(minutes=1)
    active = 0
    for hour, minutes in enumerate(hours):
        active |= minutes << 60 * hour
    if minutes_until < MINUTES_OF_DAY:
        active &= (1 << minutes_until + 1) - 1
    if active == 0:
        return None
    return begins + timedelta(minutes=active.bit_length() - 1)
