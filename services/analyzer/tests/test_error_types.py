"""Kinds of mistakes come from a list with one name each, or are proposals that count when a person accepts them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.error_types import MOST_TYPES, OTHER, ErrorTypes, Language, of_file, shipped
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.schema import as_answer
from edugraph_analyzer.pipeline import resolutions_of
from edugraph_analyzer.prompting.questions import LLMResponse, Question, messages_of, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import ErrorFinding
from edugraph_common.contracts.record_fields import LONGEST_NAME

ENGLISH = shipped("en")
CHINESE = shipped("zh")
TEXT = "3x + 2 = 5x"


def question(**chosen: Any) -> Question:
    record = {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {"student_id": "s", "course_id": "c", "error_text": TEXT},
    }
    settings = AnalyzerSettings(openai_api_key="k", model="m", **chosen)
    return question_of(read_document(record, "error", []), settings)


def found(asked: Question, *names: str) -> ErrorFinding:
    """Return the finding of an answer with these kinds, stored in the cache and read again as later ones are."""
    entry = {
        "id": "r1",
        "evidence": [TEXT],
        "error_types": [{"name": name, "confidence": 0.9} for name in names],
        "knowledge_points": [],
        "difficulty": None,
        "severity": None,
        "confidence": 0.9,
    }
    response = LLMResponse(json.dumps({"answers": [entry]}), True, 100, 50)
    (resolution,) = resolutions_of([asked], response, ["r1"])
    assert resolution.answer is not None, resolution.reason
    kept = as_answer("error", resolution.answer.model_dump())
    assert not isinstance(kept, str)
    finding = to_finding(kept, MappingContext(asked.document, asked.redactor, 0.5))
    assert isinstance(finding, ErrorFinding)
    return finding


def names(finding: ErrorFinding) -> tuple[list[str], list[str]]:
    listed = [each.name for each in finding.error_types]
    return listed, [each.name for each in finding.other_error_types]


def test_the_list_that_ships_has_about_forty_kinds_in_two_languages() -> None:
    assert 35 <= len(ENGLISH.types) <= 50
    canonical = [
        canonical_name(name) for each in ENGLISH.types for name in (each.english, each.chinese)
    ]
    assert len(set(canonical)) == len(canonical)
    for each in ENGLISH.types:
        assert each.english.isascii()
        assert any(char > "\u3400" for char in each.chinese)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_kind_has_one_name_however_a_model_spells_it(language: Language) -> None:
    """Guard: `ErrorTypes.chosen`. Without it each spelling is a type of its own in the graph."""
    error_types = shipped(language)
    asked = question(error_types_language=language)
    for number, (each, name) in enumerate(
        zip(error_types.types, error_types.names, strict=True), start=1
    ):
        spellings = [
            f"e{number}",
            f"E{number}.",
            f"[e{number}]",
            f"e{number}: {each.english}",
            f"e{number} {each.chinese}",
            each.english.upper(),
            f" {each.chinese} ",
            f"other: {each.english}",
            f"其他：{each.chinese}",
            f"`{each.english}`",
            f"other: `{each.english}`.",
        ]
        for spelling in spellings:
            assert names(found(asked, spelling)) == ([name], []), spelling


def test_a_kind_that_the_list_does_not_have_is_a_proposal() -> None:
    """Guard: the split in `_error_finding`. Without it free words are in the graph."""
    asked = question()
    assert names(found(asked, "e2", "other: skips the units row")) == (
        ["sign error"],
        ["skips the units row"],
    )
    assert names(found(asked, "skips the units row")) == ([], ["skips the units row"])
    assert names(found(asked, "other: [STUDENT_1] again")) == ([], [])
    assert names(found(asked, "grammar (other: article)")) == ([], ["grammar (other: article)"])


@pytest.mark.parametrize(
    "name", ["e0", "e999", "e999: sign error", "e2: unit error", "other: ", "e2e"]
)
def test_an_id_that_is_not_in_the_list_costs_its_kind_alone(name: str) -> None:
    listed, _ = names(found(question(), name, "e1"))
    assert listed == ["calculation error"]


@given(st.text(max_size=LONGEST_NAME + 50))
def test_any_name_is_of_the_list_or_a_proposal_or_nothing(name: str) -> None:
    chosen = ENGLISH.chosen(name)
    is_listed = chosen in ENGLISH.names
    assert chosen is None or is_listed or chosen.startswith(OTHER)
    assert len(chosen or "") <= LONGEST_NAME


def test_the_prompt_has_the_list_and_its_examples_follow_it(tmp_path: Path) -> None:
    path = tmp_path / "kinds.txt"
    path.write_text("# ours\nconfused concepts | 概念混淆\nslip of the pen||\n", encoding="utf-8")
    shipped_text = messages_of("error", [question()], lambda: "0123456789ab")[0]["content"]
    own_text = messages_of("error", [question(error_types_file=path)], lambda: "0123456789ab")[0][
        "content"
    ]
    assert "{{" not in shipped_text + own_text
    assert "\ne2: sign error / 符号错误 (" in shipped_text
    assert '"error_types":[{"name":"e3",' in shipped_text
    assert "\ne1: confused concepts / 概念混淆\ne2: slip of the pen / slip of the pen\n" in own_text
    assert '"name":"other: wrong operation"' in own_text
    assert '"error_types":[{"name":"e1",' in own_text
    assert "sign error" not in own_text


def test_another_list_asks_again_and_another_kind_of_text_does_not(tmp_path: Path) -> None:
    """Guard: the digest in the key. A kept answer has names of the list that it was asked with."""
    path = tmp_path / "kinds.txt"
    path.write_text("slip\n", encoding="utf-8")
    keys = {
        question().key,
        question(error_types_file=path).key,
        question(error_types_language="zh").key,
    }
    assert len(keys) == 3
    record = {
        "type": "course_content",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {"course_id": "c", "content": TEXT},
    }
    document = read_document(record, "knowledge_points", [])
    plain, own = (
        question_of(document, AnalyzerSettings(openai_api_key="k", model="m", **chosen)).key
        for chosen in ({}, {"error_types_file": path})
    )
    assert plain == own


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "it has 0 kinds"),
        ("# nothing\n", "it has 0 kinds"),
        ("a | b | c | d", "line 1: write"),
        ("one\n | zwei", "line 2: write"),
        ("slip\nSLIP", "line 2: the name is in line 1"),
        ("slip | 笔误\nother slip | 笔误", "line 2: the name is in line 1"),
        ("x" * 600, "line 1: the name is too long"),
        ("\n".join(f"kind number {number}" for number in range(MOST_TYPES + 1)), "it has 201"),
    ],
)
def test_a_wrong_file_is_told_at_the_start(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "kinds.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        AnalyzerSettings(error_types_file=path)


def test_a_file_of_a_spreadsheet_and_an_empty_variable_are_read(tmp_path: Path) -> None:
    path = tmp_path / "kinds.txt"
    path.write_bytes("\ufeffslip | 笔误\r\n".encode())
    assert of_file(path, "zh").names == ("笔误",)
    assert AnalyzerSettings(error_types_file="").error_types == ENGLISH
    with pytest.raises(ValueError, match="nowhere"):
        AnalyzerSettings(error_types_file=tmp_path / "nowhere.txt")


def test_lists_that_differ_in_a_meaning_are_different() -> None:
    (first, *rest) = ENGLISH.types
    changed = ErrorTypes((first.__class__(first.english, first.chinese, "new"), *rest), "en")
    assert len({ENGLISH.digest, CHINESE.digest, changed.digest}) == 3
