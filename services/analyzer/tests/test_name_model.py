"""The local model for names: which of its findings are used, and that it is never left out in silence."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from edugraph_analyzer import name_model
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.prompting.questions import question_of
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.settings import NAME_MODEL_PACKAGE, AnalyzerSettings


def _model_that_finds(
    monkeypatch: pytest.MonkeyPatch, *parts: str, types: str = "GIVEN_NAME"
) -> list[str]:
    """Let the model find these parts of names in order. Return the texts that it was given."""
    given: list[str] = []

    def find(text: str) -> list[Any]:
        given.append(text)
        found = []
        begin = 0
        for part in parts:
            begin = text.index(part, begin)
            found.append(SimpleNamespace(start=begin, end=begin + len(part), type=types))
            begin += len(part)
        return found

    monkeypatch.setattr(name_model, "_model", lambda: find)
    return given


@pytest.mark.parametrize(
    ("text", "parts", "names"),
    [
        ("then Orla Fenwick laughed", ["Orla", "Fenwick"], ["Orla Fenwick"]),
        ("then si obhan  mc laughed", ["si", "obhan"], ["si obhan"]),
        ("pieces Orla Fenwick", ["Or", "la", "Fen", "wick"], ["Orla Fenwick"]),
        ("Orla, Fenwick and Bo", ["Orla", "Fenwick", "Bo"], []),
        ("Orla      Fenwick", ["Orla", "Fenwick"], []),
        ("with Bo,Orla Fenwick", ["Bo", "Orla", "Fenwick"], ["Orla Fenwick"]),
        ("Jenny has 4 apples", ["Jenny"], []),
        (
            "as Isaac Newton and Orla Fenwick said",
            ["Isaac", "Newton", "Orla", "Fenwick"],
            ["Orla Fenwick"],
        ),
        ("Anne-Marie Le Guin came", ["Anne-Marie", "Le", "Guin"], ["Anne-Marie Le Guin"]),
    ],
)
def test_names_of_two_words_are_used_and_no_others(
    monkeypatch: pytest.MonkeyPatch, text: str, parts: list[str], names: list[str]
) -> None:
    """Out: `_joined` or either of its conditions, either answer of `_is_private`, or FAMOUS."""
    _model_that_finds(monkeypatch, *parts)
    found = name_model.whole_names(text)
    assert [text[start:end] for start, end, _ in found] == names
    assert {tag for _, _, tag in found} <= {"PERSON"}


def test_other_kinds_of_words_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    _model_that_finds(monkeypatch, "New", "York", types="CITY")
    assert name_model.whole_names("we saw New York") == []


@pytest.mark.parametrize("text", ["", "我和小明一起做题", "x + y = 4", "word", "12 34"])
def test_a_text_without_two_words_of_letters_does_not_load_the_model(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(name_model, "_model", lambda: pytest.fail("loaded"))
    assert name_model.whole_names(text) == []


def test_a_name_of_model_and_rules_is_replaced_once_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out: `find_names` in `_private_spans`."""
    text = "My cousin Orla Fenwick and Tamsin Okoro hit me."
    _model_that_finds(monkeypatch, "Orla", "Fenwick", "Tamsin", "Okoro")
    redactor = Redactor((), (), name_model.whole_names)
    redacted = redactor.redact(text)
    assert redacted == "My cousin [PERSON_1] and [PERSON_2] hit me."
    assert redactor.restore(redacted) == text


def test_the_setting_switches_the_model_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: `find_names` in `question_of`."""
    monkeypatch.setattr("edugraph_analyzer.settings.find_spec", lambda _: True)
    given = _model_that_finds(monkeypatch, "Tamsin", "Okoro")
    data = {"student_id": "s1", "course_id": "c", "error_text": "Tamsin Okoro hit me"}
    record = {"type": "error_record", "timestamp": "2026-01-05T08:00:00Z", "data": data}
    document = read_document(record, "error", [])
    off = question_of(document, AnalyzerSettings())
    assert "Tamsin Okoro" in off.body
    assert given == []
    on = question_of(document, AnalyzerSettings(name_model=True))
    assert "Tamsin" not in on.body
    assert on.key != off.key
    assert (
        "Tamsin Okoro"
        in question_of(document, AnalyzerSettings(name_model=True, redaction=False)).body
    )


def test_a_model_that_is_wanted_and_not_there_ends_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out: `name_model_is_there`."""
    monkeypatch.setattr("edugraph_analyzer.settings.find_spec", lambda _: None)
    assert AnalyzerSettings().name_model is False
    with pytest.raises(ValidationError, match="needs the extra names"):
        AnalyzerSettings(name_model=True)


@pytest.mark.parametrize(
    "name", ["Thandiwe Mokoena", "priya raghunathan", "Søren Kjeldsen", "Wang Xiuying"]
)
def test_the_model_finds_names_that_no_rule_knows(name: str) -> None:
    pytest.importorskip(
        NAME_MODEL_PACKAGE, reason="the extra `names` of the analyzer is not installed"
    )
    text = f"Yesterday {name} took my pen and laughed at me in the break."
    assert name.rsplit(maxsplit=1)[-1] not in Redactor((), (), name_model.whole_names).redact(text)
    harmless = "Jenny has four apples. Multiply both sides by two, then solve for x."
    assert Redactor((), (), name_model.whole_names).redact(harmless) == harmless
