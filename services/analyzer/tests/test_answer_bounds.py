"""What an answer of a model may hold: the last value that is taken and the first that is not, and what it becomes."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_analyzer.documents import Person, read_document
from edugraph_analyzer.findings.mapping import MappingContext, same_name, to_finding
from edugraph_analyzer.findings.schema import (
    ANSWER_OF,
    Answer,
    as_answer,
    parse_answers,
    read_json,
    schema_of,
)
from edugraph_analyzer.redaction import Redactor
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import CourseContext

TYPE, LINK = (
    {"name": "sign error", "confidence": 0.9},
    {"name": "terms", "strength": 0.8, "confidence": 0.7},
)
POINT = {"name": "slope", "description": "rise over run", "category": "lines", "importance": "core"}
NEED = {"quote": "said", "point": "slope", "requires": "ratio", "confidence": 0.9}
SAMPLES: dict[Kind, dict[str, Any]] = {
    "interaction": {
        "id": "r",
        "sentiment": "positive",
        "topics": ["t"],
        "evidence": ["said"],
        "confidence": 0.9,
    },
    "error": {
        "id": "r",
        "shows_mistake": "yes",
        "evidence": ["said"],
        "what_went_wrong": "Adds what must be multiplied.",
        "error_types": [TYPE],
        "knowledge_points": [LINK],
        "difficulty": "beginner",
        "severity": "high",
        "confidence": 0.9,
    },
    "knowledge_points": {
        "id": "r",
        "knowledge_points": [POINT],
        "prerequisites": [NEED],
        "evidence": ["said"],
        "confidence": 0.9,
    },
}
LABELS = (["x", "x" * 500], ["", "  ", "\n", "x" * 501, 7, None, ["x"]])
SHARES = (
    [
        (0, 0),
        (0.5, 0.5),
        (1, 1),
        (85, 0.85),
        (100, 1),
        ("0.85", 0.85),
        ("0,85", 0.85),
        (".85", 0.85),
        ("1 %", 0.01),
    ]
    + [(" 85 % ", 0.85), ("８５％", 0.85), ('"85 percent"', 0.85), ("85", 0.85), (10.5, 0.105)],
    # From 1 to 10 it may be a share of ten or a percent.
    [
        -0.01,
        1.01,
        9,
        10,
        100.1,
        "9",
        "many",
        "",
        "85 % or so",
        "nan",
        "-1",
        float("nan"),
        float("inf"),
        10**400,
    ]
    + [None, True, [0.5], {"value": 0.5}],
)
SENTIMENTS, IMPORTANCES = ["positive", "neutral", "negative"], ["core", "supplementary"]
OTHER_WORDS: list[Any] = ["glad", "", None, 1, ["positive"], {}]


def read_as(kind: Kind, field: str, value: Any) -> Any:
    """Return the field of the sample's answer with this value in it."""
    answer = as_answer(kind, {**SAMPLES[kind], field: value})
    assert not isinstance(answer, str), (value, answer)
    return getattr(answer, field)


@pytest.mark.parametrize("kind", ANSWER_OF)
def test_a_confidence_is_a_share_however_it_is_written(kind: Kind) -> None:
    for value, share in SHARES[0]:
        assert read_as(kind, "confidence", value) == pytest.approx(share)
    for value in SHARES[1]:
        problem = as_answer(kind, {**SAMPLES[kind], "confidence": value})
        assert isinstance(problem, str), value
        assert problem.startswith("confidence")


def test_a_sentiment_is_one_of_three() -> None:
    for sentiment in SENTIMENTS:
        assert read_as("interaction", "sentiment", f" “{sentiment.upper()}”. ") == sentiment
    for value in OTHER_WORDS:
        assert str(
            as_answer("interaction", {**SAMPLES["interaction"], "sentiment": value})
        ).startswith("sentiment")


