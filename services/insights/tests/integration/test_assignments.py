"""The questions for missing work and for used help answer what the records say. The reference never asks the graph."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_cli.synthetic_school import School
from edugraph_common.contracts.records import Record, Withdrawal, parse_record
from edugraph_common.runtime.service.problems import Refusal
from edugraph_importer.graph import RecordBatch
from edugraph_insights.insights import Insights

from .schools import EXAMPLES, NOW, asked, caller, of

STUDENTS = ["s0", "s1", "s2", "s3"]
GROUPS = {"g": "C", "h": "C", "home": None}
DUE = [
    None,
    "2026-03-10",
    "2026-03-10T23:59:00+08:00",
    "2026-03-12T12:00:00Z",
    "2026-07-01",
]
# Beside the due dates: the last and the first moment around each of them.
TRIED = [
    "2026-03-09T12:00:00Z",
    "2026-03-10T15:59:00Z",
    "2026-03-10T15:59:00.000001Z",
    "2026-03-10T23:59:59.999999Z",
    "2026-03-11T00:00:00Z",
    "2026-03-12T20:00:00+08:00",
    "2026-03-12T12:00:00.000001Z",
]
STARTS = [None, "2026-03-01", "2026-03-11"]
# The second end is the moment of a due date: a member until then is not a member at it.
ENDS = [None, "2026-03-10T23:59:00+08:00", "2026-03-12"]

student = st.sampled_from(STUDENTS)
item = st.sampled_from(["i", "j"])
course = st.sampled_from(["C", "C", "D"])
targets: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(lambda name: {"assigned_to": "course", "course_id": name}, course),
    st.builds(
        lambda group, name: {"assigned_to": "group", "group_id": group, "course_id": name},
        st.sampled_from(list(GROUPS)),
        st.none() | course,
    ),
)


def record(kind: str, number: int | str, at: str, **data: Any) -> Record:
    return parse_record(
        {
            "type": kind,
            "timestamp": at,
            "record_id": f"r{number}",
            "data": {name: value for name, value in data.items() if value is not None},
        }
    )


@st.composite
def classes(draw: st.DrawFn) -> tuple[list[Record], list[str]]:
    """Records of a class, some with a second version, and the ids of those that are withdrawn."""
    values: list[tuple[str, str, dict[str, Any]]] = []
    data: dict[str, Any]
    for who, where in draw(st.sets(st.tuples(student, st.sampled_from(["C", "D"])), min_size=3)):
        enrolled = draw(st.sampled_from([None, None, "2026-03-01", "2026-03-11"]))
        first = draw(st.sampled_from(["2026-03-01", "2026-03-11"]))
        data = {"student_id": who, "course_id": where, "enrollment_date": enrolled}
        values.append(("course_record", first, data))
    places = st.tuples(student, st.sampled_from(list(GROUPS)), st.sampled_from(STARTS))
    for who, group, starts in draw(st.sets(places, max_size=6)):
        data = {"student_id": who, "group_id": group, "course_id": GROUPS[group]}
        later = ENDS if starts != "2026-03-11" else [None, "2026-03-12"]
        data |= {"starts": starts, "ends": draw(st.sampled_from(later))}
        values.append(("membership_record", "2026-03-01", data))
    for _ in range(draw(st.integers(1, 6))):
        data = {"item_id": draw(item), "due_at": draw(st.sampled_from(DUE)), **draw(targets)}
        values.append(("item_record", draw(st.sampled_from(["2026-03-01", "2026-03-02"])), data))
    for _ in range(draw(st.integers(0, 12))):
        data = {"student_id": draw(student), "item_id": draw(item)}
        data |= {"course_id": draw(st.none() | course)}
        data |= {"hints": draw(st.none() | st.integers(0, 2))}
        data |= {"late": draw(st.sampled_from([None, None, True, False]))}
        data |= draw(
            st.sampled_from([{"response": "An essay."}, {"score": 0.5}, {"correct": True}])
        )
        values.append(("attempt_record", draw(st.sampled_from(TRIED)), data))
    records = [record(kind, number, at, **data) for number, (kind, at, data) in enumerate(values)]
    changed = draw(st.lists(st.sampled_from(of(records, "item_record")), max_size=2))
    for each in {old.record_id: old for old in changed}.values():
        data = {"item_id": each.data.item_id, "due_at": draw(st.sampled_from(DUE)), **draw(targets)}
        records.append(record("item_record", each.record_id[1:], "2026-03-03", **data))
    ids = st.sampled_from([each.record_id for each in records])
    return records, draw(st.lists(ids, max_size=2, unique=True))


def written(room: Room, records: Sequence[Record], withdrawn: Iterable[str] = ()) -> None:
    room.empty()
    lines = list(enumerate(records, start=1))
    taken_back = tuple(
        (line, Withdrawal(record_id=each)) for line, each in enumerate(withdrawn, start=1)
    )
    room.graph.write_batch(RecordBatch("job", 0, lines, (), len(lines)))
    room.graph.write_batch(RecordBatch("back", 0, [], (), len(taken_back), taken_back))


# --- the reference ----------------------------------------------------------------------------------------------------


def that_count(records: Iterable[Record], withdrawn: Iterable[str]) -> list[Record]:
    """The latest version of each record, without those that are withdrawn, in the order of time and id."""
    latest: dict[str, Record] = {}
    for each in records:
        old = latest.get(each.record_id)
        if old is None or old.timestamp < each.timestamp:
            latest[each.record_id] = each
    left = [each for each in latest.values() if each.record_id not in set(withdrawn)]
    return sorted(left, key=lambda each: (each.timestamp, each.record_id))


def is_in(data: Any, course: str) -> bool:
    return data.course_id in (None, course)


def is_due_of_group(data: Any, course: str, courses_of_groups: dict[str, set[str]]) -> bool:
    if data.course_id is not None:
        return bool(data.course_id == course)
    return course in courses_of_groups[data.group_id]


def joined(records: Sequence[Record], who: str, course: str, moment: datetime) -> bool | None:
    standings = [
        each
        for each in of(records, "course_record")
        if (each.data.student_id, each.data.course_id) == (who, course)
    ]
    [enrolled] = {each.data.enrollment_date for each in standings}
    if enrolled is not None:
        return bool(enrolled <= moment)
    return True if standings[0].timestamp <= moment else None


class Asked(NamedTuple):
    """The course, the students and the period of a question."""

    course: str
    students: set[str]
    since: datetime = datetime(1, 1, 1, tzinfo=UTC)
    until: datetime = NOW


Place = tuple[str, str | None]  # an item, and the group that it is assigned to


def due_dates(records: Sequence[Record], asked_for: Asked) -> dict[Place, datetime]:
    courses_of_groups: dict[str, set[str]] = defaultdict(set)
    for each in of(records, "membership_record"):
        if each.data.course_id:
            courses_of_groups[each.data.group_id].add(each.data.course_id)
    of_item: dict[str, datetime] = {}
    decided: dict[Place, Any] = {}
    for each in of(records, "item_record"):
        data = each.data
        if data.assigned_to is None and data.due_at:
            of_item[data.item_id] = data.due_at
        elif data.assigned_to == "group":
            decided[data.item_id, data.group_id] = data
        elif data.assigned_to == "course" and data.course_id == asked_for.course:
            decided[data.item_id, None] = data
    due: dict[Place, datetime] = {}
    for place, data in decided.items():
        moment = data.due_at or of_item.get(data.item_id)
        if data.assigned_to == "group" and not is_due_of_group(
            data, asked_for.course, courses_of_groups
        ):
            continue
        if moment is not None and asked_for.since <= moment <= asked_for.until:
            due[place] = moment
    return due


def members_at(records: Sequence[Record], group: str, moment: datetime) -> set[str]:
    return {
        each.data.student_id
        for each in of(records, "membership_record")
        if each.data.group_id == group
        and (each.data.starts is None or each.data.starts <= moment)
        and (each.data.ends is None or moment < each.data.ends)
    }


def state_of(
    records: Sequence[Record], who: str, item_id: str, due_at: datetime, asked_for: Asked
) -> str | None:
    """Return the state, or None if no student of the question has an attempt at the item."""
    at_item = [
        each
        for each in of(records, "attempt_record")
        if each.data.item_id == item_id
        and is_in(each.data, asked_for.course)
        and each.data.student_id in asked_for.students
        and each.timestamp <= asked_for.until
    ]
    tries = [each for each in at_item if each.data.student_id == who]
    late = [each.timestamp > due_at if each.data.late is None else each.data.late for each in tries]
    if tries:
        return "late" if all(late) else "handed_in"
    return "not_handed_in" if at_item else None


def handed_in(records: Sequence[Record], asked_for: Asked) -> dict[Place, dict[str, Any]]:
    due = due_dates(records, asked_for)
    there: dict[Place, dict[str, bool | None]] = {}
    for (item_id, group), moment in due.items():
        if group is not None:
            members = members_at(records, group, moment) & asked_for.students
            there[item_id, group] = dict.fromkeys(members, True)
    for (item_id, group), moment in due.items():
        if group is None:
            in_a_group = {who for place in there if place[0] == item_id for who in there[place]}
            there[item_id, None] = {
                who: joined(records, who, asked_for.course, moment)
                for who in asked_for.students - in_a_group
            }
    found: dict[Place, dict[str, Any]] = {}
    for place, students in there.items():
        states: dict[str, list[str]] = defaultdict(list)
        for who, was_there in sorted(students.items()):
            state = state_of(records, who, place[0], due[place], asked_for)
            if was_there is None and state == "not_handed_in":
                state = None
            if was_there is not False:
                states[state or "unknown"].append(who)
        if states:
            found[place] = {
                "due_at": due[place],
                "students": sum(map(len, states.values())),
                "handed_in": len(states["handed_in"]),
                "late": len(states["late"]),
                "not_handed_in": len(states["not_handed_in"]),
                "unknown": len(states["unknown"]),
                "missing": tuple(states["not_handed_in"]),
                "late_students": tuple(states["late"]),
                "unknown_students": tuple(states["unknown"]),
            }
    return found


def help_used(
    records: Sequence[Record], course: str, students: set[str]
) -> dict[tuple[str, str], tuple[int, int, int, float]]:
    hints: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in of(records, "attempt_record"):
        data = each.data
        if data.course_id == course and data.student_id in students and data.hints is not None:
            hints[data.student_id, data.item_id].append(data.hints)
    return {
        key: (
            len(each),
            len(each) - each.count(0),
            sum(each),
            (len(each) - each.count(0)) / len(each),
        )
        for key, each in hints.items()
    }


def students_of(records: Sequence[Record], course: str) -> set[str]:
    return {
        each.data.student_id
        for each in of(records, "course_record")
        if each.data.course_id == course
    }


def rows_of(answer: Any) -> dict[tuple[str, str | None], dict[str, Any]]:
    found = {}
    for row in answer.rows:
        shown = row.model_dump()
        for name in ("item", "name", "group", "evidence"):
            del shown[name]
        found[row.item, row.group] = shown
    return found


# --- the questions ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@EXAMPLES
@given(made=classes())
def test_the_two_questions_equal_the_reference(
    room: Room, insights: Insights, made: tuple[list[Record], list[str]]
) -> None:
    """Out, each alone: `is_at`, `was_there`, `late` in `is_late`, `due_of_item`, the order of `latest`, `stated`, the course
    in `hand_ins`, and `has_in_group`.
    """
    records, withdrawn = made
    written(room, records, withdrawn)
    left = that_count(records, withdrawn)
    for name in ("C", "D"):
        students = students_of(left, name)
        if not students:
            continue
        answer = asked(insights, "handed-in", course=name)
        assert rows_of(answer) == handed_in(left, Asked(name, students))
        assert answer.of_how_many["students"] == len(students)
        since = datetime(2026, 3, 11, tzinfo=UTC)
        answer = asked(insights, "handed-in", course=name, since=since)
        assert rows_of(answer) == handed_in(left, Asked(name, students, since=since))
        until = datetime(2026, 3, 10, 23, 59, 59, 999_999, tzinfo=UTC)
        answer = asked(insights, "handed-in", course=name, until=until)
        assert rows_of(answer) == handed_in(left, Asked(name, students, until=until))

        answer = asked(insights, "help-used", course=name)
        assert {
            (row.student, row.item): (row.attempts, row.attempts_with_help, row.hints, row.share)
            for row in answer.rows
        } == help_used(left, name, students)


def essay(number: str, at: str = "2026-03-01", **data: Any) -> Record:
    return record("item_record", number, at, **{"item_id": "i", "course_id": "C", **data})


def in_course(*students: str) -> list[Record]:
    return [
        record("course_record", f"c-{who}", "2026-03-01", student_id=who, course_id="C")
        for who in students
    ]


def member(who: str, group: str, starts: str | None = None, ends: str | None = None) -> Record:
    data = {"student_id": who, "group_id": group, "course_id": "C", "starts": starts, "ends": ends}
    return record("membership_record", f"m-{who}-{group}", "2026-03-01", **data)


def answered(who: str, at: str, **data: Any) -> Record:
    given = {"student_id": who, "item_id": "i", "course_id": "C", "response": "An essay."}
    return record("attempt_record", f"a-{who}", at, **{**given, **data})


def states(answer: Any) -> dict[str | None, tuple[int, int, tuple[str, ...]]]:
    return {row.group: (row.handed_in, row.late, row.missing) for row in answer.rows}


def test_who_changes_the_group_is_asked_where_they_were_when_it_was_due(
    room: Room, insights: Insights
) -> None:
    """`s1` was in g when it was due there, and left h before it was due there. The course has the others."""
    records = [
        *in_course("s0", "s1", "s2"),
        member("s0", "g"),
        member("s1", "g", ends="2026-03-11T00:00:00Z"),
        member("s1", "h", starts="2026-03-11T00:00:00Z", ends="2026-03-12"),
        essay("1", assigned_to="group", group_id="g", due_at="2026-03-10"),
        essay("2", assigned_to="group", group_id="h", due_at="2026-03-12"),
        essay("3", assigned_to="course", due_at="2026-03-09"),
        answered("s0", "2026-03-10T23:59:59Z"),
    ]
    written(room, records)
    answer = asked(insights, "handed-in", course="C")
    assert states(answer) == {"g": (1, 0, ("s1",)), None: (0, 0, ("s2",))}
    assert answer.left_out == {"assignments that no student of the question had to hand in": 1}


def test_a_group_has_its_own_assignments_and_those_of_the_course(
    room: Room, insights: Insights
) -> None:
    """Out: `asked.group` in `find`. A member of another group, too, is asked for its assignments only there."""
    records = [
        *in_course("s0"),
        member("s0", "g"),
        member("s0", "h"),
        essay("1", assigned_to="group", group_id="g", due_at="2026-03-10"),
        essay("2", item_id="j", assigned_to="group", group_id="h", due_at="2026-03-10"),
        essay("3", item_id="k", assigned_to="course", due_at="2026-03-10"),
        essay("4", item_id="l", due_at="2026-03-10"),
    ]
    written(room, records)
    answer = asked(insights, "handed-in", course="C", group="g")
    assert {(row.item, row.group) for row in answer.rows} == {("i", "g"), ("k", None)}
    answer = asked(insights, "handed-in", course="C")
    assert {row.item for row in answer.rows} == {"i", "j", "k"}


def test_a_changed_due_date_and_a_withdrawn_item(room: Room, insights: Insights) -> None:
    records = [*in_course("s0"), answered("s0", "2026-03-11")]
    first = essay("1", assigned_to="course", due_at="2026-03-10")
    written(room, [*records, first])
    assert states(asked(insights, "handed-in", course="C")) == {None: (0, 1, ())}
    later = essay("1", "2026-03-12", assigned_to="course", due_at="2026-03-12")
    written(room, [*records, later, first])
    assert states(asked(insights, "handed-in", course="C")) == {None: (1, 0, ())}
    without = essay("1", "2026-03-12", assigned_to="course")
    written(room, [*records, first, without])
    answer = asked(insights, "handed-in", course="C")
    assert (answer.rows, answer.left_out) == ((), {"assignments without a due date": 1})
    written(room, [*records, first], ["r1"])
    answer = asked(insights, "handed-in", course="C")
    assert (answer.rows, answer.left_out) == ((), {})


def test_nobody_is_named_to_whom_may_not_see_them(room: Room, insights: Insights) -> None:
    """Out: `self.students` in `group_members` (let it read all members)."""
    records = [
        *in_course("s0", "s1"),
        member("s0", "g"),
        member("s1", "h"),
        record("membership_record", "t", "2026-03-01", teacher_id="t", group_id="g", course_id="C"),
        essay("1", assigned_to="group", group_id="g", due_at="2026-03-10"),
        essay("2", assigned_to="group", group_id="h", due_at="2026-03-10"),
        essay("3", assigned_to="course", due_at="2026-03-11"),
        answered("s1", "2026-03-10", hints=1),
    ]
    written(room, records)
    teacher = caller("teacher", person="t")
    answer = asked(insights, "handed-in", teacher, course="C")
    [row] = answer.rows
    assert (row.group, row.unknown_students, row.missing) == ("g", ("s0",), ())
    assert "s1" not in answer.model_dump_json()
    assert asked(insights, "help-used", teacher, course="C").rows == ()
    pupil = caller("student", person="s0")
    assert asked(insights, "help-used", pupil, course="C").rows == ()
    with pytest.raises(Refusal):
        asked(insights, "handed-in", pupil, course="C")
    for role in ("analyst", "counsellor", "officer"):
        for question in ("handed-in", "help-used"):
            with pytest.raises(Refusal):
                asked(insights, question, caller(role), course="C")


def test_as_of_a_day_nothing_later_is_known(room: Room, insights: Insights) -> None:
    records = [
        *in_course("s0", "s1"),
        essay("1", assigned_to="course", due_at="2026-03-10"),
        answered("s0", "2026-03-11"),
    ]
    written(room, records)
    [row] = asked(insights, "handed-in", course="C", as_of=date(2026, 3, 10)).rows
    assert (row.unknown, row.late, row.not_handed_in) == (2, 0, 0)
    [row] = asked(insights, "handed-in", course="C", as_of=date(2026, 3, 11)).rows
    assert (row.unknown, row.late, row.missing) == (0, 1, ("s1",))
    assert asked(insights, "handed-in", course="C", as_of=date(2026, 3, 9)).rows == ()


def test_missing_work_and_used_help_of_a_synthetic_school_equal_the_reference(
    room: Room, insights: Insights
) -> None:
    """Out: `assigned_to` of the homework, `late` or the hints of the attempts, or the items without hints."""
    of_courses = {"attempt_record", "course_record", "membership_record"}
    records = []
    for value in School(60, 2, 4_000).records():
        is_read = value["type"] in of_courses or "assigned_to" in value["data"]
        if is_read and datetime.fromisoformat(value["timestamp"]) <= NOW:
            records.append(parse_record(value))
    written(room, records)
    left = that_count(records, ())
    courses = {each.data.course_id for each in of(left, "item_record")}
    seen: Counter[str] = Counter()
    for name in sorted(courses):
        students = students_of(left, name)
        if not students:
            continue
        answer = asked(insights, "handed-in", course=name)
        assert rows_of(answer) == handed_in(left, Asked(name, students))
        for row in answer.rows:
            seen["of a group" if row.group else "of a course"] += 1
            for state in ("handed_in", "late", "not_handed_in"):
                seen[state] += getattr(row, state)
        answer = asked(insights, "help-used", course=name)
        assert {
            (row.student, row.item): (row.attempts, row.attempts_with_help, row.hints, row.share)
            for row in answer.rows
        } == help_used(left, name, students)
        seen["help"] += answer.of_how_many["students who used help"]
        seen["without hints"] += answer.left_out["attempts whose hints no record says"]
    wanted = {"of a group", "of a course", "handed_in", "late", "not_handed_in", "help"}
    assert not {name for name in (*wanted, "without hints") if seen[name] == 0}
