"""Rows that name a person by name, in a place without an id, go from stored files; rows of others stay."""

import csv
import io
import json
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import xlsx

from edugraph_common.contracts.messages import Format, ImportJob
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_common.sources.chunking import RawRow
from edugraph_common.sources.person import ErasedPeople, Person
from edugraph_common.sources.persons import (
    MOST_CHARACTERS,
    PersonIndex,
    PersonIndexBuilder,
    is_current,
)
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.stored import index_persons, persons_key, stored_rows
from edugraph_common.sources.students import plain_hash
from edugraph_importer.batching import count_batches, read_batch, store_rejects, window
from edugraph_importer.erasure.files import erase_from_blobs

STUDENT = "ZQ0104"
NAMES = ("欧阳思齐", "Quillon Zephyr", "Zoë O'Neill", "阿依古丽·买买提")
WHO = Person(frozenset({STUDENT}), names=frozenset(NAMES))
MAPPING = parse_mapping(
    "{type: error_record, columns: {学号: student_id, 姓名: student_name, 错误: error_text, 备注: null},"
    " constants: {timestamp: '2026-01-01', course_id: c}}"
)
HEADER = ["学号", "姓名", "错误", "备注"]
AT = "2026-01-01T00:00:00Z"

# A text with a name -> rows. Rows of `theirs` name the person by name alone; those of `others` have another meaning.
Rows = Callable[[str], list[Any]]


def record(kind: str, /, record_id: str | None = None, **data: Any) -> dict[str, Any]:
    given_id = {} if record_id is None else {"record_id": record_id}
    return {"type": kind, "timestamp": AT, **given_id, "data": data}


def records_of_theirs(text: str) -> list[Any]:
    course = {"course_id": "c", "progress": 5}
    missing = [
        record("course_record", student_id=each, student_name=text, **course)
        for each in ("", " ", None, [], {})
    ]
    no_id = [
        record("course_record", student_name=text, **course),
        record("error_record", error_text=text, course_id="c"),
        record("attempt_record", item_id="q1", correct=True, pupil={"who": [text]}),
        record("course_record", **{text: 1}),
        record("no_such_type", title=text),
        record("membership_record", group_id="8A", student_name=text),
        record("person_record", also=["S1"], name=text),
        record("person_record", person_id=" ", also=["S1"], name=text),
        record("teacher_interaction", teacher_id="t1", text=text),
        {"student": text},
        [text],
        text,
        {"type": "course_record", "withdrawn": True, "data": {"course_name": text}},
        {**record("course_record", **course), "withdrawn": False, "record_id": text},
        record("error_record", error_text=json.dumps({"name": text})),
    ]
    one_of_two = [
        record(
            "student_interaction",
            student_id_from="S1",
            student_name_to=text,
            interaction_type="like",
        ),
        record(
            "student_interaction",
            student_id_to="S1",
            student_name_from=text,
            interaction_type="like",
        ),
        [record("course_record", student_id="S1"), record("course_record", student_name=text)],
    ]
    return [*missing, *no_id, *one_of_two]


def records_of_others(text: str) -> list[Any]:
    pair = {"student_id_from": "S1", "student_id_to": "S2", "interaction_type": "chat"}
    return [
        record("course_record", student_id="S1", student_name=text, course_id="c"),
        record("error_record", student_id="S1", error_text=text, course_id="c"),
        record("student_interaction", text=text, **pair),
        record("student_interaction", student_name_from=text, student_name_to=text, **pair),
        record("course_content", course_id="c", content=text, title=text),
        record("course_content", content=text),
        record("item_record", item_id="q1", title=text, question=text),
        record("person_record", person_id="S1", also=["S2"], name=text),
        record("point_record", name=text),
        record("term_record", term=text, name=text),
        record(
            "membership_record", group_id="8A", teacher_id="t1", teacher_name=text, group_name=text
        ),
        {"record_id": text, "timestamp": AT, "withdrawn": True},
    ]


def cells_of_theirs(text: str) -> list[Any]:
    blank = [[each, text, "wrong", ""] for each in ("", " ", "NULL", "#N/A", "1.23457E+11")]
    return [
        *blank,
        ["", "", text, ""],
        ["", "", "wrong", text],
        [text, "wrong"],
        ["S1", text, "wrong", "", "more"],
    ]