LISTS: list[tuple[Kind, str, int, Any]] = [
    *((kind, "evidence", 3, "q") for kind in ANSWER_OF),
    ("interaction", "topics", 5, "t"),
    ("error", "error_types", 3, TYPE),
    ("error", "knowledge_points", 5, LINK),
    ("knowledge_points", "knowledge_points", 15, POINT),
    ("knowledge_points", "prerequisites", 15, NEED),
]


@pytest.mark.parametrize(("kind", "field", "most", "entry"), LISTS)
def test_a_list_is_read_up_to_its_bound_and_may_be_one_entry_alone(
    kind: Kind, field: str, most: int, entry: Any
) -> None:
    assert len(read_as(kind, field, [entry] * most)) == most
    assert len(read_as(kind, field, [entry] * (most + 1))) == most
    assert len(read_as(kind, field, [*[7] * most, *[entry] * most])) == most
    assert len(read_as(kind, field, entry)) == 1
    assert read_as(kind, field, []) == []
    assert read_as(kind, field, None) == []


PARTS: list[tuple[Kind, str, dict[str, Any], str, tuple[list[Any], list[Any]]]] = [
    ("error", "error_types", TYPE, "name", LABELS),
    ("error", "error_types", TYPE, "confidence", ([given for given, _ in SHARES[0]], SHARES[1])),
    ("error", "knowledge_points", LINK, "name", LABELS),
    ("error", "knowledge_points", LINK, "strength", ([given for given, _ in SHARES[0]], SHARES[1])),
    (
        "error",
        "knowledge_points",
        LINK,
        "confidence",
        ([given for given, _ in SHARES[0]], SHARES[1]),
    ),
    ("knowledge_points", "knowledge_points", POINT, "name", LABELS),
    ("knowledge_points", "knowledge_points", POINT, "importance", (IMPORTANCES, OTHER_WORDS)),
    ("knowledge_points", "prerequisites", NEED, "point", LABELS),
    ("knowledge_points", "prerequisites", NEED, "requires", LABELS),
    (
        "knowledge_points",
        "prerequisites",
        NEED,
        "confidence",
        ([given for given, _ in SHARES[0]], SHARES[1]),
    ),
]


@pytest.mark.parametrize(("kind", "field", "entry", "part", "values"), PARTS)
def test_one_bad_point_costs_that_point_only(
    kind: Kind, field: str, entry: dict[str, Any], part: str, values: tuple[list[Any], list[Any]]
) -> None:
    without = {name: value for name, value in entry.items() if name != part}
    for value in values[0]:
        assert len(read_as(kind, field, [{**entry, part: value}, entry])) == 2, value
    for bad in (without, *({**entry, part: value} for value in values[1])):
        assert len(read_as(kind, field, [bad, entry])) == 1, bad


def test_a_label_is_bounded_and_a_topic_that_is_none_is_left_out() -> None:
    assert read_as("interaction", "topics", [*LABELS[1], "t"]) == ["t"]
    assert read_as("interaction", "topics", LABELS[0]) == LABELS[0]


@pytest.mark.parametrize("field", ["difficulty", "severity"])
def test_a_level_that_is_none_of_the_list_is_missing(field: str) -> None:
    for value in ("hard", 3, [], {}, None):
        assert read_as("error", field, value) is None
    named = "Beginner" if field == "difficulty" else " HIGH "
    assert read_as("error", field, named) == named.strip().lower()


def test_a_description_or_category_that_cannot_be_read_is_missing_and_a_long_text_is_cut() -> None:
    def point(**changed: Any) -> Any:
        return read_as("knowledge_points", "knowledge_points", [{**POINT, **changed}])[0]

    assert point(description="x" * 1_001).description == "x" * 1_000
    for value in (None, 7, ["x"]):
        assert point(description=value).description is None
        assert point(category=value).category is None
    assert point(category="x" * 501).category is None
    assert read_as("interaction", "evidence", ["q" * 2_001]) == ["q" * 2_000]


