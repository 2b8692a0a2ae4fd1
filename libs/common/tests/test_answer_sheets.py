"""Answer sheets of Typeform and Tally become the records that their answers mean."""

import copy
import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import InvalidRecord, Record
from edugraph_common.sources import parse_mapping
from edugraph_common.sources.answer_sheets import columns_of, records_of_sheet
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile

SUBMITTED = "2026-09-21T17:02:02Z"
WORDS = ("Paris", "London", "北京")
RIGHT = "Paris"


class Question(NamedTuple):
    """A question of a made-up form. An `answer` is a number of points, a choice, or None if there is none."""

    title: str
    is_number: bool
    answer: int | str | None


def typeform(questions: list[Question], pupil: str) -> dict[str, Any]:
    fields = []
    answers = []
    for number, question in enumerate(questions):
        kind = "number" if question.is_number else "multiple_choice"
        field: dict[str, Any] = {"id": f"f{number}", "type": kind}
        fields.append({**field, "title": question.title})
        if question.answer is None:
            continue
        if question.is_number:
            given_answer: dict[str, Any] = {"type": "number", "number": question.answer}
        else:
            given_answer = {"type": "choice", "choice": {"label": question.answer}}
        answers.append({**given_answer, "field": field})
    sheet = {
        "token": "t-1",
        "submitted_at": SUBMITTED,
        "hidden": {"pupil": pupil},
        "definition": {"id": "form", "fields": fields},
        "answers": answers,
    }
    return {"event_id": "e", "event_type": "form_response", "form_response": sheet}


def tally(questions: list[Question], pupil: str) -> dict[str, Any]:
    fields: list[dict[str, Any]] = []
    fields.append({"key": "k", "label": "pupil", "type": "HIDDEN_FIELDS", "value": pupil})
    for question in questions:
        field: dict[str, Any] = {"key": "k", "label": question.title}
        if question.is_number:
            fields.append({**field, "type": "INPUT_NUMBER", "value": question.answer})
            continue
        value = None
        if question.answer is not None:
            value = [f"id {question.answer}"]
        options = [{"id": f"id {word}", "text": word} for word in WORDS]
        fields.append({**field, "type": "MULTIPLE_CHOICE", "value": value, "options": options})
    data = {"responseId": "r", "respondentId": "p", "createdAt": SUBMITTED, "fields": fields}
    return {"eventId": "e", "eventType": "FORM_RESPONSE", "data": data}


SUBMITTED_IN = {typeform: "Submit Date (UTC)", tally: "Submitted at"}


def mapping_for(time_column: str, numbers: list[str], choices: list[str]) -> Mapping:
    """Return the mapping of a form: numbers are points of ten, and a choice is worth all or nothing."""
    shares = {word: 1 if word == RIGHT else 0 for word in WORDS}
    scale = dict.fromkeys(numbers, 10) | dict.fromkeys(choices, 1)
    value = {
        "type": "attempt_record",
        "columns": {"pupil": "student_id", time_column: "timestamp"},
        "constants": {"course_id": "Geo"},
        "values": {"score": shares},
        "items": {"columns": [*numbers, *choices], "scale": scale},
        "ignore_other_columns": True,
    }
    return parse_mapping(json.dumps(value))


