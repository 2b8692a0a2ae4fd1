"""Who is in a course, as the graph knows it: everybody whose records are in it, as the records call them."""

from collections import defaultdict

from hypothesis import given
from rooms import Room

from edugraph_common.contracts.records import (
    AttemptRecord,
    ErrorRecord,
    Record,
    parse_record,
)
from edugraph_common.contracts.school_records import MembershipRecord, PersonRecord
from edugraph_common.runtime.shared_state.course_members import MOST_MEMBERS, names_by_course
from edugraph_importer.graph import Graph, RecordBatch

from .random_imports import EXAMPLES, record_lists

NAME_FIELDS = {
    "student_name": "student_id",
    "student_name_from": "student_id_from",
    "student_name_to": "student_id_to",
    "teacher_name": "teacher_id",
}


@EXAMPLES
@given(records=record_lists())
def test_all_names_of_a_course_are_told_and_those_of_nobody_else(
    room: Room, records: list[Record]
) -> None:
    room.empty()
    graph: Graph = room.graph
    graph.write_batch(
        RecordBatch("members", 0, list(enumerate(records, start=1)), (), len(records))
    )
    told_by_records = defaultdict[str, set[str]](set)
    called, people = defaultdict[str, set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    in_course = defaultdict[str, set[tuple[str, str]]](set)
    # Only memberships say to which course a group belongs. An item may be assigned to a group of another course.
    of_group = {
        (each.data.group_id, each.data.course_id)
        for each in records
        if isinstance(each.data, MembershipRecord)
    }
    # A list of a person's ids names the person, too.
    listed = {each.data.name for each in records if isinstance(each.data, PersonRecord)}
    for record in records:
        data = record.data
        stated = (
            data.courses
            if isinstance(data, ErrorRecord | AttemptRecord)
            else (getattr(data, "course_id", None),)
        )
        group_id = getattr(data, "group_id", None)
        by_group = (
            {course for group, course in of_group if group == group_id} if group_id else set()
        )
        courses = {course for course in (*stated, *by_group) if course}
        for name_field, id_field in NAME_FIELDS.items():
            who = (id_field.partition("_")[0], getattr(data, id_field, None) or "")
            name = getattr(data, name_field, None)
            if who[1]:
                people[who] |= {name} if name else set()
                for course in courses:
                    in_course[course].add(who)
                    called[course] |= {name} if name else set()
                    told_by_records[course] |= {name} if name and course in stated else set()
    for course, members in in_course.items():
        told = graph.course_members(course, MOST_MEMBERS)
        known = set().union(*(people[who] for who in members)) | listed
        assert called[course] <= told <= known
    assert {course: names for course, names in names_by_course(records).items() if names} == {
        course: names for course, names in told_by_records.items() if names
    }


def test_the_name_in_a_list_of_ids_is_a_name_of_the_course(graph: Graph) -> None:
    """Statements with anonymous ids have no names. Out: the last two parts of `course_members`."""
    attempt = {"student_id": "anon-1", "item_id": "q", "course_id": "A", "correct": True}
    member = {"group_id": "8B", "course_id": "B", "student_id": "S2", "role": "member"}
    rows = [
        {"type": "attempt_record", "timestamp": "2026-03-01", "record_id": "a", "data": attempt},
        {"type": "membership_record", "timestamp": "2026-03-01", "record_id": "m", "data": member},
    ]
    names = (("S1", "anon-1", "Mia Berg"), ("S2", "anon-2", "Jonas Feld"), ("S3", "x", "Nobody"))
    for person_id, also, name in names:
        data = {"person_id": person_id, "also": [also], "name": name}
        row = {"type": "person_record", "timestamp": "2026-03-01", "record_id": f"of {person_id}"}
        rows.append({**row, "data": data})
    records = [(line, parse_record(row)) for line, row in enumerate(rows, start=1)]
    graph.write_batch(RecordBatch("list", 0, records, (), len(records)))
    graph.settle_persons()
    assert graph.course_members("A", MOST_MEMBERS) == {"Mia Berg"}
    assert graph.course_members("B", MOST_MEMBERS) == {"Jonas Feld"}


def test_a_course_that_is_not_there_has_no_members(graph: Graph) -> None:
    assert graph.course_members("nowhere", MOST_MEMBERS) == set()


def test_no_more_names_are_read_than_are_wanted(room: Room) -> None:
    room.empty()
    rows = [
        {
            "type": "course_record",
            "timestamp": "2026-01-01",
            "data": {
                "student_id": f"s{number}",
                "course_id": "c",
                "student_name": f"name {number}",
            },
        }
        for number in range(9)
    ]
    records = [(line, parse_record(row)) for line, row in enumerate(rows, start=1)]
    room.graph.write_batch(RecordBatch("many", 0, records, (), len(records)))
    assert len(room.graph.course_members("c", 4)) == 4