def test_an_answer_of_whose_points_none_can_be_read_is_not_valid() -> None:
    nothing = {"error_types": [{"name": "x"}], "knowledge_points": ["x"]}
    assert str(as_answer("error", SAMPLES["error"] | nothing)).startswith("error_types: none")
    assert not isinstance(
        as_answer("error", SAMPLES["error"] | {"error_types": [{"name": "x"}]}), str
    )
    assert not isinstance(
        as_answer("error", SAMPLES["error"] | {"error_types": [], "knowledge_points": []}), str
    )
    assert "none" in str(
        as_answer("knowledge_points", SAMPLES["knowledge_points"] | {"knowledge_points": [{}]})
    )


NEEDED: dict[Kind, set[str]] = {
    "interaction": {"id", "sentiment", "confidence"},
    "error": {"id", "error_types", "knowledge_points", "confidence"},
    "knowledge_points": {"id", "knowledge_points", "confidence"},
}


@pytest.mark.parametrize("kind", ANSWER_OF)
def test_what_an_answer_needs_must_be_there_and_what_nobody_asked_for_is_ignored(
    kind: Kind,
) -> None:
    for field in SAMPLES[kind]:
        missing = {name: value for name, value in SAMPLES[kind].items() if name != field}
        assert isinstance(as_answer(kind, missing), str) == (field in NEEDED[kind])
    more = {**SAMPLES[kind], "reasoning": "first …", "more": {"deep": [1]}}
    assert as_answer(kind, more) == as_answer(kind, SAMPLES[kind])


@pytest.mark.parametrize("kind", ANSWER_OF)
def test_an_answer_is_not_changed_once_it_was_checked(kind: Kind) -> None:
    read: Any = as_answer(kind, SAMPLES[kind])
    with pytest.raises(ValidationError):
        read.confidence = 0.1


def test_three_problems_are_told_at_most() -> None:
    assert str(as_answer("error", {})).count("Field required") == 3


def test_a_name_is_one_line() -> None:
    read = as_answer("interaction", {**SAMPLES["interaction"], "topics": [" a\u200b \n b\t"]})
    assert isinstance(read, ANSWER_OF["interaction"])
    assert read.topics == ["a b"]


# --- the text of an answer ----------------------------------------------------------------------------------------


def ids_read(text: str, *asked: str) -> set[str]:
    return set(parse_answers("interaction", text, asked).valid)


def one(item_id: Any) -> dict[str, Any]:
    return {**SAMPLES["interaction"], "id": item_id}


def test_answers_are_told_apart_by_their_ids() -> None:
    text = json.dumps({"answers": [one(1), one("2"), one("2"), {"id": "4"}, "no", {}]})
    parsed = parse_answers("interaction", text, ["1", "2", "3", "4"])
    assert {item: found.id for item, found in parsed.valid.items()} == {"1": "1"}
    assert parsed.problems["2"] == "it was answered more than once"
    assert parsed.problems["3"] == "it is missing from the answer"
    assert "Field required" in parsed.problems["4"]
    assert parsed.problems.keys() == {"2", "3", "4"}


ENTRIES = [{**SAMPLES["interaction"], "id": item_id} for item_id in ("r1", "r2")]
LISTED = {"answers": ENTRIES}


@pytest.mark.parametrize(
    "wrapped",
    [
        {"Answers": ENTRIES},
        {"results": ENTRIES},
        {"data": LISTED},
        {"answers": LISTED},
        {"answers": [LISTED]},
        {"output": json.dumps(LISTED)},
        {"output": {"answers": json.dumps(ENTRIES)}},
        [LISTED],
        [json.dumps(LISTED)],
        {"r1": ENTRIES[0], "r2": ENTRIES[1]},
        {"answers": {"r1": ENTRIES[0], "r2": ENTRIES[1]}},
    ],
    ids=lambda value: str(value)[:30],
)
def test_answers_are_read_whatever_is_around_their_list(wrapped: Any) -> None:
    """Out: any branch of `_unwrapped`."""
    assert ids_read(json.dumps(wrapped), "r1", "r2") == {"r1", "r2"}
    assert ids_read(json.dumps(json.dumps(wrapped)), "r1", "r2") == {"r1", "r2"}


