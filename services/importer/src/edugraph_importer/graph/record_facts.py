"""The facts of one record in the terms of the graph.

`Facts` is a pure function of the record. It has the rows that write the record, and the changes to the nodes that the
record names.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from neo4j.time import DateTime

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import (
    AttemptRecord,
    CourseContent,
    CourseRecord,
    ErrorRecord,
    ItemRecord,
    PointRecord,
    PostRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    iso,
)
from edugraph_common.contracts.school_records import (
    ActionRecord,
    ActivityRecord,
    MembershipRecord,
    PersonRecord,
    TermRecord,
)
from edugraph_importer.graph.model import (
    KEYS_IN_COURSE,
    LEARNS_FIELDS,
    NO_VERSION,
    POINT_FIELDS,
    SEVERITY_WEIGHT,
    STATED_IMPORTANCE,
    Activity,
    Called,
    Day,
    Facts,
    GroupCounts,
    Interaction,
    InteractionKey,
    ItemNames,
    Learns,
    Mistakes,
    Node,
    PointSaid,
    Practice,
    SpellingsById,
    attempt_place,
    course_key,
    spellings_by_id,
    time_of,
)
from edugraph_importer.graph.statements import Row

_DATES = {"enrollment_date": "enrolled", "completion_date": "completed"}

COURSE_RECORD_FIELDS = (
    *LEARNS_FIELDS,
    "student_name",
    "course_name",
    "course_description",
    "difficulty",
)

LONGEST_MINUTES = 240  # a record counts for this number of minutes at most

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ONE_MINUTE = timedelta(minutes=1)

_LAST_MINUTE = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _ONE_MINUTE

_MINUTES = 24 * 60  # in a day


def facts_of(  # noqa: C901 - one case for each type of record
    record: Record, version: Row = NO_VERSION, from_source: Record | None = None
) -> Facts:
    """Return the facts that the record states. `version` has the properties with the key of its version.

    `from_source` is the record as its source gives it. It may name persons by other ids, which `record` has replaced
    by their owners.
    """
    facts = Facts(record.version_key, set(nodes(record)))
    as_given = from_source or record
    row: Row = {
        "id": record.record_id,
        "hash": as_given.content_hash,
        "type": record.type,
        "at": time_of(record.version_key),
        **version,
        **given_ids(record, as_given),
    }
    match record.data:
        case StudentInteraction() as data:
            _add_student_interaction(facts, row, data)
        case PostRecord() as data:
            row |= {"student": data.student_id, "name": data.student_name, "course": data.course_id}
            row |= {"thread": data.thread_id, "title": data.title, "text": data.text}
            # The answered post may come later, change, or be erased. So the reply only keeps a hash of its id, and
            # whoever reads the posts joins them.
            row["reply_mark"] = record_mark(data.reply_to) if data.reply_to else None
            facts.rows.append(("create_post", row))
            facts.fields.append((("Student", data.student_id), "name", data.student_name))
        case TeacherInteraction() as data:
            row |= {"from": data.teacher_id, "to": data.student_id, "course": data.course_id}
            row |= {"from_name": data.teacher_name, "to_name": data.student_name}
            row |= {"subject": data.subject, "text": data.text, "feedback": data.feedback}
            row["count"] = data.interaction_count
            facts.rows.append(("create_teacher_interaction", row))
            key: InteractionKey = ("teaches", data.teacher_id, data.student_id)
            facts.interaction = Interaction(key, data.interaction_count, data.feedback)
            facts.fields.append((("Teacher", data.teacher_id), "name", data.teacher_name))
            facts.fields.append((("Student", data.student_id), "name", data.student_name))
        case ActionRecord() as data:
            row |= {"from": data.teacher_id, "to": data.student_id, "course": data.course_id}
            row |= {"spoken": data.spoken, "text": data.text, "not_until": data.not_until}
            facts.rows.append(("create_action", row))
        case ErrorRecord() as data:
            _add_error_record(facts, row, data)
        case CourseContent() as data:
            row |= {"course": data.course_id, "course_name": data.course_name}
            row |= {"title": data.title, "content": data.content}
            row |= keys_in_course(
                data.course_id, {"course_name": data.course_name}, facts.version_key
            )
            facts.rows.append(("create_course_content", row))
            facts.fields.append((("Course", data.course_id), "name", data.course_name))
        case CourseRecord() as data:
            given = course_record_fields(data)
            row |= {"student": data.student_id, "course": data.course_id}
            row |= keys_in_course(data.course_id, given, facts.version_key)
            facts.rows.append(("create_course_record", row | dated_properties(given)))
            pair = (data.student_id, data.course_id)
            facts.learns = Learns(
                pair, {name: value for name, value in given.items() if name in LEARNS_FIELDS}
            )
            student = ("Student", data.student_id)
            course = ("Course", data.course_id)
            facts.fields.append((student, "name", data.student_name))
            facts.fields.append((course, "name", data.course_name))
            facts.fields.append((course, "description", data.course_description))
            facts.fields.append((course, "difficulty", data.difficulty))
        case AttemptRecord() as data:
            _add_attempt_record(facts, row, data)
        case ItemRecord() as data:
            row |= {
                "item": data.item_id,
                "course": data.course_id,
                "title": data.title,
                "question": data.question,
            }
            row["points"] = list(data.knowledge_points) or None
            _add_item_record(facts, row, data)
        case PointRecord() as data:
            _add_point_record(facts, row, data)
        case MembershipRecord() | PersonRecord() | TermRecord() as data:
            _add_school_record(facts, row, data)
        case ActivityRecord():
            assert isinstance(as_given.data, ActivityRecord)  # noqa: S101 - both are of one type
            facts.active_days += days_of(as_given.data, record.timestamp)
    return facts


def given_ids(record: Record, as_given: Record) -> Row:
    """Return the ids of the source that differ from those in the record, by column of its statement."""
    if as_given is record:
        return {}
    columns = {
        "student_id": "given",
        "student_id_from": "from_given",
        "student_id_to": "to_given",
        "teacher_id": "given",
    }
    if record.type in ("teacher_interaction", "action_record"):
        columns = {"teacher_id": "from_given", "student_id": "to_given"}
    row: Row = {"renamed": True}
    for name, column in columns.items():
        given_id = getattr(as_given.data, name, None)
        if given_id is not None and given_id != getattr(record.data, name):
            row[column] = given_id
    return row


def _add_student_interaction(facts: Facts, row: Row, data: StudentInteraction) -> None:
    row |= {"from": data.student_id_from, "to": data.student_id_to, "course": data.course_id}
    row |= {"from_name": data.student_name_from, "to_name": data.student_name_to, "text": data.text}
    key: InteractionKey
    if data.interaction_type == "chat":
        row["count"] = data.message_count
        key = ("chat_with", data.student_id_from, data.student_id_to)
        facts.rows.append(("create_chat", row))
    else:
        row["count"] = data.like_count
        key = ("likes", data.student_id_from, data.student_id_to)
        facts.rows.append(("create_like", row))
    facts.interaction = Interaction(key, row["count"])
    facts.fields.append((("Student", data.student_id_from), "name", data.student_name_from))
    facts.fields.append((("Student", data.student_id_to), "name", data.student_name_to))
    for topic, spellings in topics(data).items():
        facts.rows.append(("about", {"id": row["id"], "topic": topic, "spelled": spellings}))
        _mention_once(facts, ("Topic", topic), spellings)


def _add_error_record(facts: Facts, row: Row, data: ErrorRecord) -> None:
    first_course, *other_courses = data.courses
    row |= {"student": data.student_id, "course": first_course, "count": data.occurrence_count}
    row |= {"name": data.student_name, "course_name": data.course_name, "question": data.question}
    row |= {"error_text": data.error_text, "severity": data.severity, "resolved": resolved(data)}
    row |= keys_in_course(first_course, {"course_name": data.course_name}, facts.version_key)
    facts.rows.append(("create_error_record", row))
    for course_id in other_courses:
        facts.rows.append(("in_more_courses", {"id": row["id"], "course": course_id}))
    facts.fields.append((("Student", data.student_id), "name", data.student_name))
    facts.fields.append((("Course", first_course), "name", data.course_name))
    for error_type, spellings in error_types(data).items():
        row |= {"error_type": error_type, "spelled": spellings}
        _mention_once(facts, ("ErrorType", error_type), spellings)
        facts.mistakes += mistakes(data, error_type, data.severity)
        facts.called += called("ErrorType", error_type, spellings)


def _mention_once(facts: Facts, node: Node, spellings: Iterable[str]) -> None:
    for spelling in spellings:
        facts.spellings[node, spelling] = 1


def _add_attempt_record(facts: Facts, row: Row, data: AttemptRecord) -> None:
    courses = data.courses
    outcome = data.outcome_thousandths
    row |= {"student": data.student_id, "name": data.student_name, "item": data.item_id}
    row |= {"course": next(iter(courses), None), "title": data.item_title, "outcome": outcome}
    row |= {"correct": data.correct, "score": data.score, "number": data.attempt_number}
    row |= {"question": data.question, "response": data.response, "seconds": data.duration_seconds}
    row |= {"max_score": data.max_score, "hints": data.hints, "late": data.late}
    row["points"] = list(data.knowledge_points) or None
    facts.rows.append(("create_attempt", row))
    for course_id in courses[1:]:
        facts.rows.append(("attempt_in_more_courses", {"id": row["id"], "course": course_id}))
    facts.fields.append((("Student", data.student_id), "name", data.student_name))
    if outcome is not None:
        place = attempt_place(facts.version_key, data.attempt_number)
        facts.practice = Practice((data.student_id, data.item_id), outcome, place)
    facts.item_names = ItemNames()
    facts.item_names.add(data.item_id, data.item_title, data.knowledge_points)


def _add_item_record(facts: Facts, row: Row, data: ItemRecord) -> None:
    dates = {"opens": _iso_text(data.opens_at), "due": _iso_text(data.due_at)}
    item = ("Item", data.item_id)
    row["max_score"] = data.max_score
    given: dict[str, Any] = {"title": data.title, "question": data.question}
    given["max_score"] = data.max_score
    # The dates of an assignment are kept on its relationship, so that an item may be due at a date for each group.
    if data.assignee is None:
        row |= dates
        given |= {"opens_at": data.opens_at, "due_at": data.due_at}
    else:
        label, assignee_id = data.assignee
        row |= dict.fromkeys(dates)
        facts.rows.append(
            (f"assigned_to_{label}", {"id": row["id"], "assignee": assignee_id, **dates})
        )
    facts.rows.append(("create_item_definition", row))
    for field_name, value in given.items():
        facts.fields.append((item, field_name, value))
    facts.item_names = ItemNames()
    facts.item_names.add(data.item_id, None, data.knowledge_points)


def _add_point_record(facts: Facts, row: Row, data: PointRecord) -> None:
    said = said_of_point(data)
    row |= {
        "point": said.id,
        "course": data.course_id,
        "name": data.name,
        "names": list(data.names) or None,
        "label": data.label,
        "description": data.description,
        "parent": said.parent,
        "standard_id": data.standard_id,
    }
    row |= {"spelled": said.spelled, "importance": None}
    if data.course_id:
        row["importance"] = STATED_IMPORTANCE
        facts.contains.add((data.course_id, said.id))
    facts.rows.append(("create_point_definition", row))
    for required in said.requires:
        facts.rows.append(("requires", {"id": row["id"], "point": required}))
        facts.prerequisites.add((said.id, required))
    for given, field_name in POINT_FIELDS.items():
        facts.fields.append((("KnowledgePoint", said.id), field_name, row[given]))
    facts.called += called("KnowledgePoint", said.id, said.spelled)


def _add_school_record(
    facts: Facts, row: Row, data: MembershipRecord | PersonRecord | TermRecord
) -> None:
    if isinstance(data, PersonRecord):
        row |= {"person": data.person_id, "name": data.name}
        facts.rows.append(("create_person_record", row))
        statement = "decide_id" if data.decides else "claim_id"
        for claimed in data.claimed:
            facts.rows.append((statement, {"id": row["id"], "claimed": claimed}))
            facts.id_claims.add((data.person_id, claimed, data.decides))
        return
    row |= {"term": data.term, "starts": _iso_text(data.starts), "ends": _iso_text(data.ends)}
    if isinstance(data, TermRecord):
        breaks = list(data.breaks) or None
        row |= {"name": data.name, "breaks": breaks}
        facts.rows.append(("create_term_definition", row))
        given = {"name": data.name, "starts": data.starts, "ends": data.ends, "breaks": breaks}
        for field_name, value in given.items():
            facts.fields.append((("Term", data.term), field_name, value))
        return
    label, person_id, name = person_in_group(data)
    row |= {
        "person": person_id,
        "name": name,
        "group": data.group_id,
        "group_name": data.group_name,
    }
    row |= {"course": data.course_id, "leads": data.leads}
    facts.rows.append((f"create_membership_{label}", row))
    facts.fields.append(((label, person_id), "name", name))
    facts.memberships.append((label, person_id, data.group_id))
    facts.group_counts = GroupCounts()
    facts.group_counts.add(data.group_id, data.group_name, data.course_id)


def person_in_group(data: MembershipRecord) -> tuple[str, str, str | None]:
    """Return the label, the id and the name of the person in a membership."""
    if data.student_id is not None:
        return "Student", data.student_id, data.student_name
    assert data.teacher_id is not None  # noqa: S101 - the contract has one of the two
    return "Teacher", data.teacher_id, data.teacher_name


def mistakes(
    data: ErrorRecord | AttemptRecord, error_type: str, severity: str | None
) -> Iterator[Mistakes]:
    """Yield the mistakes of one record and error type, in each of its courses. An attempt may have no course."""
    number = data.occurrence_count if isinstance(data, ErrorRecord) else 1
    for course_id in data.courses:
        key = (data.student_id, error_type, course_id)
        yield Mistakes(key, number, SEVERITY_WEIGHT[severity], resolved(data))


def nodes(record: Record) -> Iterator[Node]:  # noqa: C901 - one case for each type of record
    """Yield the people, courses, groups, terms, items, points, topics and error types that the record names.

    A person_record names ids and no people: it does not say that anybody with these ids has records.
    """
    data = record.data
    if isinstance(data, PersonRecord):
        yield from (("PersonId", person_id) for _, person_id in students(record))
        return
    for _, student_id in students(record):
        yield "Student", student_id
    if isinstance(data, ErrorRecord | AttemptRecord):
        yield from (("Course", course_id) for course_id in data.courses)
    elif not isinstance(data, TermRecord | ActivityRecord) and data.course_id:
        yield "Course", data.course_id
    match data:
        case TeacherInteraction() | ActionRecord():
            yield "Teacher", data.teacher_id
        case StudentInteraction():
            yield from (("Topic", topic) for topic in topics(data))
        case ErrorRecord():
            for error_type, spellings in error_types(data).items():
                yield "ErrorType", error_type
                yield from _called_nodes("ErrorType", error_type, spellings)
        case AttemptRecord() | ItemRecord():
            yield "Item", data.item_id
            points = spellings_by_id(data.knowledge_points)
            yield from (("KnowledgePoint", point) for point in points)
            if isinstance(data, ItemRecord) and data.assignee:
                yield data.assignee
        case PointRecord():
            said = said_of_point(data)
            yield from (("KnowledgePoint", point) for point in (said.id, *said.requires))
            yield from _called_nodes("KnowledgePoint", said.id, said.spelled)
        case MembershipRecord() | TermRecord():
            yield from _school_nodes(data)


def _called_nodes(label: str, node_id: str, spellings: Iterable[str]) -> Iterator[Node]:
    for each in called(label, node_id, spellings):
        yield each.label, each.name


def _school_nodes(data: MembershipRecord | TermRecord) -> Iterator[Node]:
    if isinstance(data, TermRecord):
        yield "Term", data.term
    else:
        yield person_in_group(data)[:2]
        yield "Group", data.group_id


def derive_facts(record: Record) -> None:
    """Derive everything that follows from one record alone, so that its errors appear before its batch is written."""
    _ = record.version_key, record.content_hash, set(nodes(record))
    if isinstance(record.data, ActivityRecord):
        _ = list(days_of(record.data, record.timestamp))


def students(record: Record) -> Iterator[tuple[str, str]]:
    """Yield (field, student id). The ids in a person_record may belong to students."""
    data = record.data
    if isinstance(data, PersonRecord):
        yield "data.person_id", data.person_id
        yield from (("data.also", claimed) for claimed in data.claimed)
        return
    if isinstance(data, StudentInteraction):
        yield "data.student_id_from", data.student_id_from
        yield "data.student_id_to", data.student_id_to
    elif (
        not isinstance(data, CourseContent | ItemRecord | PointRecord | TermRecord)
        and data.student_id
    ):
        yield "data.student_id", data.student_id


def topics(data: StudentInteraction) -> SpellingsById:
    return spellings_by_id(data.topics)


def error_types(data: ErrorRecord) -> SpellingsById:
    """Return at most one error type. Without an id, the canonical name is the id."""
    names = [data.error_type] if data.error_type else []
    if data.error_type_id:
        return {data.error_type_id: names}
    return spellings_by_id(names)


def said_of_point(data: PointRecord) -> PointSaid:
    """Return the facts of a point_record. An id also counts as a name, so that other spellings of it mean the point.

    A required point may be given by its id or by a name. The requirement goes to the node of the canonical name,
    which joins the id.
    """
    given = (data.point_id, data.name, *data.names)
    spelled = list(dict.fromkeys(filter(None, given)))
    point_id = data.point_id or canonical_name(spelled[0])
    own_names = {point_id, *map(canonical_name, spelled)}
    requires = set(map(canonical_name, data.requires)) - own_names
    parent = None
    if data.parent is not None:
        parent = canonical_name(data.parent)
    if parent in own_names:
        parent = None
    return PointSaid(point_id, spelled, sorted(requires), parent)


def called(label: str, node_id: str, spellings: Iterable[str]) -> list[Called]:
    """Return the names that one record gives to an id by its spellings.

    A name that is equal to the id is left out. The same result follows from the link of the stored record, which has
    the id at its end and the spellings as a property.
    """
    names = {canonical_name(spelling) for spelling in spellings}
    if not names:
        return [Called(label, node_id, node_id)]
    return [Called(label, node_id, name) for name in sorted(names) if name != node_id]


def resolved(data: ErrorRecord | AttemptRecord) -> bool | None:
    """Return whether the mistake is resolved, or None if the record does not say."""
    if isinstance(data, ErrorRecord) and "resolved" in data.model_fields_set:
        return data.resolved
    return None


def course_record_fields(data: CourseRecord) -> dict[str, Any]:
    """Return the COURSE_RECORD_FIELDS that the record gives. Fields that it leaves out are missing."""
    given: dict[str, Any] = {}
    for name in COURSE_RECORD_FIELDS:
        value = getattr(data, name)
        if name in data.model_fields_set and value is not None:
            given[name] = value
    return given


def keys_in_course(course_id: str, given: Mapping[str, Any], version_key: str) -> Row:
    """Return the index keys that find the latest record with a field of its course.

    The key is None if the record does not give the field. Then the record is not in the index.
    """
    keys: Row = dict.fromkeys(KEYS_IN_COURSE.values())
    for name, key in KEYS_IN_COURSE.items():
        if given.get(name) is not None:
            keys[key] = course_key(course_id, version_key)
    return keys


def dated_properties(properties: Mapping[str, Any]) -> Row:
    """Return the properties without the dates as `p`, and the dates as text. The statement converts them to times.

    Dates are sent as text, because the driver's own encoding of times costs as much as the rest of a batch.
    """
    rest = {name: value for name, value in properties.items() if name not in _DATES}
    dates = {alias: properties.get(name) for name, alias in _DATES.items()}
    return {"p": rest, **{alias: _iso_text(value) for alias, value in dates.items()}}


def _iso_text(value: datetime | DateTime | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, DateTime):
        return iso(value.to_native())
    return iso(value)


def days_of(data: ActivityRecord, begins: datetime) -> Iterator[tuple[Day, Activity]]:
    """Yield the activity of a record on each of its days: at least one minute, and at most `LONGEST_MINUTES`."""
    duration_minutes = min(LONGEST_MINUTES, (data.duration_seconds or 0) / 60)
    starts = begins - _EPOCH
    # The moment at which the activity ends does not belong to it.
    ends = starts + timedelta(minutes=duration_minutes) - timedelta(microseconds=1)
    # The first and the last minute, counted since 1970.
    first = starts // _ONE_MINUTE
    last = max(first, ends // _ONE_MINUTE)
    last = min(last, first + LONGEST_MINUTES - 1, _LAST_MINUTE)
    kinds: set[str] = {data.kind} if data.kind else set()
    while first <= last:
        day, minute_of_day = divmod(first, _MINUTES)
        number = min(last - first + 1, _MINUTES - minute_of_day)
        minutes = ((1 << number) - 1) << minute_of_day
        date = (_EPOCH + timedelta(days=day)).date().isoformat()
        yield Day(data.student_id, data.course_id, date), Activity(minutes, kinds)
        first += number