def cells_of_others(text: str) -> list[Any]:
    return [["S1", text, "wrong", ""], ["S1", "", text, text]]


def statement(**parts: Any) -> dict[str, Any]:
    activity = {"id": "http://x/c", "definition": {"type": "http://x/course"}}
    return {"verb": {"id": "http://x/completed"}, "object": activity, "timestamp": AT, **parts}


def agent(name: str) -> dict[str, Any]:
    return {"objectType": "Agent", "mbox": f"mailto:{name}"}


def statements_of_theirs(text: str) -> list[Any]:
    named = {"objectType": "Agent", "name": text}
    return [
        statement(actor=named),
        statement(actor={"account": {"homePage": "http://x"}, "name": text}),
        statement(actor=named, verb={"id": "http://x/never-heard"}),
        statement(actor={"objectType": "Group", "member": [named]}),
        statement(actor={"objectType": "Group", "member": [agent("S1"), named]}),
        statement(actor=agent("S1"), object=named, verb={"id": "http://x/liked"}),
        statement(actor=agent("S1"), context={"instructor": named}),
        statement(actor=agent("S1"), context={"team": {"objectType": "Group", "member": [named]}}),
        statement(result={"response": text}),
        {"statements": [statement(actor=named)]},
    ]


def statements_of_others(text: str) -> list[Any]:
    by_another = statement(actor={**agent("S1"), "name": text}, result={"response": text})
    about = {"id": "http://x/c", "definition": {"type": "http://x/course", "name": {"en": text}}}
    voids = {"objectType": "StatementRef", "id": "s1"}
    return [
        by_another,
        statement(actor=agent("S1"), object=about),
        statement(
            verb={"id": "http://adlnet.gov/expapi/verbs/voided"},
            object=voids,
            result={"response": text},
        ),
    ]


def events_of_theirs(text: str) -> list[Any]:
    posted = {"POST": {"name": [text]}, "GET": {}}
    return [
        {
            "name": "/create_account",
            "time": AT,
            "context": {"user_id": None},
            "event": json.dumps(posted),
        },
        {"name": "problem_check", "time": AT, "context": {}, "event": {"answers": {"a": text}}},
    ]


def events_of_others(text: str) -> list[Any]:
    return [{"name": "play_video", "time": AT, "context": {"user_id": 7}, "event": {"body": text}}]


class Form(NamedTuple):
    theirs: Rows
    others: Rows


FORMS: dict[Format, Form] = {
    "ndjson": Form(records_of_theirs, records_of_others),
    "csv": Form(cells_of_theirs, cells_of_others),
    "workbook": Form(lambda text: cells_of_theirs(text)[:6], cells_of_others),
    "xapi": Form(statements_of_theirs, statements_of_others),
    "openedx": Form(events_of_theirs, events_of_others),
}


def as_file(form: Format, rows: list[Any], *, escaped: bool) -> bytes:
    if form == "workbook":
        return xlsx({"A": [HEADER, *rows]})
    if form == "csv":
        out = io.StringIO()
        csv.writer(out).writerows([HEADER, *rows])
        return out.getvalue().encode()
    return "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows).encode()


def split(blobs: Blobs, form: Format, file: bytes) -> None:
    """Store a file as the importer does, with its rejects."""
    job = ImportJob(job_id=form, source=f"jobs/{form}/source.{form}", format=form, batch_size=3)
    with blobs.write(job.source or "") as target:
        target.write(file)
    if form in ("csv", "workbook"):
        store_mapping(blobs, form, MAPPING.model_copy(update={"encoding": "utf-8"}))
    total = count_batches(blobs, job)
    index_persons(blobs, form)
    for message in window(blobs, job, total):
        store_rejects(blobs, form, message.batch, read_batch(blobs, message).graph.rejects)


def lines_left(blobs: Blobs, job_id: str) -> list[int]:
    return [row.line for batch in stored_rows(blobs, job_id) for row in batch]


def all_rejects(blobs: Blobs, job_id: str) -> str:
    found = b"".join(blobs.read(key, 0, 1 << 30) for key in blobs.keys(f"jobs/{job_id}/rejects"))
    return "".join(json.dumps(json.loads(line), ensure_ascii=False) for line in found.splitlines())


