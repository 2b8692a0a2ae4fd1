"""The goals of the redaction and of the fence hold, and the check can tell when they do not."""

from pathlib import Path

import pytest

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.prompting import questions
from edugraph_analyzer.prompting.injection import speaks_to_model
from evaluation import privacy_check
from evaluation.privacy_attacks import attack_report, read_attacks
from evaluation.privacy_check import tally
from evaluation.privacy_labels import Labelled, read_labelled

FOLDER = Path(privacy_check.__file__).with_name("privacy")
NOBODY = {"zh": CourseNames([]), "en": CourseNames([])}


def labelled() -> list[Labelled]:
    return [row for part in ("final", "tuning") for row in read_labelled(FOLDER / f"{part}.ndjson")]


def test_all_goals_hold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy_check, "REPORT", tmp_path / "figures.json")
    assert privacy_check.main() == 0
    assert "one student per pack: 0 of 60 attacks succeed" in capsys.readouterr().out


def test_there_are_three_hundred_texts_in_two_languages() -> None:
    rows = labelled()
    assert len({row.text for row in rows}) == 300
    assert sum(row.language == "zh" for row in rows) == 150


def test_marks_become_places_in_the_text(tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    file.write_text(
        '{"id":"1","language":"en","own":["Ann"],"text":"[[own|Ann]] wrote to [[email|a@b.org]]."}'
    )
    (row,) = read_labelled(file)
    assert row.text == "Ann wrote to a@b.org."
    assert row.secrets == ((0, 3, "own"), (13, 20, "email"))
    assert row.people == (Person("STUDENT", "Ann", is_name=True),)


def test_half_of_a_secret_is_not_found_and_harmless_words_count_as_wrong() -> None:
    row = Labelled(
        "1", "en", (Person("STUDENT", "Ann", is_name=True),), "Ann lee met Ann", ((0, 7, "own"),)
    )
    counts = tally([row], NOBODY)
    assert (counts.found["own"], counts.right["own"], counts.wrong["own"]) == (0, 1, 1)


def test_texts_without_an_attack_are_not_taken_for_one() -> None:
    assert [row.text for row in labelled() if speaks_to_model(row.text)] == []


def test_without_the_guards_the_attacks_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "speaks_to_model", lambda _: False)
    monkeypatch.setattr("edugraph_analyzer.pipeline.found_in", lambda _, text: (text,))
    report = attack_report(read_attacks(FOLDER / "attacks.ndjson"))
    assert len(report["several students per pack"]) == 56
    assert report["one student per pack"] == []
