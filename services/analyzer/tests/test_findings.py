import json

import pytest

from edugraph_analyzer.documents import Person, read_document
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.schema import (
    ANSWER_OF,
    as_answer,
    parse_answers,
    read_json,
    schema_of,
)
from edugraph_analyzer.redaction import Redactor
from edugraph_common.contracts.messages import CourseContext

INTERACTION = {
    "id": "r1",
    "sentiment": "positive",
    "topics": ["分数"],
    "evidence": ["终于懂了"],
    "confidence": 0.9,
}
ERROR = {
    "id": "r1",
    "evidence": ["3x + 2x"],
    "error_types": [{"name": "sign error", "confidence": 0.9}],
    "knowledge_points": [{"name": "Moving  Terms", "strength": 0.8, "confidence": 0.9}],
    "difficulty": "beginner",
    "severity": None,
    "confidence": 0.9,
}
CONTENT = {
    "id": "r1",
    "knowledge_points": [
        {"name": "slope", "description": "rise over run", "category": None, "importance": "core"},
        {"name": "ratio", "description": None, "category": None, "importance": "supplementary"},
    ],
    "prerequisites": [
        {"point": "slope", "requires": "ratio", "confidence": 0.9},
        {"point": "slope", "requires": "Slope", "confidence": 0.9},
        {"point": "unheard of", "requires": "ratio", "confidence": 0.9},
    ],
    "evidence": ["a ratio"],
    "confidence": 0.9,
}


def context(
    kind: str, text: str, points: tuple[str, ...] = (), people: tuple[Person, ...] = ()
) -> MappingContext:
    data = {
        "interaction": {"teacher_id": "t", "student_id": "s", "text": text},
        "error": {"student_id": "s", "course_id": "c", "error_text": text},
        "knowledge_points": {"course_id": "c", "content": text},
    }[kind]
    types = {
        "interaction": "teacher_interaction",
        "error": "error_record",
        "knowledge_points": "course_content",
    }
    record = {"type": types[kind], "timestamp": "2026-01-05T08:00:00Z", "data": data}
    redactor = Redactor(people)
    redactor.redact(text)
    return MappingContext(
        read_document(record, kind, [CourseContext(course_id="c", knowledge_points=points)]),
        redactor,
        0.5,
    )


def answer(kind: str, value: dict):
    made = as_answer(kind, value)
    assert not isinstance(made, str), made
    return made


@pytest.mark.parametrize(
    "text",
    [
        '{"answers": [1]}',
        '```json\n{"answers": [1]}\n```',
        '<think>hm {"answers": []}</think>\n{"answers": [1]}',
    ],
)
def test_json_is_found_in_what_models_put_around_it(text: str) -> None:
    assert read_json(text) == {"answers": [1]}


@pytest.mark.parametrize("text", ["", "Sure!", '{"answers": [', "[" * 100_000])
def test_what_is_not_json_is_none(text: str) -> None:
    assert read_json(text) is None


def test_each_item_of_a_pack_stands_for_itself() -> None:
    entries = [
        INTERACTION,
        {**INTERACTION, "id": "r2", "sentiment": "ecstatic"},
        {**INTERACTION, "id": "r9"},
    ]
    parsed = parse_answers("interaction", json.dumps({"answers": entries}), ["r1", "r2", "r3"])
    assert set(parsed.valid) == {"r1"}
    assert "sentiment" in parsed.problems["r2"]
    assert "missing" in parsed.problems["r3"]


def test_an_item_answered_twice_is_not_answered() -> None:
    parsed = parse_answers(
        "interaction", json.dumps({"answers": [INTERACTION, INTERACTION]}), ["r1"]
    )
    assert not parsed.valid


@pytest.mark.parametrize(
    "spoilt",
    [
        {"confidence": 1.5},
        {"confidence": float("nan")},
        {"sentiment": "SECRET"},
        {"sentiment": ["SECRET"]},
    ],
)
def test_an_answer_outside_the_schema_is_an_error_and_its_text_is_not_repeated(
    spoilt: dict,
) -> None:
    problem = as_answer(
        "interaction", {**INTERACTION, **spoilt, "topics": spoilt.get("topics", ["SECRET"])}
    )
    assert isinstance(problem, str)
    assert "SECRET" not in problem