@pytest.mark.parametrize("depth", [1, 5, 7, 500])
def test_wrappings_have_a_bound(depth: int) -> None:
    value: Any = LISTED
    for _ in range(depth):
        value = [value] if isinstance(value, dict) else {"answers": value}
    ids_read(json.dumps(value), "r1", "r2")


@pytest.mark.parametrize(
    "given", ["r1", "R1", " r1 ", "ｒ１", '"r1"', "“R1”", "<r1>", "[r1]", "#r1", "r1.", 1, "1", 1.0]
)
def test_an_id_is_known_in_other_letters(given: Any) -> None:
    assert ids_read(json.dumps({"answers": [one(given), one("r2")]}), "r1", "r2") == {"r1", "r2"}


def test_an_id_that_may_be_another_s_is_not_guessed_at() -> None:
    assert ids_read(json.dumps({"answers": [one(0), one(1)]}), "r1", "r2") == set()
    assert ids_read(json.dumps({"answers": [one("r1"), one("R1")]}), "r1", "r2") == set()
    assert ids_read(json.dumps({"answers": [one(None), one(True)]}), "r1", "r2") == set()
    assert ids_read(json.dumps({"answers": [one("r2")]}), "r1") == set()
    assert ids_read(json.dumps({"answers": [one(["r1"]), one({"r1": 1})]}), "r1", "r2") == set()


def test_answers_are_read_in_all_the_forms_in_which_models_give_them() -> None:
    whole = {"answers": [one("r1")]}
    for value in (
        whole,
        [one("r1")],
        one("r1"),
        {"answers": one("r1")},
        {"answers": json.dumps([one("r1")])},
    ):
        assert ids_read(json.dumps(value), "r1") == {"r1"}
        assert ids_read(json.dumps(json.dumps(value)), "r1") == {"r1"}
    alone = {name: value for name, value in one("r1").items() if name != "id"}
    assert ids_read(json.dumps({"answers": [alone]}), "r1") == {"r1"}
    assert ids_read(json.dumps({"R1": alone, "R2": alone}), "r1", "r2") == {"r1", "r2"}
    assert ids_read(json.dumps({"answers": {"r1": alone, "r2": alone}}), "r1", "r2") == {"r1", "r2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no JSON", "the answer is not JSON"),
        ("null", "the answer is not JSON"),
        ('{"answer": []}', 'the answer is not an object with a list "answers"'),
        ('{"answers": {}}', 'the answer is not an object with a list "answers"'),
        ("7", 'the answer is not an object with a list "answers"'),
    ],
)
def test_an_answer_of_another_form_is_a_problem_of_each_item(text: str, problem: str) -> None:
    parsed = parse_answers("interaction", text, iter(["a", "b"]))
    assert parsed.valid == {}
    assert parsed.problems == {"a": problem, "b": problem}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1]", [1]),
        ("  ```json\n[1]\n```  ", [1]),
        ("```\n[1]```", [1]),
        ("<think>```json\n[2]\n```</think>[1]", [1]),
        ("<think>a</think>[1]<think>b", [1]),
        ("<think>never ends [1]", None),
        ('["\\u4e2d\\n"]', ["中\n"]),
        ('["\\u4e2", "\\alpha", "\\/"]', ["\\u4e2", "\\alpha", "/"]),
        ("0", 0),
        ("[" * 100_000, None),
    ],
)
def test_json_is_read_without_what_models_put_around_it(text: str, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ('{"answers": [{"id": "a"}, {"id": "b"', [{"id": "a"}]),
        (
            'Here: { "answers" : [{"id": "a"} ,\n {"id": "b"}], and so on',
            [{"id": "a"}, {"id": "b"}],
        ),
        ('<think>{"answers": [1]</think>{"answers": [2, 3, "fo', [2, 3]),
        ('{"answers": ["a", "\\sqrt", "b", "cut', ["a", "\\sqrt", "b"]),
        ('{"answers": ["a", [' + "[" * 100_000, ["a"]),
    ],
)
def test_of_an_answer_that_was_cut_the_whole_entries_are_read(
    text: str, entries: list[Any]
) -> None:
    assert read_json(text) == {"answers": entries}