names_in_text = st.builds(
    lambda name, change, before, behind: before + change(name) + behind,
    st.sampled_from(NAMES),
    st.sampled_from([str, str.upper, lambda name: unicodedata.normalize("NFD", name)]),
    st.sampled_from(["", "和", "_", "7", " "]),
    st.sampled_from(["", "的", "_", "7", " "]),
)


@pytest.mark.parametrize("form", sorted(FORMS))
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_each_row_that_names_the_person_by_name_alone_goes(
    tmp_path_factory: pytest.TempPathFactory, form: Format, data: st.DataObject
) -> None:
    """Out: `names` in StudentRows or in PersonIndexBuilder; each place of a name in `people_of_…`."""
    text = data.draw(names_in_text)
    rows = [(row, True) for row in FORMS[form].theirs(text)] + [
        (row, False) for row in FORMS[form].others(text)
    ]
    rows = data.draw(st.permutations(rows))[: data.draw(st.sampled_from([1, 5, len(rows)]))]
    blobs = Blobs(str(tmp_path_factory.mktemp("blobs")))
    whole = [row for row, _ in rows]
    filler = ["S9", "", "", ""] if form in ("csv", "workbook") else {"name": "nothing"}
    split(blobs, form, as_file(form, [*whole, filler], escaped=data.draw(st.booleans())))
    before = lines_left(blobs, form)
    assert len(before) == len(rows) + 1

    dry = erase_from_blobs(blobs, WHO, lambda _: False, lambda: None, dry_run=True)
    assert lines_left(blobs, form) == before
    erased = erase_from_blobs(blobs, WHO, lambda _: False, lambda: None)

    number = sum(is_theirs for _, is_theirs in rows)
    assert erased.counts == dry.counts
    assert erased.left == []
    assert erased.rows == number
    kept = [line for line, (_, is_theirs) in zip(before, rows, strict=False) if not is_theirs]
    assert lines_left(blobs, form) == [*kept, before[-1]]
    if number == len(rows):
        assert text.strip() not in all_rejects(blobs, form)
    assert erase_from_blobs(blobs, WHO, lambda _: False, lambda: None).rows == 0


LIST = parse_mapping(
    "{type: person_record, columns: {id: person_id, others: also, called: name}, list_separator: ';',"
    " constants: {timestamp: '2026-01-01'}}"
)
IDS = ("ZQ0104", "né-77", "Mia+Berg@school.example", "欧阳思齐", "ann.csv", "S-0104_x")


@pytest.mark.parametrize("student", IDS)
@settings(deadline=None, max_examples=5)
@given(name=names_in_text)
def test_a_row_of_a_list_of_ids_goes_by_each_of_its_ids_and_by_a_name_without_an_id(
    tmp_path_factory: pytest.TempPathFactory, student: str, name: str
) -> None:
    """Out: `is_of_person_record`, or NAME_OF_PERSON in `people` of a table; `also` in STUDENT_FIELDS."""
    theirs = [
        ["S1", f"a;{student};b", "X"],
        [student, "S5", "X"],
        ["S4", f" {student} ;", ""],
        ["", "a", name],
        ["NULL", "a", name],
    ]
    others = [["S2", f"{student}7", "Y"], ["S3", f"x{student};_{student}", name]]
    text = io.StringIO()
    csv.writer(text).writerows([["id", "others", "called"], *theirs, *others])
    blobs = Blobs(str(tmp_path_factory.mktemp("blobs")))
    job = ImportJob(job_id="list", source="jobs/list/source.csv", format="csv")
    with blobs.write(job.source or "") as target:
        target.write(text.getvalue().encode())
    store_mapping(blobs, "list", LIST)
    count_batches(blobs, job)
    index_persons(blobs, "list")
    who = Person(frozenset({student}), names=frozenset(NAMES))
    erased = erase_from_blobs(blobs, who, lambda _: False, lambda: None)
    assert erased.rows == len(theirs)
    assert lines_left(blobs, "list") == [len(theirs) + 2, len(theirs) + 3]


def test_rows_of_a_job_that_has_not_ended_are_left_and_told(tmp_path: Path) -> None:
    """Out: the sentence of its own. What is cleaned when a job ends is told by ids alone."""
    blobs = Blobs(str(tmp_path))
    split(
        blobs,
        "ndjson",
        as_file("ndjson", [record("error_record", error_text=NAMES[0])], escaped=False),
    )
    erased = erase_from_blobs(blobs, WHO, lambda _: True, lambda: None)
    assert erased.rows == 0
    assert erased.open_jobs == {"ndjson"}
    assert len(erased.left) == 2
    assert all("forget the student again, with this name" in each["reason"] for each in erased.left)
    assert len(lines_left(blobs, "ndjson")) == 1


