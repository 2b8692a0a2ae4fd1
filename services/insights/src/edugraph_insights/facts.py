"""What questions read of the graph about the permitted students: attempts, points, mistakes, prerequisites."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from edugraph_common.contracts.mastery import Coefficients
from edugraph_common.contracts.records import HALF
from edugraph_insights.graph import Graph, Row
from edugraph_insights.mastery import Attempts, Mastery, mastery
from edugraph_insights.school_days import Term, breaks_of

MAX_POINTS_BEFORE = 500  # that one point needs, directly and by what that needs
MAX_POINTS_AROUND = 5_000  # of all pairs of which one asks whether they would close a cycle
STEPS_BACK = 4  # of prerequisites: what is needed for a point, what that needs, and so on
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Attempt(NamedTuple):
    """One try at an item. `outcome` is in thousandths; the smallest place is the first attempt."""

    student: str
    item: str
    at: datetime
    number: int
    record: str
    outcome: int
    title: str
    response: str | None

    @property
    def place(self) -> tuple[datetime, int, str]:
        return self.at, self.number, self.record


class Point(NamedTuple):
    id: str
    name: str


class Need(NamedTuple):
    """That a point needs another first. `confidence` of a longer way is the product of its steps.

    `way` are the points that the way passes, from what the point needs directly to `needs`.
    """

    point: str
    needs: Point
    confidence: float
    way: tuple[Point, ...] = ()


class Claim(NamedTuple):
    """That a text, by its title, or a definition, by its id, says what a point needs first."""

    title: str
    confidence: float


class Use(NamedTuple):
    """Which courses have a point, and how many records name it."""

    courses: tuple[str, ...]
    records: int


@dataclass(frozen=True)
class Facts:
    """The graph as one question may see it: of `students` alone, from `since` until `until`.

    `coefficients` are those of mastery. `outsiders` is the number of students of the group who are not in the course:
    nothing of theirs is read.

    Every method raises what `Graph.read` raises.
    """

    graph: Graph
    students: tuple[str, ...]
    since: datetime | None
    until: datetime
    coefficients: Coefficients = field(default_factory=Coefficients)
    term: Term | None = None  # the one that was asked for
    in_past: bool = False  # whether standings are those at the end of the time, and not the latest
    outsiders: int = 0
    beside: "Facts | None" = None  # those of the other group, where two are compared

    def attempts(self, course: str, *, responses: bool = False) -> list[Attempt]:
        """Return all attempts in a course until the end of the time, also earlier ones than its beginning."""
        rows = self.graph.read_by_student(
            "attempts",
            self.students,
            course=course,
            until=self.until.isoformat(),
            responses=responses,
        )
        return [Attempt(**row) for row in rows]

    def first_attempts(self, course: str, *, responses: bool = False) -> list[Attempt]:
        """Return of each student the first attempt at each item of a course, where it falls into the time."""
        return self.first_of(self.attempts(course, responses=responses))

    def first_of(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Return the same of attempts that were read before."""
        first: dict[tuple[str, str], Attempt] = {}
        for attempt in sorted(attempts, key=lambda each: each.place):
            first.setdefault((attempt.student, attempt.item), attempt)
        return [each for each in first.values() if self.since is None or each.at >= self.since]

    def tested_points(self, items: Iterable[str]) -> dict[str, list[Point]]:
        """Return which points items test; an item that tests none is not in it."""
        found: dict[str, list[Point]] = defaultdict(list)
        for row in self.graph.read("tested_points", items=sorted(set(items))):
            found[row["item"]].append(Point(row["point"], row["name"]))
        return dict(found)

    def mastery_by_student(self, tried: Mapping[Point, dict[str, list[Attempt]]]) -> dict[str, dict[str, Mastery]]:
        """Return the mastery of each student of each point that the student tried."""
        counts: dict[str, dict[str, Attempts]] = defaultdict(dict)
        for point, of_students in tried.items():
            for student, tries in of_students.items():
                counts[student][point.id] = counted(tries)
        return {student: mastery(mine, self.until, self.coefficients) for student, mine in counts.items()}

    def mistakes(self, course: str) -> list[Row]:
        """Return a row for each mistake and point behind it, or with `point` None where none is known."""
        return self._by_student("mistakes", course)

    def messages(self, course: str) -> list[Row]:
        return self._by_student("messages", course)

    def mistake_types(self, course: str) -> list[Row]:
        """Return a row for each mistake and type of it, of those that have a type."""
        return self._by_student("mistake_types", course)

    def moods(self, course: str) -> list[Row]:
        """Return a row for each text of a student and topic of it, or with `topic` None where it has none."""
        return self._by_student("moods", course)

    def ties(self, course: str) -> list[Row]:
        """Return a row for each two of the students of whom one wrote to the other or liked what they wrote."""
        return self._of_students("ties", course)

    def last_activity(self, course: str) -> dict[str, date]:
        """Return the last day on which each student did something in the course, whenever the time begins."""
        found = {}
        until = self.until.isoformat()
        for row in self.graph.read(
            "last_activity", students=list(self.students), course=course, until=until, day=until[:10]
        ):
            days = [row["at"].date()] if row["at"] else []
            days += [date.fromisoformat(row["day"])] if row["day"] else []
            if days:
                found[row["student"]] = max(days)
        return found

    def terms(self) -> tuple[Term, ...]:
        """Return the term that was asked for, or else all of the school."""
        if self.term is not None:
            return (self.term,)
        return tuple(as_term(row) for row in self.graph.read("terms"))

    def point_called(self, ids: Iterable[str]) -> Point | None:
        """Return the point that stands for the first of these that is one."""
        rows = {row["called"]: row for row in self.graph.read("points_called", ids=list(ids))}
        return next((Point(rows[each]["point"], rows[each]["name"]) for each in ids if each in rows), None)

    def findings(self, course: str, *, reviewed: bool = False) -> list[Row]:
        """Return the mistakes in which something was found, as it was; with `reviewed`, those with a verdict."""
        return self._by_student("findings", course, reviewed=reviewed)

    def said_of_items(self, items: Iterable[str]) -> list[Row]:
        """Return what records and reviewers say that items test, or do not; `verdict` is null where only records do.

        `canonical` stands for all points that mean the same as the one that was named.
        """
        rows = self.graph.read("said_of_items", items=sorted(set(items)))
        return [{**row, "verdict": row["stamp"] and row["stamp"].rpartition("|")[2]} for row in rows]

    def standing_for(self, points: Iterable[str]) -> dict[str, str]:
        """Return of each of these points that is there the one that stands for all that mean the same."""
        return {row["called"]: row["point"] for row in self.graph.read("points_called", ids=sorted(set(points)))}

    def texts_of(self, course: str) -> list[Row]:
        return self.graph.read("texts_of_course", course=course)

    def points_of(self, course: str) -> set[str]:
        return {row["point"] for row in self.graph.read("points_of_course", course=course)}

    def taught_points(self, course: str) -> list[Point]:
        """Return the points that the texts of a course teach."""
        return [Point(row["point"], row["name"]) for row in self.graph.read("points_taught", course=course)]

    def direct_needs(self, points: Iterable[str]) -> list[Need]:
        """Return what these points need first, without what that needs.

        Of points that were judged the same, each may need it: the surest counts, as with two texts that say it.
        """
        surest: dict[tuple[str, str], Need] = {}
        for row in self.graph.read("prerequisites", points=sorted(set(points))):
            pair, confidence = (row["point"], row["needs"]), float(row["confidence"] or 0.0)
            if row["point"] != row["needs"] and (pair not in surest or surest[pair].confidence < confidence):
                surest[pair] = Need(row["point"], Point(row["needs"], row["name"]), confidence)
        return list(surest.values())

    def needs_around(self, points: Iterable[str]) -> tuple[dict[str, list[Need]], bool]:
        """Return by point what these points need, and what that needs, however far away; and whether that is all."""
        needs: dict[str, list[Need]] = defaultdict(list)
        reached, ahead = set(points), sorted(set(points))
        while ahead and len(reached) <= MAX_POINTS_AROUND:
            for need in self.direct_needs(ahead):
                needs[need.point].append(need)
            ahead = sorted({need.needs.id for point in ahead for need in needs.get(point, ())} - reached)
            reached.update(ahead)
        return needs, not ahead

    def proposed_same(self, points: Iterable[str]) -> list[Row]:
        """Return the pairs that may mean the same of which one is among these points, each once."""
        rows = self.graph.read("proposed_same", points=sorted(set(points)))
        return list({frozenset((row["one"], row["other"])): row for row in rows}.values())

    def excluded_prerequisites(self, points: Iterable[str]) -> list[Row]:
        return self.graph.read("excluded_prerequisites", points=sorted(set(points)))

    def claims(self, points: Iterable[str]) -> dict[tuple[str, str], list[Claim]]:
        """Return by (point, what it needs) who claims it, in the order of their titles."""
        found: dict[tuple[str, str], list[Claim]] = defaultdict(list)
        for row in self.graph.read("claims_of_points", points=sorted(set(points))):
            for needed, confidence in zip(row["requires"], row["confidence"], strict=True):
                found[row["point"], needed].append(Claim(row["title"], confidence))
        return {pair: sorted(claims) for pair, claims in found.items()}

    def accepted_needs(self, points: Iterable[str]) -> set[tuple[str, str]]:
        """Return (point, what it needs) of what reviewers accepted of these points, by what stands for each."""
        rows = self.graph.read("accepted_prerequisites", points=sorted(set(points)))
        return {(row["point"], row["needs"]) for row in rows}

    def are_claims_settled(self) -> bool:
        """Return whether the prerequisites are those of all claims and verdicts by now."""
        return not self.graph.read("unsettled_claims")

    def uses(self, course: str, points: Iterable[str]) -> dict[str, Use]:
        """Return how these points are used by this name alone: of mistakes, those of the students in this course."""
        ids = sorted(set(points))
        mistakes = {row["point"]: row["mistakes"] for row in self._of_students("mistakes_naming", course, points=ids)}
        return dict.fromkeys(ids, Use((), 0)) | {
            row["point"]: Use(tuple(sorted(row["courses"])), row["records"] + mistakes.get(row["point"], 0))
            for row in self.graph.read("use_of_points", points=ids)
        }

    def comparison(self) -> tuple[int, str | None] | None:
        """Return of how many points which encoder told, None if there was none; None before any comparison."""
        return next(((row["compared"], row["encoder"]) for row in self.graph.read("comparison")), None)

    def names(self) -> dict[str, str]:
        """Return what the students are called, those of whom a record says it."""
        rows = self.graph.read("names", students=list(self.students))
        return {row["student"]: row["name"] for row in rows if row["name"]}

    def progress(self, course: str) -> dict[str, float]:
        """Return the progress of those students of whom a record gives it."""
        return {student: progress for student, progress in self.standing(course).items() if progress is not None}

    def standing(self, course: str) -> dict[str, float | None]:
        """Return those students who are in the course, with their progress, None where no record gives it."""
        of_whom = {"students": list(self.students), "course": course}
        if not self.in_past:
            rows = self.graph.read("standing", **of_whom)
            return {row["student"]: None if row["progress"] is None else float(row["progress"]) for row in rows}
        told = self.graph.read("standing_until", **of_whom, until=self.until.isoformat())
        standing = dict[str, float | None].fromkeys(row["student"] for row in told)
        for row in sorted(told, key=lambda each: (each["at"], each["record"])):
            if row["progress"] is not None:
                standing[row["student"]] = float(row["progress"])
        return standing

    def course_name(self, course: str) -> str | None:
        """Return None where there is no such course."""
        return next((row["name"] for row in self.graph.read("course_name", course=course)), None)

    def contacts(self, course: str) -> dict[str, list[datetime]]:
        """Return when teachers wrote to each student, in this course or in none, until the end of the time."""
        found: dict[str, list[datetime]] = defaultdict(list)
        until = self.until.isoformat()
        for row in self.graph.read("contacts", students=list(self.students), course=course, until=until):
            found[row["student"]].append(row["at"])
        return dict(found)

    def records(self, course: str, point: str | None, item: str | None, limit: int) -> list[Row]:
        """Return attempts and mistakes, the latest first, with their texts."""
        return self._of_students("records", course, point=point, item=item, limit=limit)

    def message_records(self, course: str, of: str | None, limit: int) -> list[Row]:
        """Return messages of which all students are among these, of one of them if it is given, the latest first."""
        return self._of_students("message_records", course, of=of, limit=limit)

    def progress_records(self, course: str, limit: int) -> list[Row]:
        """Return what records say of how the students stand in a course, the latest first."""
        return self._of_students("progress_records", course, limit=limit)

    def text_records(self, course: str, limit: int) -> list[Row]:
        """Return the texts of a course by their titles, the latest first."""
        return self.graph.read("text_records", course=course, limit=limit)

    def needs_before(self, points: Iterable[str], least_confidence: float = 0.0) -> list[Need]:
        """Return all that these points need, directly and by what that needs, with the surest way to each.

        A single step that is less sure than `least_confidence` is in no way.
        """
        ways: dict[tuple[str, str], Need] = {}
        # (where it began, where it is) -> how sure it is so far, and what it passed
        ahead: dict[tuple[str, str], tuple[float, tuple[Point, ...]]] = {
            (point, point): (1.0, ()) for point in points
        }
        for _ in range(STEPS_BACK):
            places = sorted({place for _, place in ahead})
            steps = defaultdict(list)
            for need in self.direct_needs(places):
                if need.confidence >= least_confidence:
                    steps[need.point].append(need)
            reached: dict[tuple[str, str], tuple[float, tuple[Point, ...]]] = {}
            for (begun, place), (confidence, passed) in ahead.items():
                for step in steps[place]:
                    sure = confidence * step.confidence
                    pair = (begun, step.needs.id)
                    if begun == step.needs.id:
                        continue  # points that were judged the same may close a circle
                    if pair not in ways or ways[pair].confidence < sure:
                        way = (*passed, step.needs)
                        ways[pair] = Need(begun, step.needs, sure, way)
                        reached[pair] = sure, way
            ahead = reached
        return list(ways.values())

    def all_needs(self, goal: Point, least_confidence: float) -> tuple[list[Need], bool]:
        """Return each single step of what a point needs, however far away, and whether that is all of it."""
        needs: list[Need] = []
        reached, ahead = {goal.id}, [goal.id]
        while ahead and len(reached) <= MAX_POINTS_BEFORE:
            steps = [need for need in self.direct_needs(ahead) if need.confidence >= least_confidence]
            needs += steps
            ahead = sorted({need.needs.id for need in steps} - reached)
            reached |= set(ahead)
        return needs, not ahead

    def _of_students(self, statement: str, course: str, **more: str | int | Sequence[str] | None) -> list[Row]:
        return self.graph.read(statement, students=list(self.students), course=course, **self._times(), **more)

    def _by_student(self, statement: str, course: str, **more: bool) -> list[Row]:
        return self.graph.read_by_student(statement, self.students, course=course, **self._times(), **more)

    def _times(self) -> dict[str, str]:
        return {"since": (self.since or _BEGINNING).isoformat(), "until": self.until.isoformat()}


