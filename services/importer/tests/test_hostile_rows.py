"""One hostile row takes none of its neighbours with it: from the file down to what is sent to the graph."""

import csv
import importlib
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.messages import Format, ImportBatch, ImportJob
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_importer.batching import ReadBatch, count_batches, read_batch, store_rejects, window
from edugraph_importer.graph import apply, record_facts
from edugraph_importer.graph.unit_of_work import UnitOfWork
from edugraph_importer.graph.versions import ErasedStudents, WithdrawnRecords, classify
from edugraph_importer.service import Importer

LONGEST_INDEXED = 8_167  # bytes, of Neo4j
TYPES = (
    "student_interaction",
    "teacher_interaction",
    "course_record",
    "error_record",
    "course_content",
    "attempt_record",
    "item_record",
)
FIELDS = (
    "student_id", "student_id_from", "student_id_to", "interaction_type", "teacher_id", "course_id", "topics", "text",
    "error_text", "error_type", "content", "progress", "message_count", "enrollment_date", "course_ids", "unknown",
    "item_id", "correct", "score", "response", "knowledge_points", "attempt_number",
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
)  # fmt: skip
value = st.one_of(
    text.map(json.dumps),
    st.sampled_from(["NaN", "-Infinity", "1e999", "9" * 5_000, "true", "null", "-0", "{}", "[]", nested(990)]),
    st.sampled_from([nested(5_000), nested(400, '{"a":', "}").replace("{}", "{1}"), nested(990, '{"a":[', "]}")]),
    st.lists(text, max_size=3).map(json.dumps),
    st.dictionaries(text, text, max_size=2).map(json.dumps),
    st.integers().map(str),
)


def json_object(keys: tuple[str, ...]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(st.one_of(st.sampled_from(keys), text), value), max_size=6)
    return pairs.map(lambda found: "{" + ", ".join(f"{json.dumps(key)}: {item}" for key, item in found) + "}")


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
    st.one_of(st.sampled_from(["completed", "answered", "commented", "liked"]).map(json.dumps), value),
    json_object(("id", "definition", "mbox", "objectType", "name")),
    json_object(("success", "response", "score", "duration", "extensions")),
    json_object(("contextActivities", "instructor")),
    value,
)
event = st.builds(
    '{{"name": {}, "time": {}, "context": {}, "event": {}}}'.format,
    st.one_of(st.sampled_from(["problem_check", "edx.forum.comment.created"]).map(json.dumps), value),
    value,
    json_object(("user_id", "username", "course_id", "module")),
    json_object(("user_id", "success", "answers", "submission", "body", "target_username", "percent_grade")),
)
anything = st.one_of(value, st.sampled_from(["{", "}", '{"a": "', "x" * 2_000, nested(990), "[" * 5_000]))


