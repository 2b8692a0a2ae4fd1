"""The statements of Moodle's plugin and of Open edX's router become what a person read in them.

Each row of the tables in `sender_fixtures` has the record of a statement: its type, person, course, item, outcome and text,
and the reason. The tables were written by reading the statements. `forms_of_*.csv` has the form of the same statements:
verb, object, activities around it and the form of the result. The texts in them are made up here, so that each row of
the tables is tried without the fixtures.

The fixtures themselves are not part of the project: put a checkout of each sender beside the other data of
EDUGRAPH_SHARED_DATA, and `make sender-fixtures` tries them. Without a checkout these tests are skipped.
"""

import csv
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources import NotRelevant
from edugraph_common.sources.chunking import rows_of
from edugraph_common.sources.read_plan import ReadPlan

TABLES = Path(__file__).parent / "sender_fixtures"
DATA = Path(
    os.environ.get("EDUGRAPH_SHARED_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)
MOODLE = DATA / "moodle-logstore_xapi" / "tests"
ROUTER = (
    DATA / "event-routing-backends/event_routing_backends/processors/xapi/tests/fixtures/expected"
)
EVENTS = DATA / "event-routing-backends/event_routing_backends/processors/tests/fixtures/current"
CALIPER = (
    DATA
    / "event-routing-backends/event_routing_backends/processors/caliper/tests/fixtures/expected"
)
SOME_OF_THE_ROUTER = DATA / "openedx" / "xapi"
SOME_EVENTS = DATA / "openedx" / "tracking"
HOSTS = {"www.example.org": "", "localhost:18000": ""}
# The plugin adds the moment when it sends a statement, so its fixtures have none.
SENT_AT = "2026-03-04T05:06:07Z"

Expected = Mapping[str, str]


def table(name: str) -> dict[str, list[Expected]]:
    """Return the rows of a table by the file of the fixture, in the order of its statements."""
    rows: dict[str, list[Expected]] = defaultdict(list)
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert int(row["index"]) == len(rows[row["file"]])
            rows[row["file"]].append(row)
    return rows


OF_MOODLE = table("moodle_logstore_xapi_5.0.1.csv")
OF_ROUTER = table("event_routing_backends_10.0.0.csv")
FORMS_OF_MOODLE = table("forms_of_moodle_logstore_xapi_5.0.1.csv")
FORMS_OF_ROUTER = table("forms_of_event_routing_backends_10.0.0.csv")
MOODLE_HOST = "http://www.example.org/"
ROUTER_HOST = "http://localhost:18000/"


def read_file(statements: Sequence[dict[str, Any]]) -> list[Any]:
    """Return what becomes of the statements of one file."""
    source = ReadPlan(format="xapi", platforms=HOSTS).source
    text = "".join(json.dumps(each) + "\n" for each in statements).encode()
    return [source.read(row.line, row.raw) for row in rows_of(source.chunks([text], 1_000))]


def outcome_of(record: Record) -> str:
    data: Any = record.data
    if record.type == "course_record":
        if data.enrollment_date:
            return "enrolled"
        return "completed" if data.progress is None else f"progress {data.progress:.0f}"
    if record.type != "attempt_record":
        return ""
    if data.correct is not None:
        return "right" if data.correct else "wrong"
    return "" if data.score is None else str(data.score)


def item_of(data: Any) -> str:
    for field in ("item_id", "activity_id", "thread_id"):
        item = getattr(data, field, None)
        if item:
            return "(long address)" if item.startswith("sha256:") else item
    return ""


def text_at(statement: dict[str, Any], place: str) -> str:
    """Return the text at a place such as `object.definition.name`, in whatever language it is."""
    found: Any = statement
    for part in place.split("."):
        found = found[part]
    return next(iter(found.values())) if isinstance(found, dict) else found


def check(statement: dict[str, Any], row: Any, expected: Expected) -> None:
    assert not isinstance(row, Reject), row
    if not expected["record"]:
        assert isinstance(row, NotRelevant), row
        return
    assert isinstance(row, Record), row
    data: Any = row.data
    person = getattr(data, "student_id", None) or data.student_id_from
    host = MOODLE_HOST if "www.example.org" in json.dumps(statement["actor"]) else ROUTER_HOST
    found = (row.type, person, data.course_id, item_of(data).removeprefix(host), outcome_of(row))
    assert found == tuple(
        expected[field] for field in ("record", "person", "course", "item", "outcome")
    )
    # A text of a student is the text of a message or of a post, or the answer of an attempt without an outcome.
    text = getattr(data, "text", None)
    if row.type == "attempt_record" and not outcome_of(row):
        text = data.response
    assert text == (text_at(statement, expected["text"]) if expected["text"] else None)


def made_up(form: Expected, host: str) -> dict[str, Any]:
    """Return a statement of a form, with texts that name their statement and place."""
    where = f"{form['file']} {form['index']}"
    definition: dict[str, Any] = {"type": form["type"]}
    for place in form["texts"].split():
        definition[place] = {"en": f"The {place} of {where}"}
    if form["interaction"]:
        definition["interactionType"] = form["interaction"]
    if form["extensions"]:
        definition["extensions"] = json.loads(form["extensions"])
    statement: dict[str, Any] = {
        "actor": agent(form["actor"], host),
        "verb": {"id": form["verb"]},
        "object": {"objectType": form["object_type"] or "Activity", "definition": definition},
        "context": context_of(form, host),
        "timestamp": SENT_AT,
    }
    if form["object"]:
        statement["object"]["id"] = address(form["object"], host)
    if form["result"]:
        statement["result"] = json.loads(form["result"].replace("WORDS", f"Words of {where}"))
    return statement


def context_of(form: Expected, host: str) -> dict[str, Any]:
    extensions = json.loads(form["context"] or "{}")
    context: dict[str, Any] = {"contextActivities": {}, "extensions": extensions}
    if extensions.pop("statement", False):
        context["statement"] = {"objectType": "StatementRef", "id": str(UUID(int=1))}
    if form["instructor"]:
        context["instructor"] = agent(form["instructor"], host)
    for name, field in (("parent", "parents"), ("grouping", "grouping")):
        around = [activity(each, host) for each in form[field].split("; ") if each]
        if around:
            context["contextActivities"][name] = around
    if host == MOODLE_HOST:
        site = {"id": host.rstrip("/"), "definition": {"type": f"{TINCAN}/activitytype/lms"}}
        context["contextActivities"]["category"] = [site]
        extensions["http://lrs.learninglocker.net/define/extensions/info"] = {
            "http://moodle.org": "1.0.0",
            "https://github.com/xAPI-vle/moodle-logstore_xapi": "5.0.1",
        }
    else:
        extensions["https://w3id.org/xapi/openedx/extension/transformer-version"] = "made up"
    return context


TINCAN = "http://id.tincanapi.com"


def agent(name: str, host: str) -> dict[str, Any]:
    return {"account": {"homePage": host.rstrip("/"), "name": name}, "name": f"Pupil {name}"}


def activity(text: str, host: str) -> dict[str, Any]:
    path, kind, *object_type = text.split(" ")
    return {
        "id": address(path, host),
        "objectType": " ".join(object_type) or "Activity",
        "definition": {"type": kind, "name": {"en": f"Name of {path}"}},
    }


def address(path: str, host: str) -> str:
    """Return the address of a path. The router has objects whose id is a block without an address."""
    is_whole = path.startswith(("http", "block-v1:", "ccx-block-v1:", "438AD672"))
    return path if is_whole else host + path


SENDERS = [(OF_MOODLE, FORMS_OF_MOODLE, MOODLE_HOST), (OF_ROUTER, FORMS_OF_ROUTER, ROUTER_HOST)]
MADE_UP = [
    pytest.param(forms[name], expected[name], host, id=name)
    for expected, forms, host in SENDERS
    for name in sorted(expected)
]


@pytest.mark.parametrize(("forms", "expected", "host"), MADE_UP)
def test_a_statement_of_each_form_becomes_what_it_means(
    forms: list[Expected], expected: list[Expected], host: str
) -> None:
    statements = [made_up(form, host) for form in forms]
    for statement, row, outcome in zip(statements, read_file(statements), expected, strict=True):
        check(statement, row, outcome)


@pytest.mark.parametrize(("forms", "expected", "host"), MADE_UP)
def test_the_analyzer_gets_the_text_of_each_pupil_and_no_other(
    forms: list[Expected], expected: list[Expected], host: str
) -> None:
    """Out: `_post`; `_GRADING_VERBS`; the free texts of `_tried`. No record has the words of a teacher."""
    statements = [made_up(form, host) for form in forms]
    for statement, row, outcome in zip(statements, read_file(statements), expected, strict=True):
        if outcome["text"]:
            assert isinstance(row, Record)
            assert kind_to_read(row) is not None
            assert text_at(statement, outcome["text"]) in json.dumps(row.to_json())
        elif isinstance(row, Record) and row.type != "attempt_record":
            assert kind_to_read(row) is None
        elif isinstance(row, Record) and "instructor" in statement["context"]:
            assert kind_to_read(row) is None
            assert "Words of" not in json.dumps(row.to_json())


@pytest.mark.skipif(not MOODLE.is_dir(), reason=f"no checkout of moodle-logstore_xapi at {DATA}")
@pytest.mark.parametrize("name", sorted(OF_MOODLE))
def test_a_fixture_of_moodle_becomes_what_it_means(name: str) -> None:
    statements = json.loads((MOODLE / name / "statements.json").read_text())
    statements = [{"timestamp": SENT_AT, **each} for each in statements]
    for statement, row, expected in zip(
        statements, read_file(statements), OF_MOODLE[name], strict=True
    ):
        check(statement, row, expected)


@pytest.mark.skipif(
    not ROUTER.is_dir() and not SOME_OF_THE_ROUTER.is_dir(), reason=f"no fixtures at {DATA}"
)
@pytest.mark.parametrize("name", sorted(OF_ROUTER))
def test_a_fixture_of_open_edx_becomes_what_it_means(name: str) -> None:
    path = (ROUTER if ROUTER.is_dir() else SOME_OF_THE_ROUTER) / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    value = json.loads(path.read_text())
    statements = value if isinstance(value, list) else [value]
    for statement, row, expected in zip(
        statements, read_file(statements), OF_ROUTER[name], strict=True
    ):
        check(statement, row, expected)


@pytest.mark.parametrize("name", sorted(OF_ROUTER))
def test_an_event_and_its_statements_give_the_same_attempts(name: str) -> None:
    folders = [(EVENTS, ROUTER), (SOME_EVENTS, SOME_OF_THE_ROUTER)]
    pairs = [(events / name, made / name) for events, made in folders]
    found = [(event, made) for event, made in pairs if event.exists() and made.exists()]
    if not found:
        pytest.skip(f"no event of {name} at {DATA}")
    event, made = (json.loads(path.read_text()) for path in found[0])
    in_log = ReadPlan(format="openedx", platforms=HOSTS).source.read(1, json.dumps(event).encode())
    statements = made if isinstance(made, list) else [made]
    attempts = [attempt_in(row) for row in (in_log, *read_file(statements))]
    assert attempts[:1] == [each for each in attempts[1:] if each] or not any(attempts)


def attempt_in(row: Any) -> tuple[Any, ...] | None:
    """Return what an attempt counts for, or None for another row."""
    if not isinstance(row, Record) or row.type != "attempt_record":
        return None
    data: Any = row.data
    return data.course_id, data.item_id, data.correct, data.score, data.is_mistake


@pytest.mark.parametrize("path", sorted(CALIPER.glob("*.json")), ids=lambda path: path.stem)
def test_an_event_of_caliper_is_the_record_of_its_statement(path: Path) -> None:
    """The event has no answer and no question, and its moment has milliseconds."""
    made = ROUTER / path.name
    if not made.exists():
        pytest.skip(f"no statement of {path.name}")
    of_event, of_statement = read_file([json.loads(each.read_text()) for each in (path, made)])
    assert isinstance(of_event, Record) == isinstance(of_statement, Record)
    if not isinstance(of_event, Record):
        return
    assert of_event.type == of_statement.type
    moments = (of_event.timestamp, of_statement.timestamp)
    assert moments[0] == moments[1].replace(microsecond=moments[1].microsecond // 1_000 * 1_000)
    not_in_events = {"answer", "question", "response", "enrollment_date", "completion_date"}
    data = [each.data.model_dump(exclude=not_in_events) for each in (of_event, of_statement)]
    assert data[0] == data[1]
    assert outcome_of(of_event) == outcome_of(of_statement)


def test_the_tables_have_a_row_for_each_statement_of_both_senders() -> None:
    assert [sum(map(len, rows.values())) for rows in (OF_MOODLE, OF_ROUTER)] == [190, 90]
    for expected, forms, _ in SENDERS:
        assert {name: len(rows) for name, rows in forms.items()} == {
            name: len(rows) for name, rows in expected.items()
        }
