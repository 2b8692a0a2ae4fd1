"""Rows of every source that are hostile in one way or another, good ones to stand between them, and what must hold.

`StagedGraph` is as much of the graph as there is without a database: it sorts, names and stages what it is given, and
fails on whatever a driver could not send.
"""

import csv
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from hypothesis import strategies as st
from pydantic import SecretStr
from table_lines import line_ends

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import BatchOutcome, Reject
from edugraph_common.sources import parse_mapping
from edugraph_importer.graph import RecordBatch, apply, record_facts
from edugraph_importer.graph.model import NO_VERSION
from edugraph_importer.graph.tombstones import ErasedStudents, Tombstones
from edugraph_importer.graph.unit_of_work import UnitOfWork
from edugraph_importer.graph.versions import Ids, classify

Tree = dict[str, Any]

LONGEST_INDEXED = 8_167  # bytes, of Neo4j
TYPES = (
    "student_interaction",
    "teacher_interaction",
    "course_record",
    "error_record",
    "course_content",
    "attempt_record",
    "item_record",
    "membership_record",
    "term_record",
    "activity_record",
    "point_record",
    "post_record",
    "person_record",
    "action_record",
)
FIELDS = (
    "student_id", "student_id_from", "student_id_to", "interaction_type", "teacher_id", "course_id", "topics", "text",
    "error_text", "error_type", "content", "progress", "message_count", "enrollment_date", "course_ids", "unknown",
    "item_id", "correct", "score", "response", "knowledge_points", "attempt_number",
    "group_id", "term", "starts", "ends", "breaks", "role", "kind", "duration_seconds",
    "point_id", "name", "names", "requires", "thread_id", "reply_to", "title", "max_score", "hints", "late",
    "assigned_to", "opens_at", "due_at", "person_id", "also",
)  # fmt: skip
MAPPING = parse_mapping(
    "{columns: {art: type, zeit: timestamp, id: record_id, "
    + ", ".join(f"{name}: {name}" for name in FIELDS if name != "unknown")
    + "}, ignore_other_columns: true, encoding: utf-8}"
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """As JSON text: deep values cannot always be written by `json.dumps`."""
    return opening * depth + closing * depth


text = st.one_of(
    st.sampled_from([
        "chat", "like", "S1", "", " ", "\x00", "ok \ud83d", "\udc00", "\ufdfa" * 500, "ß" * 500, "㌀" * 500, "a\nb",
        "0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-05:00", "2026-01-01", "0001-01-01", "1e999", "٣", '"', "\\",
    ]),
    st.text(max_size=20),
    st.text(st.characters(codec=None), max_size=5),
    st.builds(
        "{}{}".format,
        st.datetimes().map(lambda moment: moment.isoformat()),
        st.sampled_from(["", "Z", "+14:00", "-23:59"]),
    ),
)  # fmt: skip
any_json = st.recursive(
    st.one_of(text, st.integers(), st.floats(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)
value = st.one_of(
    text.map(json.dumps),
    st.sampled_from(
        ["NaN", "-Infinity", "1e999", "9" * 5_000, "true", "null", "-0", "{}", "[]", nested(990)]
    ),
    st.sampled_from(
        [nested(5_000), nested(400, '{"a":', "}").replace("{}", "{1}"), nested(990, '{"a":[', "]}")]
    ),
    st.lists(text, max_size=3).map(json.dumps),
    st.dictionaries(text, text, max_size=2).map(json.dumps),
    st.integers().map(str),
    any_json.map(json.dumps),
)


def json_object(keys: tuple[str, ...]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(st.one_of(st.sampled_from(keys), text), value), max_size=6)
    return pairs.map(
        lambda found: "{" + ", ".join(f"{json.dumps(key)}: {item}" for key, item in found) + "}"
    )


data = json_object(FIELDS)
record = st.builds(
    '{{"type": {}, "timestamp": {}, "record_id": {}, "data": {}}}'.format,
    st.one_of(st.sampled_from(TYPES).map(json.dumps), value),
    value,
    value,
    data,
)
statement = st.builds(
    '{{"actor": {}, "verb": {{"id": {}}}, "object": {}, "result": {}, "context": {}, "timestamp": {}}}'.format,
    json_object(("name", "mbox", "account", "objectType", "member")),
    st.one_of(
        st.sampled_from(["completed", "answered", "commented", "liked"]).map(json.dumps), value
    ),
    json_object(("id", "definition", "mbox", "objectType", "name")),
    json_object(("success", "response", "score", "duration", "extensions")),
    json_object(("contextActivities", "instructor")),
    value,
)
event = st.builds(
    '{{"name": {}, "time": {}, "context": {}, "event": {}}}'.format,
    st.one_of(
        st.sampled_from(["problem_check", "edx.forum.comment.created"]).map(json.dumps), value
    ),
    value,
    json_object(("user_id", "username", "course_id", "module")),
    json_object(
        ("user_id", "success", "answers", "submission", "body", "target_username", "percent_grade")
    ),
)
anything = st.one_of(
    value, st.sampled_from(["{", "}", '{"a": "', "x" * 2_000, nested(990), "[" * 5_000])
)


def written(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        [cell.encode(errors="ignore").decode() for cell in cells]
    )
    return line.getvalue()[:-1]


cells = st.lists(text, min_size=len(FIELDS) + 3, max_size=len(FIELDS) + 3)
table_row = st.one_of(cells.map(written), st.just('x"'), st.just("x," * 66_000))

# Rows that are valid but for what is put into a place of them. A leaf is a value of JSON.
RECORDS: tuple[Tree, ...] = tuple(
    {
        "type": kind,
        "timestamp": "2026-02-01T08:00:00Z",
        "record_id": f"r-{kind}",
        "data": data_of_type,
    }
    for kind, data_of_type in {
        "student_interaction": {
            "student_id_from": "a",
            "student_id_to": "b",
            "interaction_type": "chat",
            "topics": ["sums"],
            "text": "Good.",
            "message_count": 2,
            "course_id": "m",
        },
        "teacher_interaction": {
            "teacher_id": "t",
            "student_id": "a",
            "feedback": "Show it.",
            "interaction_count": 2,
        },
        "course_record": {
            "student_id": "a",
            "course_id": "m",
            "progress": 37.5,
            "enrollment_date": "2026-01-01",
        },
        "error_record": {
            "student_id": "a",
            "course_ids": ["m", "n"],
            "error_text": "1+1=3",
            "error_type": "sums",
        },
        "course_content": {"course_id": "m", "content": "Sums come first.", "title": "Sums"},
        "membership_record": {
            "group_id": "7-2",
            "student_id": "a",
            "starts": "2026-01-01",
            "term": "t",
            "role": "member",
        },
        "activity_record": {
            "student_id": "a",
            "course_id": "m",
            "kind": "video",
            "duration_seconds": 90,
        },
        "term_record": {"term": "t", "ends": "2026-07-01", "breaks": ["2026-05-01/2026-05-06"]},
        "point_record": {
            "point_id": "M-7",
            "name": "sums",
            "names": ["和"],
            "requires": ["M-6"],
            "course_id": "m",
            "label": "6.NS.1",
            "description": "Add fractions.",
            "parent": "M",
            "standard_id": "ccss-6-ns-1",
        },
        "post_record": {
            "student_id": "a",
            "course_id": "m",
            "thread_id": "7",
            "reply_to": "r",
            "text": "Why?",
        },
        "person_record": {"person_id": "a", "also": ["lti-a", "0"], "name": "Mei"},
        "action_record": {
            "teacher_id": "t",
            "student_id": "a",
            "course_id": "m",
            "spoken": True,
            "text": "Mei",
            "not_until": "2026-03-09",
        },
    }.items()
)
STATEMENTS: tuple[Tree, ...] = tuple(
    {
        "id": "5f1e5f9e-0000-4000-8000-000000000001",
        "actor": {"name": "Mei", "account": {"homePage": "http://lms", "name": "u7"}},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {
            "id": "http://lms/q/1",
            "definition": {"type": "http://x/activities/course", "name": {"zh": "物理"}},
        },
        "result": {
            "success": False,
            "response": "3",
            "score": {"scaled": 0.5},
            "completion": True,
            "duration": "PT8M",
        },
        "context": {"contextActivities": {"parent": [{"id": "http://lms/c"}]}, "platform": "x"},
        "timestamp": "2026-02-01T08:00:00Z",
    }
    for verb in ("completed", "answered", "commented", "progressed", "voided")
)
_MOODLE = "http://lms/mod"
_INFO = "http://lrs.learninglocker.net/define/extensions/info"
_OF_MOODLE: Tree = {
    _INFO: {"https://github.com/xAPI-vle/moodle-logstore_xapi": "5.0.1"},
    "http://x/context-extensions/for": {"mbox": "mailto:pupil"},
    "http://x/context-extensions/to": {"mbox": "mailto:friend"},
}
_OF_OPEN_EDX: Tree = {"https://w3id.org/xapi/openedx/extension/x": "1"}
_COURSE_OF_MOODLE: Tree = {
    "id": "http://lms/course/view.php?id=2",
    "definition": {"type": "http://x/course"},
}
# Statements in the forms of Moodle's plugin and of Open edX's router.
STATEMENTS += tuple(
    {
        "actor": {"name": "Mei", "account": {"homePage": "http://lms", "name": "u7"}},
        "verb": {"id": f"http://x/{verb}"},
        "object": {
            "id": page,
            "definition": {"type": "http://x/cmi.interaction", "description": {"en": "1+1"}},
        },
        "result": {
            "success": True,
            "response": "3",
            "score": {"raw": 1, "min": 0, "max": 2, "scaled": 0},
            "extensions": {"http://learninglocker.net/xapi/cmi/choice/response": "three"},
        },
        "context": {
            "contextActivities": {
                "parent": [{"id": f"{_MOODLE}/quiz/view.php?id=1"}, _COURSE_OF_MOODLE]
            },
            "instructor": {"mbox": "mailto:teacher"},
            "statement": {
                "objectType": "StatementRef",
                "id": "5f1e5f9e-0000-4000-8000-000000000002",
            },
            "extensions": extensions,
        },
        "timestamp": "2026-02-01T08:00:00Z",
    }
    for verb, page, extensions in (
        ("completed", f"{_MOODLE}/quiz/attempt.php?attempt=5&cmid=1", _OF_MOODLE),
        ("answered", "http://lms/question/question.php?cmid=1&id=3", _OF_MOODLE),
        ("scored", f"{_MOODLE}/assign/view.php?id=4#submission", _OF_MOODLE),
        ("assessed", f"{_MOODLE}/lesson/view.php?id=5&pageid=6", _OF_MOODLE),
        ("send", "http://lms/message?id=1", _OF_MOODLE),
        ("evaluated", "http://lms/xblock/b_2_1", _OF_OPEN_EDX),
    )
)
OF_EVENTS: dict[str, Tree] = {
    "problem_check": {"submission": {"p_1": {"answer": "3", "correct": False, "question": "1+1"}}},
    "edx.forum.comment.created": {"target_username": "x", "id": "c1"},
    "edx.course.enrollment.activated": {"mode": "audit"},
    "edx.grades.course.grade_calculated": {},
}
EVENTS: tuple[Tree, ...] = tuple(
    {
        "name": name,
        "time": "2026-02-01T08:00:00Z",
        "context": {
            "user_id": 7,
            "username": "mei",
            "course_id": "course-v1:X+Y+Z",
            "module": {"display_name": "Q"},
        },
        "event": {
            "user_id": "7",
            "problem_id": "p",
            "success": "incorrect",
            "percent_grade": 0.5,
            "body": "hi",
            **more,
        },
    }
    for name, more in OF_EVENTS.items()
)


def places(tree: Tree) -> list[tuple[str, ...]]:
    """The way to each value of a tree, from those of its root on."""
    return [
        way
        for name, inner in tree.items()
        for way in [
            (name,),
            *((name, *rest) for rest in (places(inner) if isinstance(inner, dict) else ())),
        ]
    ]


def as_text(value: Any, changes: Mapping[tuple[str, ...], str], way: tuple[str, ...] = ()) -> str:
    """The value as JSON, with these texts in place of what is at the end of their ways."""
    if way in changes:
        return changes[way]
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = (
        f"{json.dumps(name)}: {as_text(each, changes, (*way, name))}"
        for name, each in value.items()
    )
    return "{" + ", ".join(inner) + "}"


def nearly(templates: Sequence[Tree]) -> st.SearchStrategy[str]:
    """A valid row with some of its values exchanged."""
    return st.sampled_from(templates).flatmap(
        lambda tree: st.dictionaries(st.sampled_from(places(tree)), value, max_size=3).map(
            lambda changes: as_text(tree, changes)
        )
    )


def nearly_a_row(template: Tree) -> st.SearchStrategy[str]:
    row = [str(template["type"]), str(template["timestamp"]), str(template["record_id"])]
    row += [_cell(template["data"].get(name)) for name in FIELDS if name != "unknown"] + [""]
    filled = [place for place, cell in enumerate(row) if cell]
    return st.dictionaries(st.sampled_from(filled), text, max_size=2).map(
        lambda changes: written([changes.get(place, cell) for place, cell in enumerate(row)])
    )


def _cell(value: Any) -> str:
    return ";".join(value) if isinstance(value, list) else str("" if value is None else value)


def mostly(
    first: st.SearchStrategy[str], *others: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    """The first half of the time. What `one_of` would do with strategies that are such themselves is another mixture."""
    return st.sampled_from([*[first] * len(others), *others]).flatmap(lambda chosen: chosen)


_COURSE: Tree = {"id": "http://lms/courses/c1", "type": "CourseOffering", "name": "物理"}
_QUIZ: Tree = {"id": "http://lms/quiz/1", "type": "Assessment", "name": "1+1", "isPartOf": _COURSE}
_PUPIL: Tree = {"id": "http://lms/users/u7", "type": "Person", "name": "Mei"}
# (action, object, generated) of events of Caliper, which are read as statements.
_ACTS: tuple[tuple[str, Tree, Tree], ...] = (
    (
        "Graded",
        {
            "type": "Attempt",
            "assignee": _PUPIL,
            "assignable": _QUIZ,
            "count": 2,
            "duration": "PT9S",
        },
        {"type": "Score", "scoreGiven": 1, "maxScore": 2, "extensions": {"success": "False"}},
    ),
    (
        "Completed",
        {"id": "http://lms/q/1", "type": "AssessmentItem", "isPartOf": _QUIZ},
        {"type": "FillinBlankResponse", "values": ["three"]},
    ),
    (
        "Posted",
        {"type": "Message", "body": "hi", "isPartOf": {"type": "Thread", "id": "http://lms/t/1"}},
        {},
    ),
    ("Commented", {"id": "http://lms/p/1", "type": "Document"}, {"value": "hi"}),
    ("Viewed", {"id": "http://lms/v/1", "type": "VideoObject"}, {}),
)
CALIPER: tuple[Tree, ...] = tuple(
    {
        "id": "urn:uuid:5f1e5f9e-0000-4000-8000-000000000003",
        "actor": _PUPIL,
        "action": action,
        "object": entity,
        "generated": generated,
        "eventTime": "2026-01-05T08:00:00Z",
        "group": _COURSE,
        "membership": {"member": _PUPIL, "organization": _COURSE, "roles": ["Learner"]},
        "session": {"type": "Session", "user": "http://lms/users/u7"},
        "extensions": {"transformerVersion": "event-routing-backends@10.0.0"},
    }
    for action, entity, generated in _ACTS
)


HOSTILE: dict[Format, st.SearchStrategy[str]] = {
    "ndjson": mostly(nearly(RECORDS), record, anything),
    "xapi": mostly(nearly((*STATEMENTS, *CALIPER)), statement, anything),
    "openedx": mostly(nearly(EVENTS), event, anything),
    "csv": mostly(st.one_of(*map(nearly_a_row, RECORDS)), table_row),
}


def good_record(number: int) -> str:
    people = {
        "student_id_from": f"good{number}",
        "student_id_to": "x",
        "interaction_type": "chat",
        "topics": ["t"],
    }
    return json.dumps({"type": "student_interaction", "timestamp": "2026-01-01", "data": people})


def good_statement(number: int) -> str:
    return json.dumps({
        "actor": {"mbox": f"mailto:good{number}"},
        "verb": {"id": "x/commented"},
        "object": {"objectType": "Agent", "mbox": "mailto:x"},
        "result": {"response": "hi"},
        "timestamp": "2026-01-01",
    })  # fmt: skip


def good_event(number: int) -> str:
    return json.dumps({
        "name": "edx.forum.comment.created",
        "time": "2026-01-01",
        "context": {"user_id": f"good{number}"},
        "event": {"body": "hi", "target_username": "x"},
    })  # fmt: skip


def good_row(number: int) -> str:
    return f"student_interaction,2026-01-01,,,good{number},x,chat" + "," * (len(FIELDS) - 4)


GOOD: dict[Format, Callable[[int], str]] = {
    "ndjson": good_record,
    "xapi": good_statement,
    "openedx": good_event,
    "csv": good_row,
}
HEADER = (
    ",".join(["art", "zeit", "id", *(name for name in FIELDS if name != "unknown"), "more"]) + "\n"
)


def file_of(form: Format, lines: Sequence[str]) -> bytes:
    return ((HEADER if form == "csv" else "") + "".join(line + "\n" for line in lines)).encode()


def mixed(form: Format, hostile: Sequence[str], first: int = 0) -> list[str]:
    """A good row, and another after each hostile one: their numbers are `first` and those that follow."""
    lines = [GOOD[form](first)]
    for number, line in enumerate(hostile, start=first + 1):
        lines += [line.replace("\n", " ") if form != "csv" else line, GOOD[form](number)]
    return lines


def good_students(form: Format, lines: Sequence[str]) -> set[str]:
    """Return the students of the good rows among `mixed` lines; in a table, of those that begin a row."""
    if form != "csv":
        return {f"good{number}" for number in range(len(lines) // 2 + 1)}
    # A row begins where the one before it ends.
    begins = set(line_ends(file_of(form, lines).decode(), HEADER.count(",") + 1))
    places = accumulate((line.count("\n") + 1 for line in lines), initial=1)
    of_good = list(places)[: len(lines) : 2]
    return {f"good{number}" for number, place in enumerate(of_good) if place in begins}


class NobodyErased(ErasedStudents):
    def __init__(self) -> None:
        self._students = frozenset()


def can_be_sent(values: object) -> None:
    """The driver sends UTF-8 and nothing else, and whole numbers of 64 bits."""
    if isinstance(values, str):
        values.encode()
    elif isinstance(values, int):
        assert abs(values) < 1 << 63
    elif isinstance(values, dict):
        can_be_sent([*values.items()])
    elif isinstance(values, list | tuple | set | frozenset):
        for each in values:
            can_be_sent(each)


class StagedGraph:
    """Knows the students of the batches that were written to it."""

    def __init__(self) -> None:
        self.students: set[str] = set()
        self.retries: dict[str, int] = {}
        # (job, batch) -> the rejects of its last write
        self.refused: dict[tuple[str, int], tuple[Reject, ...]] = {}

    @staticmethod
    def restricted_students() -> set[str]:
        return set()

    @staticmethod
    def course_contexts(_: object) -> tuple[()]:
        return ()

    @staticmethod
    def courses_of_points(_batch: RecordBatch) -> set[str]:
        """Return no course: this graph keeps no points."""
        return set()

    @staticmethod
    def count_texts_read(_course_id: str) -> int:
        """No text was read before."""
        return 0

    def prepare(self) -> None:
        """There is nothing to make."""

    @staticmethod
    def comparison_due(_now: float) -> None:
        """Nobody asks which points may mean the same."""

    @staticmethod
    def leader_changes() -> tuple[()]:
        return ()

    @staticmethod
    def id_claim_changes() -> tuple[()]:
        return ()

    def has_erased(self) -> bool:
        return False

    def last_erasure(self) -> None:
        return None

    def erased_among(self, student_ids: Collection[str]) -> frozenset[str]:
        """Nobody was erased; but each is looked for, as in the graph."""
        tombstones = Tombstones(SecretStr("s" * 32))
        assert all(tombstones.of(each) for each in student_ids)
        return frozenset()

    def rejects(self, job_id: str, batch: int) -> tuple[Reject, ...]:
        return self.refused[job_id, batch]

    def write_batch(self, batch: RecordBatch) -> BatchOutcome:
        assert all(reject.field and reject.reason for reject in batch.rejects)
        classified = classify(
            batch.records, Ids({}, {}), NobodyErased(), withdrawals=batch.withdrawn
        )
        self.refused = {(batch.job_id, batch.batch): tuple(classified.rejects)}
        staged = UnitOfWork.staged()
        for record in classified.records:
            version = classified.versions.get(record.record_id)
            properties = version.properties() if version else {}
            staged.add(record_facts.facts_of(record, NO_VERSION | properties))
        can_be_sent(
            [
                staged.rows,
                [each.row() for each in staged.active_days.values()],
                [*staged.active_days],
                staged.fields,
                staged.learns,
                [*staged.sums.interactions],
                [each.row() for each in staged.sums.interactions.values()],
                [*staged.sums.mistakes],
            ]
        )
        for _, node_id in staged.nodes:
            assert len(node_id.encode()) <= LONGEST_INDEXED
        self.students |= {
            student for _, each in batch.records for _, student in record_facts.students(each)
        }
        return apply._batch_outcome(batch, classified, 0.0)