@pytest.mark.parametrize(
    "text", ['{"answers": [', '{"answers": [{"id": "a', '{"items": [1, 2', '["answers", [1']
)
def test_an_answer_that_was_cut_in_its_first_entry_is_none(text: str) -> None:
    assert read_json(text) is None


# --- the schema that a provider is given --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ANSWER_OF)
def test_a_schema_is_that_of_a_list_of_answers(kind: Kind) -> None:
    schema = schema_of(kind)
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == (
        "object",
        ["answers"],
        False,
    )
    entries = schema["properties"]["answers"]
    assert (entries["type"], "maxItems" in entries) == ("array", False)
    assert entries["items"]["properties"].keys() == SAMPLES[kind].keys()
    text = json.dumps(schema)
    for word in ("minimum", "maximum", "maxLength", "minLength", '"title"', '"default"'):
        assert word not in text
    assert ("$defs" in schema) == ("$ref" in text)


def test_the_description_of_a_point_is_asked_for_though_descriptions_of_fields_are_not() -> None:
    schema = schema_of("knowledge_points")
    assert "description" in schema["$defs"]["PointAnswer"]["properties"]
    entry = schema["properties"]["answers"]["items"]
    assert entry["properties"]["knowledge_points"]["maxItems"] == 15


# --- the finding that an answer becomes ---------------------------------------------------------------------------

RECORDS: dict[Kind, tuple[str, dict[str, Any]]] = {
    "interaction": ("teacher_interaction", {"teacher_id": "t", "student_id": "s"}),
    "error": ("error_record", {"student_id": "s", "course_id": "c"}),
    "knowledge_points": ("course_content", {"course_id": "c"}),
}
FIELD_OF_TEXT: dict[Kind, str] = {
    "interaction": "text",
    "error": "error_text",
    "knowledge_points": "content",
}


def context(kind: Kind, text: str, known: tuple[str, ...] = ()) -> MappingContext:
    record_type, data = RECORDS[kind]
    record = {
        "type": record_type,
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {**data, FIELD_OF_TEXT[kind]: text},
    }
    redactor = Redactor((Person("STUDENT", "Alice", is_name=True),))
    redactor.redact(text)
    document = read_document(record, kind, [CourseContext(course_id="c", knowledge_points=known)])
    return MappingContext(document, redactor, 0.5)


def found(kind: Kind, text: str, known: tuple[str, ...] = (), **changed: Any) -> Any:
    read = as_answer(kind, {**SAMPLES[kind], **changed})
    assert not isinstance(read, str), read
    answer: Answer = read
    return to_finding(answer, context(kind, text, known))


@pytest.mark.parametrize("kind", ANSWER_OF)
def test_an_answer_that_quotes_the_text_keeps_its_confidence(kind: Kind) -> None:
    assert (found(kind, "she said").confidence, found(kind, "she said").evidence) == (
        0.9,
        ("said",),
    )
    assert found(kind, "she said").evidence_found is True
    assert (found(kind, "nothing").confidence, found(kind, "nothing").evidence) == (0.5, ())
    assert found(kind, "nothing").evidence_found is False
    assert found(kind, "nothing", confidence=0.3).confidence == 0.3


