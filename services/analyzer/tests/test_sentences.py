"""The sentence of a model about a mistake is kept only if it is short, general and about this text."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from edugraph_analyzer.costs import estimated_tokens
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.error_types import Language, shipped
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.schema import as_answer, schema_of
from edugraph_analyzer.pipeline import Pipeline, Resolver
from edugraph_analyzer.prompting.questions import (
    LLMResponse,
    Question,
    Resolution,
    instructions_of,
    messages_of,
    question_of,
)
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import ErrorFinding
from edugraph_common.contracts.record_fields import LONGEST_SENTENCE

from .test_resolver import Budget, ScriptedClient

TEXT = 'Wei and I say 1/2 + 1/3 = 2/5, since "both are added".'
CHINESE_TEXT = "我觉得1/2 + 1/3 = 2/5，分母也要相加。"
GOOD = "Adds the denominators."
GOOD_CHINESE = "把分母直接相加。"


def question(
    text: str = TEXT, language: Language = "en", *, course_names: tuple[str, ...] = ()
) -> Question:
    record = {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {
            "student_id": "s7",
            "student_name": "Wei Chen",
            "course_id": "c",
            "error_text": text,
        },
    }
    settings = AnalyzerSettings(openai_api_key="k", model="m", error_types_language=language)
    members = [CourseNames(course_names)] if course_names else ()
    return question_of(read_document(record, "error", []), settings, members)


def entry(sentence: Any, **other: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "shows_mistake": "yes",
        "evidence": ["1/2 + 1/3 = 2/5"],
        "what_went_wrong": sentence,
        "error_types": [{"name": "e1", "confidence": 0.9}],
        "knowledge_points": [],
        "difficulty": None,
        "severity": None,
        "confidence": 0.9,
    } | other


def finding_of(answer: dict[str, Any], asked: Question) -> ErrorFinding:
    """Return the finding of an answer that a scripted model gives, kept in the cache and read again."""
    client = ScriptedClient(LLMResponse(json.dumps({"answers": [answer]}), True, 100, 50))
    settings = AnalyzerSettings(openai_api_key="k", model="m")
    resolver = Resolver(
        settings,
        client,
        Budget(),
        "job",
        "error",
        is_cancelled=lambda _: False,
        new_id=lambda: "x",
    )
    [resolution] = resolver.resolve([asked])
    assert resolution.answer is not None, resolution.reason
    kept = as_answer("error", resolution.answer.model_dump())
    assert not isinstance(kept, str)
    context = MappingContext(asked.document, asked.redactor, 0.5, asked.error_types.language)
    finding = to_finding(kept, context)
    assert isinstance(finding, ErrorFinding)
    return finding


def sentence_of(answer: dict[str, Any], asked: Question | None = None) -> str | None:
    return finding_of(answer, asked or question()).what_went_wrong


def test_the_sentence_stands_before_the_labels_and_behind_the_quote() -> None:
    """A model writes the fields in the order of the schema, so the sentence is said before anything is named."""
    properties = list(schema_of("error")["properties"]["answers"]["items"]["properties"])
    assert properties[:5] == [
        "id",
        "shows_mistake",
        "evidence",
        "what_went_wrong",
        "error_types",
    ]


@pytest.mark.parametrize(
    ("sentence", "asked"),
    [
        (GOOD, question()),
        ("Adds the denominators of the student's fractions.", question()),
        ("Adds both students' denominators, doesn't it?", question()),
        (GOOD_CHINESE, question(language="zh")),
        (GOOD_CHINESE, question(CHINESE_TEXT, "zh")),
        ("Adds the denominators (分母).", question(CHINESE_TEXT)),
        ("x" * LONGEST_SENTENCE, question()),
    ],
)
def test_a_good_sentence_is_kept_as_it_is(sentence: str, asked: Question) -> None:
    assert sentence_of(entry(sentence), asked) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        None,
        "",
        "   ",
        7,
        ["Adds.", "Adds."],
        # Out: max_length of `ShortSentence`. A cut sentence may say the opposite.
        "x" * (LONGEST_SENTENCE + 1),
        # Out: `_is_in`.
        GOOD_CHINESE,
        "Складывает знаменатели.",
        # Out: `holds_placeholder`.
        "[STUDENT_1] adds the denominators.",
        "PERSON_2 adds the denominators.",
        # Out: the redactor.
        "Wei adds the denominators.",
        "Chen Wei adds the denominators.",
        "s7 adds the denominators.",
        "Adds the denominators, as Mrs. Miller does.",
        "Adds the denominators; see https://example.org.",
        # Out: `_DIGIT`. The first two numbers are in the text, too.
        "Says that 1/3 is the larger one.",
        "Says that １/３ is the larger one.",
        "Multiplies 90 by 1.5 instead of dividing.",
        "Says that ½ is the larger one.",
        # Out: `_QUOTATION_MARK`. The first passage is in the text, too.
        'Thinks that "both are added".',
        "Thinks that ＂both are added＂.",
        "Thinks that «plants breathe only by day».",
        "Thinks that 「both」 are added.",
        # Out: `_SINGLE_QUOTATION`.
        "Thinks that 'both are added'.",
        "Thinks that ‘both are added’.",
        # Out: `stands_in` of the whole sentence.
        "Wei and I say 1/2 + 1/3 = 2/5",
        "since both are added",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_left_out_and_the_rest_of_the_finding_stays(
    sentence: Any,
) -> None:
    found = finding_of(entry(sentence), question())
    assert found.what_went_wrong is None
    assert [each.name for each in found.error_types] == [shipped("en").names[0]]


def test_names_of_the_course_are_kept_out_of_sentences() -> None:
    """Out: `redactor.members` in `usable_sentence`. The text does not name her."""
    sentence = "Copies what Ottilie Quast wrote."
    assert sentence_of(entry(sentence), question(course_names=("Ottilie Quast",))) is None


def test_a_name_in_a_sentence_does_not_change_how_quotes_are_restored() -> None:
    """Out: the redactor of its own in `usable_sentence`."""
    asked = question()
    before = dict(asked.redactor.originals)
    finding_of(entry("Adds the denominators, as Mrs. Miller does."), asked)
    assert asked.redactor.originals == before


@pytest.mark.parametrize("shows_mistake", ["no", "cannot tell", None, "perhaps"])
def test_only_a_text_that_shows_a_mistake_has_a_sentence(shows_mistake: str | None) -> None:
    """Out: `shows_mistake` in `_what_went_wrong`."""
    assert sentence_of(entry(GOOD, shows_mistake=shows_mistake)) is None


def test_a_sentence_without_words_of_the_text_behind_it_is_left_out() -> None:
    """Out: `evidence` in `_what_went_wrong`."""
    assert sentence_of(entry(GOOD, evidence=["plants breathe only by day"])) is None


def test_the_english_sentence_is_not_for_a_chinese_school() -> None:
    asked = question(language="zh")
    assert sentence_of(entry(GOOD), asked) is None


def test_the_pipeline_checks_sentences_in_the_language_of_the_school() -> None:
    """Out: the language in `Pipeline._mapped`."""
    asked = question(language="zh")
    answer = as_answer("error", entry(GOOD_CHINESE))
    assert not isinstance(answer, str)
    flight: Any = SimpleNamespace(
        paid=set(), paid_before=set(), resolutions={asked.key: Resolution(asked, answer)}
    )
    server = redis.Redis()  # Nothing is sent to it.
    settings = AnalyzerSettings(openai_api_key="k", model="m")
    [found], unanswered = Pipeline(settings, server)._mapped([asked], flight)
    assert isinstance(found.finding, ErrorFinding)
    assert (found.finding.what_went_wrong, unanswered) == (GOOD_CHINESE, [])


def test_without_a_model_nothing_is_said_of_what_went_wrong() -> None:
    found = RuleBasedAnalyzer().finding(question().document).finding
    assert isinstance(found, ErrorFinding)
    assert found.what_went_wrong is None


@pytest.mark.parametrize(
    ("language", "asks", "shows"),
    [
        ("en", "one short sentence in English", "Multiplies distance by time"),
        ("zh", "one short sentence in Chinese (中文)", "用路程乘以时间"),
    ],
)
def test_the_prompt_asks_in_the_language_of_the_school(
    language: Language, asks: str, shows: str
) -> None:
    instructions = instructions_of("error", shipped(language))
    assert asks in instructions
    assert shows in instructions
    assert "{{" not in instructions
    # A provider keeps a beginning of 1,024 tokens; the estimate is up to a fifth too high.
    assert estimated_tokens(instructions) >= 1.2 * 1_024


@pytest.mark.parametrize(
    ("text", "language", "reminder"),
    [
        (TEXT, "en", None),
        (CHINESE_TEXT, "en", "what_went_wrong: in English."),
        (TEXT, "zh", "what_went_wrong：用中文书写。"),
        (CHINESE_TEXT, "zh", None),
    ],
)
def test_a_text_in_another_language_brings_a_reminder(
    text: str, language: Language, reminder: str | None
) -> None:
    """Out: `_reminder_of_sentence`."""
    asked = messages_of("error", [question(text, language)], lambda: "x")[1]["content"]
    last = asked.splitlines()[-1]
    if reminder is None:
        assert "what_went_wrong" not in asked
    else:
        assert last == reminder


def test_another_language_of_the_school_is_another_question() -> None:
    """A kept answer has its sentence in the language that was asked for."""
    assert question().key != question(language="zh").key