def test_a_namesake_of_somebody_else_opens_no_file(tmp_path: Path) -> None:
    """Out: the pieces of names in the index, so that each file with a row without an id is opened."""
    blobs = Blobs(str(tmp_path))
    rows = [record("course_record", student_name="Somebody Else", course_id="c")]
    split(blobs, "ndjson", as_file("ndjson", rows, escaped=False))
    index = PersonIndex(blobs.read(persons_key("ndjson"), 0, 1 << 20))
    assert not index.may_hold(WHO.ids, {*WHO.ids, *WHO.names})
    assert index.may_hold((), ["Somebody Else"])
    assert index.may_hold((), ["somebody"])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Quillon Zephyr", "Quillon_Zephyr"),
        ("Quillon Zephyr", "QUILLON  zephyr"),
        ("Quillon Zephyr", "Ｑｕｉｌｌｏｎ\u3000Ｚｅｐｈｙｒ"),
        ("Quillon Zephyr", "Quil\u00adlon Zephyr"),
        ("阿依古丽·买买提", "阿依古丽买买提"),
        ("阿依古丽买买提", "阿依古丽\u200b买买提"),
        ("阿依古丽·买买提", "阿依古丽・买买提"),
        ("Zoë O'Neill", "zoe\u0308 o’neill"),
        ("Zoë O'Neill", "Zo&euml; O&#39;Neill"),
        ("Zoë O'Neill", "Zo%C3%AB%20O%27Neill"),
        ("欧阳思齐", "&amp;#27431;&#38451;\\u601d&#x9f50;"),
        ("欧阳思齐", "欧 阳 思 齐"),
        ("Quillon Zephyr", "Q-u-i-l-l-o-n Zephyr"),
    ],
)
def test_a_file_with_another_spelling_of_the_name_is_opened(name: str, written: str) -> None:
    """Out: `fixed_parts`, `as_searched` or `readings_of` in persons.py."""
    builder = PersonIndexBuilder(ReadPlan())
    row = json.dumps(record("course_record", student_name=written, course_id="c")).encode()
    builder.add([RawRow(1, row)])
    index = PersonIndex(builder.to_bytes())
    assert Person(frozenset(), names=frozenset({name})).is_written_in(written)
    assert index.may_hold((), [name])
    assert not index.may_hold((), [f"{name}x"])