def test_schemas_are_strict_for_every_object() -> None:
    def objects(value):
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value
            for part in value.values():
                yield from objects(part)
        elif isinstance(value, list):
            for part in value:
                yield from objects(part)

    for kind in ANSWER_OF:
        found = list(objects(schema_of(kind)))
        assert found
        for each in found:
            assert each["additionalProperties"] is False
            assert set(each["required"]) == set(each["properties"])
        assert "maxLength" not in json.dumps(schema_of(kind))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'["\sqrt{2}"]', r"\sqrt{2}"),
        (r'["\underline{a} \"b\" \u4e2d"]', r'\underline{a} "b" ' + "中"),
        (r'["\\sqrt{2}\("]', r"\sqrt{2}\("),
    ],
)
def test_formulas_whose_backslashes_were_not_escaped_are_read(written: str, meant: str) -> None:
    assert read_json(written) == [meant]


def test_evidence_comes_back_in_the_words_of_the_text_and_names_restored() -> None:
    people = (Person("STUDENT", "王小明", is_name=True),)
    quoted = {**INTERACTION, "evidence": ["[STUDENT_1] 终于懂了！"]}
    found = to_finding(
        answer("interaction", quoted),
        context("interaction", "王小明　终于懂了!谢谢", people=people),
    )
    assert found.evidence == ("王小明　终于懂了!",)
    assert found.evidence_found
    assert found.confidence == 0.9


def test_without_evidence_in_the_text_the_confidence_is_capped() -> None:
    found = to_finding(answer("interaction", INTERACTION), context("interaction", "今天星期五"))
    assert (found.evidence, found.evidence_found, found.confidence) == ((), False, 0.5)


def test_a_topic_that_would_name_a_person_is_left_out() -> None:
    made = answer("interaction", {**INTERACTION, "topics": ["[STUDENT_1]的错误", "分数", "分数 "]})
    assert to_finding(made, context("interaction", "终于懂了")).other_topics == ("分数",)


def test_known_points_keep_the_spelling_of_the_course() -> None:
    found = to_finding(answer("error", ERROR), context("error", "wrote 3x + 2x", ("moving terms",)))
    assert [point.name for point in found.knowledge_points] == ["moving terms"]


@pytest.mark.parametrize(
    ("said", "points"),
    [
        ("no", []),
        (" NO. ", []),
        ("yes", ["moving terms"]),
        ("cannot tell", ["moving terms"]),
        ("perhaps", ["moving terms"]),
        (None, ["moving terms"]),
        (["no"], ["moving terms"]),
    ],
)
def test_a_text_without_a_mistake_has_no_kinds_and_no_points(said: object, points: list) -> None:
    """Guard: `shows_mistake` in `_error_finding`. Without it "bye" gets a point to work on."""
    made = answer("error", ERROR | {"shows_mistake": said, "severity": "high"})
    found = to_finding(made, context("error", "wrote 3x + 2x", ("moving terms",)))
    assert [point.name for point in found.knowledge_points] == points
    assert [each.name for each in found.error_types] == (["sign error"] if points else [])
    assert (found.severity, found.difficulty) == (("high", "beginner") if points else (None, None))
    assert found.evidence == ("3x + 2x",)


def test_a_model_says_whether_there_is_a_mistake_before_it_names_one() -> None:
    """Providers generate the fields in the order of the schema."""
    entry = schema_of("error")["properties"]["answers"]["items"]
    fields = list(entry["properties"])
    assert fields.index("shows_mistake") < min(
        fields.index(name) for name in ("evidence", "error_types", "knowledge_points")
    )


def test_points_stand_in_the_order_of_the_text_and_none_needs_itself() -> None:
    found = to_finding(
        answer("knowledge_points", CONTENT), context("knowledge_points", "a ratio, then slope")
    )
    assert [(point.name, point.order) for point in found.knowledge_points] == [
        ("ratio", 1),
        ("slope", 2),
    ]
    assert [(each.point, each.requires) for each in found.prerequisites] == [("slope", "ratio")]
