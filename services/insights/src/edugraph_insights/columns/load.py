"""Fill the tables of a course from the graph, and bring them up to date after changes of the graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import tee

from edugraph_common.runtime.shared_state.graph_changes import ALL_COURSES, GraphChange
from edugraph_insights.columns.course import CourseColumns, TestedPoint
from edugraph_insights.graph import Graph

# More changes of a course than this are not caught up with: reading the course again is faster.
MOST_CHANGES = 50
# A portion of students has at most this many attempts in all courses, unless one student has more.
ATTEMPTS_IN_PORTION = 50_000
STUDENTS_IN_PORTION = 500


def load(
    columns: CourseColumns,
    graph: Graph,
    course: str,
    students: Sequence[str],
    make_room: Callable[[], None],
) -> None:
    """Add the records of those students who are not held yet.

    Students who were added stay there if the graph does not answer for the others in time, so that the next question
    goes on from there. `make_room` is called after each portion.

    Raises what `Graph.read` raises, and what `make_room` raises.
    """
    missing = [each for each in students if each not in columns.held]
    if missing:
        # The words are read before the records. So a loss in between gives a student another word than this one.
        [found] = graph.read("students_of_columns", students=missing)
        words = dict(zip(found["students"], found["words"], strict=True))
        portions = portions_of(zip(found["students"], found["attempts"], strict=True))
        portions_of_errors, portions = tee(portions)
        with (
            closing(graph.read_columns("attempts_columns", portions, course=course)) as attempts,
            closing(
                graph.read_columns("errors_columns", portions_of_errors, course=course)
            ) as errors,
        ):
            for (portion, rows), (_, rows_of_errors) in zip(attempts, errors, strict=True):
                columns.add({each: words[each] for each in portion}, rows, rows_of_errors)
                make_room()
    if columns.has_new_items():
        read_tests(columns, graph)


def portions_of(students: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Yield the students in portions. Each student comes with the number of his or her attempts."""
    portion: list[str] = []
    in_portion = 0
    for student, attempts in students:
        has_too_many_attempts = in_portion + attempts > ATTEMPTS_IN_PORTION
        has_too_many_students = len(portion) == STUDENTS_IN_PORTION
        if portion and (has_too_many_attempts or has_too_many_students):
            yield portion
            portion = []
            in_portion = 0
        portion.append(student)
        in_portion += attempts
    if portion:
        yield portion


def read_tests(columns: CourseColumns, graph: Graph) -> None:
    """Read which points the items test, and the names of the points."""
    items = list(columns.items.ids)
    rows = graph.read("tested_points", items=items)
    columns.set_tests(items, [TestedPoint(**row) for row in rows])


def refresh(
    columns: CourseColumns, graph: Graph, course: str, changes: Sequence[GraphChange]
) -> bool:
    """Bring the tables up to date after these changes, or return False if they have to be read again.

    Raises what `Graph.read` raises. Then the same changes have to be given again. To apply them twice does no harm.
    """
    if not changes:
        return True
    words = []
    for change in changes:
        if course in change.courses or ALL_COURSES in change.courses:
            words.append(change.word)
    kinds = {change.kind for change in changes}
    if "whole" in kinds or len(words) > MOST_CHANGES:
        return False
    if words or "people" in kinds:
        # The tables also know students who lost something since and were not loaded again.
        known = list(columns.students.ids)
        [found] = graph.read("students_of_columns", students=known)
        is_somebody_gone = len(found["students"]) < len(known)
        if is_somebody_gone:
            return False
        # A later change, which need not be in the stream yet, may have replaced the word of a change by its own. So
        # the words of the changes do not tell who lost something, but a student who did has another word than before.
        word_of = dict(zip(found["students"], found["words"], strict=True))
        leaving = {who for who, word in columns.held.items() if word_of[who] != word}
        # DuckDB keeps the memory of deleted rows. So the tables are made again after an erasure, also if a new person
        # has the id by now.
        if leaving and "people" in kinds:
            return False
        rows = []
        errors = []
        if words:
            rows = graph.read("attempts_of_words", words=words, course=course)
            errors = graph.read("errors_of_words", words=words, course=course)
        columns.replace(leaving, rows, errors)
    # The items of this course can be in other courses, too.
    read_tests(columns, graph)
    return not columns.is_mostly_deleted()