def test_an_index_of_very_many_texts_denies_no_word() -> None:
    """Out: the bound, so that a file of nothing but rejects costs a minute. Or the flag, so that it denies a name."""
    builder = PersonIndexBuilder(ReadPlan())
    for line in range(MOST_CHARACTERS // 1_000 + 2):
        raw = json.dumps({"student": f"{line:x>1000}"}).encode()
        builder.add([RawRow(line, raw)])
    builder.add([RawRow(1, json.dumps(record("course_record", student_name=NAMES[0])).encode())])
    data = builder.to_bytes()
    assert len(data) < 100
    assert PersonIndex(data).may_hold((), [NAMES[0]])
    assert not PersonIndex(data).may_hold([STUDENT], [])


def test_a_text_that_many_rows_have_is_one_text_of_the_index() -> None:
    """Out: `_texts` of PersonIndexBuilder, so that empty columns and equal rejects make the index slow and useless."""
    builder = PersonIndexBuilder(ReadPlan())
    raw = json.dumps({"student": f"{NAMES[0]} {'x' * 1_000}"}).encode()
    builder.add(RawRow(line, raw) for line in range(MOST_CHARACTERS // 1_000 + 2))
    index = PersonIndex(builder.to_bytes())
    assert index.may_hold((), [NAMES[0]])
    assert not index.may_hold((), [NAMES[1]])


def test_a_mapping_that_gives_the_name_by_itself_loses_it(tmp_path: Path) -> None:
    """Out: the names of a mapping in the index, or in `_erase_plan`."""
    blobs = Blobs(str(tmp_path))
    mapping = parse_mapping(
        "{type: error_record, columns: {学号: student_id, 称: student_name, 错误: error_text},"
        f" constants: {{timestamp: '2026-01-01', course_id: c}}, values: {{student_name: {{o: {NAMES[0]}, p: Ann}}}}}}"
    )
    job = ImportJob(job_id="j", source="jobs/j/source.csv", format="csv")
    with blobs.write(job.source or "") as file:
        file.write("学号,称,错误\nS1,p,x\n".encode())
    store_mapping(blobs, "j", mapping)
    count_batches(blobs, job)
    index_persons(blobs, "j")
    erase_from_blobs(blobs, WHO, lambda _: False, lambda: None)
    plans = [
        blobs.read(f"jobs/j/{name}", 0, 1 << 20).decode()
        for name in ("mapping.json", "reading.json")
    ]
    assert [NAMES[0] in plan for plan in plans] == [False, False]
    assert all("Ann" in plan for plan in plans)
    assert len(lines_left(blobs, "j")) == 1


@pytest.mark.parametrize("old", [struct.pack(">Q?", 0, False), b"", b"persons1 of another form"])
def test_an_index_of_another_form_is_not_trusted_and_written_again(
    tmp_path: Path, old: bytes
) -> None:
    """Out: `is_current` in a method of the index, in `erase_job` or in `has_person_index`. The person stayed in files of an earlier release."""
    blobs = Blobs(str(tmp_path))
    rows = [record("course_record", student_name=NAMES[0], course_id="c")]
    split(blobs, "ndjson", as_file("ndjson", rows, escaped=False))
    written = blobs.read(persons_key("ndjson"), 0, 1 << 20)
    with blobs.write(persons_key("ndjson")) as file:
        file.write(old)
    dry = erase_from_blobs(blobs, WHO, lambda _: False, lambda: None, dry_run=True)
    erased = erase_from_blobs(blobs, WHO, lambda _: False, lambda: None)
    assert (dry.rows, erased.rows) == (1, 1)
    assert lines_left(blobs, "ndjson") == []

    for write_again in (
        lambda: erase_from_blobs(blobs, WHO, lambda _: False, lambda: None),
        lambda: index_persons(blobs, "ndjson"),
    ):
        with blobs.write(persons_key("ndjson")) as file:
            file.write(old)
        write_again()
        again = blobs.read(persons_key("ndjson"), 0, 1 << 20)
        assert is_current(again)
        assert len(again) < len(written), "the person is not in the rows any more"
    assert PersonIndex(old).may_hold([STUDENT], [])
    assert PersonIndex(old).has_one_of(lambda _: False)


@settings(deadline=None, max_examples=40)
@given(
    files=st.lists(
        st.lists(st.sampled_from(["4", "S0104", "S01", "14", "学-7"]), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    ),
    erased=st.sets(st.sampled_from(["4", "S0104", "S01", "14", "学-7"]), max_size=2),
)
def test_people_known_by_tombstones_alone_are_found_by_the_index(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], erased: set[str]
) -> None:
    """Cleaning and `erasures replay` know hashes of ids. Out: `has_one_of`, or its ids, or the question to the index."""
    hashes = {plain_hash(each) for each in erased}
    blobs = Opened(str(tmp_path_factory.mktemp("blobs")))
    for number, students in enumerate(files):
        job = ImportJob(job_id=f"j{number}", source=f"jobs/j{number}/source.ndjson")
        rows = [record("course_record", student_id=each, course_id="c") for each in students]
        with blobs.write(job.source or "") as file:
            file.write(as_file("ndjson", rows, escaped=False))
        count_batches(blobs, job)
        index_persons(blobs, job.job_id)
    blobs.opened.clear()
    found = erase_from_blobs(
        blobs, ErasedPeople(hashes.__contains__), lambda _: False, lambda: None
    )
    assert blobs.opened == {
        f"j{number}" for number, students in enumerate(files) if erased & set(students)
    }
    assert found.rows == sum(each in erased for students in files for each in students)
    for number in range(len(files)):
        for batch in stored_rows(blobs, f"j{number}"):
            assert not [
                raw for raw in batch.raws if json.loads(raw)["data"]["student_id"] in erased
            ]


class Opened(Blobs):
    """A blob store that notes of which jobs the rows are opened."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.opened: set[str] = set()

    def open(self, key: str) -> Any:
        if key.endswith("rows.zst"):
            self.opened.add(key.split("/")[1])
        return super().open(key)