questions_ = st.lists(
    st.one_of(
        st.builds(
            Question,
            st.text("abcé问", min_size=1, max_size=8),
            st.just(True),
            st.none() | st.integers(0, 10),
        ),
        st.builds(
            Question,
            st.text("xyzü题", min_size=1, max_size=8),
            st.just(False),
            st.none() | st.sampled_from(WORDS),
        ),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda question: question.title,
)


@pytest.mark.parametrize("tool", [typeform, tally])
@given(questions=questions_)
def test_each_answer_is_an_attempt(tool: Any, questions: list[Question]) -> None:
    """Guard: the answers of a sheet by the ids of their questions, and not by their order."""
    numbers = [question.title for question in questions if question.is_number]
    choices = [question.title for question in questions if not question.is_number]
    mapping = mapping_for(SUBMITTED_IN[tool], numbers, choices)
    records = records_of_sheet(tool(questions, "s-1"), mapping)
    expected = {}
    for question in questions:
        if question.answer is None:
            continue
        if question.is_number:
            assert isinstance(question.answer, int)
            expected[question.title] = question.answer / 10
        else:
            expected[question.title] = float(question.answer == RIGHT)
    found = {}
    for record in records:
        data: Any = record.data
        assert (data.student_id, data.course_id) == ("s-1", "Geo")
        assert record.time == "2026-09-21T17:02:02.000000Z"
        found[data.item_id] = data.score
    assert found == expected
    again = records_of_sheet(tool(questions, "s-1"), mapping)
    assert [each.record_id for each in again] == [each.record_id for each in records]


SHEETS = {
    "typeform": typeform([Question("n", True, 3), Question("c", False, "London")], "s-1"),
    "tally": tally([Question("n", True, 3), Question("c", False, "London")], "s-1"),
}
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places_of(value: Any) -> list[tuple[Any, ...]]:
    """Return the paths of all values within a value."""
    found: list[tuple[Any, ...]] = [()]
    steps: list[Any] = []
    if isinstance(value, dict):
        steps = list(value)
    elif isinstance(value, list):
        steps = list(range(len(value)))
    for step in steps:
        found += [(step, *rest) for rest in places_of(value[step])]
    return found


@pytest.mark.parametrize("tool", SHEETS)
@given(data=st.data())
def test_a_broken_sheet_is_one_sentence(tool: str, data: st.DataObject) -> None:
    """Guard: `_OTHER_FORM`. Without one of them a sheet of another form is a bug of ours."""
    sheet = copy.deepcopy(SHEETS[tool])
    *path, last = data.draw(st.sampled_from([each for each in places_of(sheet) if each]))
    inner: Any = sheet
    for step in path:
        inner = inner[step]
    inner[last] = data.draw(values)
    time_column = {"typeform": "Submit Date (UTC)", "tally": "Submitted at"}[tool]
    try:
        records = records_of_sheet(sheet, mapping_for(time_column, ["n"], ["c"]))
    except (MalformedFile, InvalidRecord):
        return
    assert all(isinstance(each, Record) for each in records)


@pytest.mark.parametrize(("tool", "name"), [("typeform", "submitted_at"), ("tally", "createdAt")])
def test_a_sheet_with_an_empty_date_is_one_sentence(tool: str, name: str) -> None:
    """Out: the blank cell of `_date_cell`."""
    sheet = copy.deepcopy(SHEETS[tool])
    part = sheet["form_response"] if tool == "typeform" else sheet["data"]
    assert part[name]
    part[name] = ""
    time_column = {"typeform": "Submit Date (UTC)", "tally": "Submitted at"}[tool]
    with pytest.raises(InvalidRecord):
        records_of_sheet(sheet, mapping_for(time_column, ["n"], ["c"]))


@given(value=values)
def test_another_body_is_no_answer_sheet(value: Any) -> None:
    with pytest.raises(MalformedFile, match="not an answer sheet of Typeform or Tally"):
        columns_of(value)


def test_cells_of_typeform_have_the_types_of_their_answers() -> None:
    answers: dict[str, Any] = {
        "long": {"type": "text", "text": "Because\nof it"},
        "mail": {"type": "email", "email": "s@school.example"},
        "yes": {"type": "boolean", "boolean": False},
        "day": {"type": "date", "date": "2026-09-20"},
        "one": {"type": "choice", "choice": {"other": "Rome"}},
        "many": {"type": "choices", "choices": {"labels": ["a", "b"], "other": "c"}},
        "file": {"type": "file_url", "file_url": "https://files.example/1"},
    }
    fields = []
    given_answers = []
    for name, answer in answers.items():
        fields.append({"id": name, "title": f" {name} "})
        given_answers.append({**answer, "field": {"id": name}})
    inner = {"id": "g", "title": "A group", "properties": {"fields": fields}}
    form = {
        "token": "t-1",
        "submitted_at": SUBMITTED,
        "hidden": None,
        "variables": [{"key": "score", "type": "number", "number": 4}],
        "definition": {"fields": [inner, {"id": "open", "title": "open"}]},
        "answers": given_answers[::-1],
    }
    assert columns_of({"form_response": form}) == [
        ("#", "t-1"),
        ("long", "Because\nof it"),
        ("mail", "s@school.example"),
        ("yes", False),
        ("day", {"date": "2026-09-20"}),
        ("one", "Rome"),
        ("many", ["a", "b", "c"]),
        ("file", {"other": "file_url"}),
        ("open", None),
        ("score", 4),
        ("Submit Date (UTC)", {"date": SUBMITTED}),
    ]


def test_cells_of_tally_have_the_types_of_their_answers() -> None:
    options = [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
    fields: list[dict[str, Any]] = [
        {"label": "long", "type": "TEXTAREA", "value": "Because"},
        {"label": "day", "type": "INPUT_DATE", "value": "2026-09-20"},
        {"label": "one", "type": "DROPDOWN", "value": ["2"], "options": options},
        {"label": "many", "type": "CHECKBOXES", "value": ["1"], "options": options},
        {"label": "many (a)", "type": "CHECKBOXES", "value": True},
        {"label": "none", "type": "MULTIPLE_CHOICE", "value": [], "options": options},
        {
            "label": "file",
            "type": "FILE_UPLOAD",
            "value": [{"id": "f", "url": "https://x.example"}],
        },
        {"label": "score", "type": "CALCULATED_FIELDS", "value": 4},
    ]
    data = {"responseId": "r", "respondentId": "p", "createdAt": SUBMITTED, "fields": fields}
    assert columns_of({"eventType": "FORM_RESPONSE", "data": data}) == [
        ("Submission ID", "r"),
        ("Respondent ID", "p"),
        ("Submitted at", {"date": SUBMITTED}),
        ("long", "Because"),
        ("day", {"date": "2026-09-20"}),
        ("one", "b"),
        ("many", ["a"]),
        ("many (a)", True),
        ("none", None),
        ("file", {"other": "FILE_UPLOAD"}),
        ("score", 4),
    ]


def test_two_questions_with_one_title_are_refused_if_the_mapping_reads_them() -> None:
    """Guard: `check_columns` in `table_lines`. Without it one of the two answers is lost."""
    twice = typeform([Question("n", True, 1), Question("n", True, 2)], "s-1")
    with pytest.raises(MalformedFile, match="n more than once"):
        records_of_sheet(twice, mapping_for("Submit Date (UTC)", ["n"], []))


def test_a_cell_that_cannot_be_read_refuses_the_whole_sheet() -> None:
    sheet = typeform([Question("n", True, 3), Question("c", False, "Oslo")], "s-1")
    with pytest.raises(InvalidRecord, match=r"c \(data\.score\)") as refused:
        records_of_sheet(sheet, mapping_for("Submit Date (UTC)", ["n"], ["c"]))
    assert "Oslo" not in str(refused.value)