def has_standings(graph: Graph, course: str) -> bool:
    """Whether records say how students stand in a course.

    Then those of whom they say it are in it, and otherwise who has answers or mistakes there: whoever imports answers
    alone asks about them, too. Raises what `Graph.read` raises.
    """
    return bool(graph.read("students_of_course", course=course, limit=1))


def by_point(attempts: Iterable[Attempt], points: Mapping[str, list[Point]]) -> dict[Point, dict[str, list[Attempt]]]:
    """Return the attempts at the items that test a point, of each student who made any, in the order of their places.

    An attempt at an item that tests two points stands at both.
    """
    found: dict[Point, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for attempt in sorted(attempts, key=lambda each: each.place):
        for point in points.get(attempt.item, ()):
            found[point][attempt.student].append(attempt)
    return {point: dict(of_students) for point, of_students in found.items()}


def counted(tries: Sequence[Attempt]) -> Attempts:
    """Return how many of these attempts, in the order of their places, were right and wrong."""
    right = sum(each.outcome >= HALF for each in tries)
    return Attempts(right, len(tries) - right, tries[-1].at)


def as_term(row: Row) -> Term:
    return Term(row["starts"], row["ends"], breaks_of(row["breaks"] or ()))


def wrong_share(attempts: list[Attempt]) -> float:
    """Return which share of these attempts was wrong. A partly right one counts by its outcome."""
    return 1 - sum(each.outcome for each in attempts) / len(attempts) / 1000
