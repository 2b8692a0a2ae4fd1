"""A prerequisite is quoted from the text, or it is implied and nobody is sure of it."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.documents import Person, read_document
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.schema import as_answer, schema_of
from edugraph_analyzer.redaction import Redactor
from edugraph_common.contracts.findings import ContentFinding, Prerequisite

TEXT = "Slope: before you learn slope, you need ratios.\nLines need slope. 学习密度之前，需要先掌握质量。"
# The quote of an answer -> the quote of the finding. None stands for a quote that is not in the text.
QUOTES: dict[Any, str | None] = {
    "before you learn slope, you need ratios": "before you learn slope, you need ratios",
    "BEFORE  you learn\nslope , you need ratios.": "before you learn slope, you need ratios.",
    "“Before you learn slope … Lines need slope.”": "before you learn slope … Lines need slope.",
    "学习密度之前,需要先掌握质量": "学习密度之前，需要先掌握质量",
    "ｌｉｎｅｓ ｎｅｅｄ ｓｌｏｐｅ": "Lines need slope",
    ("Lines need slope.",): "Lines need slope.",
    None: None,
    "": None,
    "  ": None,
    "you": None,
    "…": None,
    7: None,
    ("Lines need slope.", "Slope"): None,
    "Lines need ratios": None,
    "before you learn slope … you need circles first": None,
    # the text of another record of the pack
    "Circles need lines, so learn lines first.": None,
}
NOT_GIVEN = "(not given)"


class Need(NamedTuple):
    """A prerequisite of an answer. The quote may be of any type."""

    point: str
    requires: str
    quote: Any
    confidence: float


needs_ = st.builds(
    Need,
    st.sampled_from(["slope", "lines"]),
    st.sampled_from(["ratios", "circles", "密度"]),
    st.sampled_from([NOT_GIVEN, *QUOTES]),
    st.sampled_from([0.1, 0.3, 0.5, 0.95]),
)


def finding(
    needs: list[dict[str, Any]], text: str = TEXT, people: tuple[Person, ...] = ()
) -> ContentFinding:
    points = []
    for name in ("slope", "lines"):
        points.append({"name": name, "description": None, "category": None, "importance": "core"})
    value = {
        "id": "r1",
        "evidence": [text[:30]],
        "knowledge_points": points,
        "prerequisites": needs,
        "confidence": 0.9,
    }
    answer = as_answer("knowledge_points", value)
    assert not isinstance(answer, str), answer
    record: dict[str, Any] = {
        "type": "course_content",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {"course_id": "c", "content": text},
    }
    redactor = Redactor(people)
    redactor.redact(text)
    context = MappingContext(read_document(record, "knowledge_points", []), redactor, 0.5)
    found = to_finding(answer, context)
    assert isinstance(found, ContentFinding)
    return found


def sent(need: Need) -> dict[str, Any]:
    value: dict[str, Any] = {
        "point": need.point,
        "requires": need.requires,
        "confidence": need.confidence,
    }
    if need.quote != NOT_GIVEN:
        value["quote"] = list(need.quote) if isinstance(need.quote, tuple) else need.quote
    return value


@given(st.lists(needs_, max_size=6, unique_by=lambda need: (need.point, need.requires)))
def test_a_bad_quote_costs_its_own_prerequisite_alone(needs: list[Need]) -> None:
    """Out: the cap in `_prerequisites`; `_or_none` or `_only_entry` of the quote; in `whole_quote_in` the check of
    all parts.
    """
    expected = []
    for need in needs:
        quote = QUOTES.get(need.quote)
        confidence = need.confidence if quote else min(need.confidence, 0.3)
        expected.append(
            Prerequisite(
                point=need.point, requires=need.requires, confidence=confidence, quote=quote
            )
        )
    assert list(finding([sent(need) for need in needs]).prerequisites) == expected


@pytest.mark.parametrize("name", ["slope", "SLOPE", "k1", "the coordinate plane"])
def test_the_name_of_a_point_alone_is_no_quote(name: str) -> None:
    """Out: the comparison with names in `_quote_of`."""
    text = "Slope and the coordinate plane."
    need = {"quote": name, "point": "slope", "requires": "the coordinate plane", "confidence": 0.9}
    [found] = finding([need], text).prerequisites
    assert (found.quote, found.confidence) == (None, 0.3)


@pytest.mark.parametrize("quoted_last", [False, True])
def test_a_pair_that_is_given_twice_has_the_quote_of_either(quoted_last: bool) -> None:
    """Out: in `_prerequisites`, let the last one count."""
    pair = {"point": "lines", "requires": "Slope"}
    quoted = {**pair, "quote": "Lines need slope.", "confidence": 0.6}
    needs = [quoted, {**pair, "quote": None, "confidence": 0.9}]
    [found] = finding(needs[::-1] if quoted_last else needs).prerequisites
    assert (found.quote, found.confidence) == ("Lines need slope.", 0.6)


def test_a_quote_has_the_words_of_the_text_in_place_of_placeholders() -> None:
    """Out: the call of `restore` in `_quote_of`."""
    people = (Person("STUDENT", "Amelia Hart", True),)
    text = "Amelia Hart says that lines need slope."
    need = {"quote": "[STUDENT_1] says that lines need slope", "point": "lines"}
    needs = [{**need, "requires": "slope", "confidence": 0.9}]
    [found] = finding(needs, text, people).prerequisites
    assert found.quote == "Amelia Hart says that lines need slope"


def test_a_model_looks_for_the_words_before_it_names_a_prerequisite() -> None:
    definition = schema_of("knowledge_points")["$defs"]["PrerequisiteAnswer"]
    assert next(iter(definition["properties"])) == "quote"
    assert "quote" in definition["required"]