def written(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([cell.encode(errors="ignore").decode() for cell in cells])
    return line.getvalue()[:-1]


table_row = st.one_of(st.lists(text, min_size=19, max_size=19).map(written), st.just('x"'), st.just("x," * 66_000))
HOSTILE: dict[Format, st.SearchStrategy[str]] = {
    "ndjson": st.one_of(record, anything),
    "xapi": st.one_of(statement, anything),
    "openedx": st.one_of(event, anything),
    "csv": table_row,
}


def good_record(number: int) -> str:
    people = {"student_id_from": f"good{number}", "student_id_to": "x", "interaction_type": "chat", "topics": ["t"]}
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
    return f"student_interaction,2026-01-01,,,good{number},x,chat" + "," * 18


GOOD: dict[Format, Callable[[int], str]] = {
    "ndjson": good_record,
    "xapi": good_statement,
    "openedx": good_event,
    "csv": good_row,
}
HEADER = ",".join(["art", "zeit", "id", *(name for name in FIELDS if name != "unknown"), "more"]) + "\n"


def batch_of(blobs: Blobs, form: Format, lines: list[str]) -> ReadBatch:
    body = (HEADER if form == "csv" else "") + "".join(line + "\n" for line in lines)
    with blobs.write("jobs/j/source") as file:
        file.write(body.encode())
    if form == "csv":
        store_mapping(blobs, "j", MAPPING)
    job = ImportJob(job_id="j", source="jobs/j/source", format=form, batch_size=1_000)
    (message,) = window(blobs, job, count_batches(blobs, job))
    return read_batch(blobs, ImportBatch.model_validate_json(message.model_dump_json()))


class NobodyErased(ErasedStudents):
    def __init__(self) -> None:
        self._students = frozenset()


class NothingWithdrawn(WithdrawnRecords):
    def __init__(self) -> None:
        self._before = self._now = frozenset()


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


@given(
    form_and_hostile=st.sampled_from(sorted(HOSTILE)).flatmap(
        lambda form: st.tuples(st.just(form), st.lists(HOSTILE[form], min_size=1, max_size=6))
    )
)
@settings(max_examples=50, deadline=None)
def test_good_rows_arrive_whatever_stands_between_them(
    tmp_path_factory: pytest.TempPathFactory, form_and_hostile: tuple[Format, list[str]]
) -> None:
    form, hostile = form_and_hostile
    blobs = Blobs(str(tmp_path_factory.mktemp("blobs")))
    lines = [GOOD[form](-1)]
    for number, line in enumerate(hostile):
        lines += [line.replace("\n", " ") if form != "csv" else line, GOOD[form](number)]
    found = batch_of(blobs, form, lines)
    students = {student for _, each in found.graph.records for _, student in record_facts.students(each)}
    assert {f"good{number}" for number in range(-1, len(hostile))} <= students
    assert all(reject.field and reject.reason for reject in found.graph.rejects)

    store_rejects(blobs, "j", 0, found.graph.rejects)
    classified = classify(found.graph.records, {}, NobodyErased(), NothingWithdrawn())
    staged = UnitOfWork.staged()
    for record in classified.records:
        staged.add(record_facts.facts_of(record))
    can_be_sent([staged.rows, staged.fields, staged.learns, [*staged.mistakes]])
    for _, node_id in staged.nodes:
        assert len(node_id.encode()) <= LONGEST_INDEXED
    outcome = apply._batch_outcome(found.graph, classified, Counter[str](), 0.0)
    outcome.model_copy(update={"not_relevant": found.not_relevant}).model_dump_json()
    json.dumps([reject.model_dump() for reject in found.graph.rejects], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "where",
    [
        "edugraph_common.sources.rows.parse_row",
        "edugraph_common.sources.read_plan.parse_row",
        "edugraph_importer.batching.derive_facts",
    ],
)
@pytest.mark.parametrize("inline", [True, False])
def test_a_bug_in_one_row_is_a_reject_of_that_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, inline: bool
) -> None:
    module, name = where.rsplit(".", 1)
    original = getattr(importlib.import_module(module), name)

    def broken(given: Any) -> Any:
        whole = given.to_json() if isinstance(given, Record) else given
        if whole["data"]["student_id_from"] == "good1":
            raise KeyError("secret")
        return original(given)

    monkeypatch.setattr(where, broken)
    lines = [good_record(number) for number in range(3)]
    if inline:
        message = ImportBatch(job_id="j", batch=0, records=tuple(map(json.loads, lines)))
        found = read_batch(Blobs(str(tmp_path)), message)
    else:
        found = batch_of(Blobs(str(tmp_path)), "ndjson", lines)
    if ("rows" in where) is inline or "derive" in where:
        assert [line for line, _ in found.graph.records] == [1, 3]
        (reject,) = found.graph.rejects
        assert (reject.line, reject.reason) == (2, "cannot be read (KeyError)")
        assert "good1" in (reject.raw or "")


def test_counting_the_rows_of_a_failed_batch_never_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise OverflowError

    monkeypatch.setattr("edugraph_importer.service.read_batch", broken)
    settled: list[Any] = []
    monkeypatch.setattr(Importer, "_settle", lambda _, outcome: settled.append(outcome))
    nothing = cast("Any", None)
    jobs = cast("Any", SimpleNamespace(failed_in_a_row=lambda _: 1))
    importer = Importer(app=nothing, graph=nothing, jobs=jobs, blobs=Blobs(str(tmp_path)), now=nothing)
    outcome = importer.batch_failed(ImportBatch(job_id="j", batch=0), "it failed")
    assert (outcome.state, outcome.failed, settled) == ("failed", 0, [outcome])


def test_a_reject_can_always_be_stored() -> None:
    text = "ok \ud83d"
    reject = Reject(line=1, field=text, expected=text, found=text, reason=text, raw=text)
    assert json.loads(reject.model_dump_json())["found"] == "ok \\ud83d"
