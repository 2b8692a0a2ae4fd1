"""Columns of mastery have, for each student and point, the mastery that is estimated for single students."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.mastery import Answers, Attempts, counts_of, mastery_of_students
from edugraph_insights.practice import PointTries, Sums, practice_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CLASS = {"p": Answers(30, 60), "q": Answers(50, 60)}
attempts = st.builds(
    Attempts,
    st.integers(0, 12),
    st.integers(1, 12),
    st.sampled_from([NOW, NOW - timedelta(days=200)]),
    st.booleans(),
)
pairs = st.tuples(st.sampled_from("pq"), st.sampled_from("abc"))


@given(st.dictionaries(pairs, attempts, min_size=1))
def test_each_view_of_the_columns_has_the_mastery_of_each_student(
    tried: dict[tuple[str, str], Attempts],
) -> None:
    """Out, each alone: the state in `not_mastered` and in `mastered`, UNSHOWN and the probability in `below`."""
    keys = sorted(tried)
    students = sorted({student for _, student in keys})
    points = sorted({point for point, _ in keys})
    of_students: dict[str, dict[str, Attempts]] = {}
    rows = []
    for point, student in keys:
        each = tried[point, student]
        rows.append((students.index(student), points.index(point), each))
        of_students.setdefault(student, {})[point] = each
    counts = counts_of(rows)
    names = {point: point.upper() for point in points}
    in_period = Sums(counts.number, counts.right, counts.right * 1000, counts.last)
    tries = PointTries(students, points, names, counts, in_period, {}, 0)
    practice = practice_of(tries, CLASS, CLASS, NOW)
    expected, _ = mastery_of_students(of_students, CLASS, NOW)

    number_of = {student: number for number, student in enumerate(students)}
    assert tries.numbers_of("cab").tolist() == [number_of.get(student, -1) for student in "cab"]
    for student in "abc":
        assert practice.mastery_of(student) == expected.get(student, {})
    not_mastered: dict[str, set[str]] = {}
    low: dict[str, list[str]] = {}
    for point, student in keys:
        known = expected[student][point]
        if known.state == "not mastered":
            not_mastered.setdefault(point, set()).add(student)
        is_shown = known.state != "too few for an estimate"
        if is_shown and known.probability is not None and known.probability < 0.5:
            low.setdefault(student, []).append(names[point])
    assert practice.not_mastered() == not_mastered
    assert practice.below(0.5) == low
    for point in "pq":
        at_point = {who: each[point] for who, each in expected.items() if point in each}
        assert practice.mastery_at(point) == at_point
    for tried_point in tries.tried_points():
        mastered = tries.ids(counts.students[practice.mastered(tried_point.rows)])
        here = [who for who in students if tried_point.id in expected.get(who, {})]
        assert mastered == [
            who for who in here if expected[who][tried_point.id].state == "mastered"
        ]