def test_a_mistake_keeps_all_that_was_found_and_its_parts_are_capped_too() -> None:
    mistake = found("error", "she said")
    assert (mistake.difficulty, mistake.severity) == ("beginner", "high")
    assert [(each.name, each.confidence) for each in mistake.error_types] == [("sign error", 0.9)]
    assert [(each.name, each.strength, each.confidence) for each in mistake.knowledge_points] == [
        ("terms", 0.8, 0.7)
    ]
    capped = found("error", "nothing")
    assert [each.confidence for each in (*capped.error_types, *capped.knowledge_points)] == [
        0.5,
        0.5,
    ]
    assert capped.knowledge_points[0].strength == 0.8


def test_a_name_that_comes_twice_or_would_name_a_person_is_left_out() -> None:
    names = ["Sign  error", "SIGN error", "ｓｉｇｎ error", "[STUDENT_1] again", "other"]
    mistake = found(
        "error",
        "Alice said",
        error_types=[{**TYPE, "name": name} for name in (names[0], names[1], names[3])],
        knowledge_points=[{**LINK, "name": name} for name in names],
    )
    assert [each.name for each in mistake.error_types] == ["Sign error"]
    assert [each.name for each in mistake.knowledge_points] == ["Sign error", "other"]
    message = found("interaction", "Alice said", topics=["a", "A ", "STUDENT_1", "b"])
    assert message.other_topics == (
        "a",
        "b",
    )


def test_points_come_in_the_order_of_the_text_and_last_those_that_are_not_in_it() -> None:
    points = [
        {**POINT, "name": name} for name in ("absent", "third", "First", "also absent", "second")
    ]
    text = found("knowledge_points", "first, the second, THE THIRD", knowledge_points=points)
    assert [(each.name, each.order) for each in text.knowledge_points] == [
        ("First", 1),
        ("second", 2),
        ("third", 3),
        ("absent", 4),
        ("also absent", 5),
    ]


def test_a_point_keeps_what_is_said_of_it_with_names_restored() -> None:
    points = [
        {**POINT, "description": "as [STUDENT_1] said"},
        {**POINT, "name": "ratio", "description": None},
    ]
    one, other = found("knowledge_points", "Alice said", knowledge_points=points).knowledge_points
    assert (one.description, one.category, one.importance) == ("as Alice said", "lines", "core")
    assert other.description is None


def test_a_prerequisite_belongs_to_a_point_that_is_known_and_may_require_a_new_one() -> None:
    pairs = [
        ("SLOPE", "new one", 0.9),
        ("of the course", "Slope", 0.4),
        ("nobody knows", "slope", 0.9),
        ("slope", "SLOPE", 0.9),
        ("slope", "[STUDENT_1]", 0.9),
    ]
    needs = []
    for point, requires, confidence in pairs:
        needs.append(
            {"quote": "said", "point": point, "requires": requires, "confidence": confidence}
        )
    text = found("knowledge_points", "she said", ("Of The Course",), prerequisites=needs)
    assert [(each.point, each.requires, each.confidence) for each in text.prerequisites] == [
        ("slope", "new one", 0.9),
        ("Of The Course", "slope", 0.4),
    ]
    capped = found(
        "knowledge_points", "said once", ("Of The Course",), evidence=["no"], prerequisites=needs
    )
    assert [each.confidence for each in capped.prerequisites] == [0.5, 0.4]


def test_a_point_has_the_spelling_of_this_answer_and_a_mistake_s_that_of_the_course() -> None:
    assert found("error", "she said", ("Terms",)).knowledge_points[0].name == "Terms"
    text = found("knowledge_points", "she said", ("SLOPE",))
    assert text.knowledge_points[0].name == "slope"
    assert text.prerequisites[0].point == "slope"


def test_names_are_the_same_that_differ_in_width_case_and_spaces() -> None:
    assert (
        same_name("Ｌｉｎｅａｒ  Equations ")
        == same_name("linear equations")
        != same_name("linear-equations")
    )
