"""The evaluation's own arithmetic, with made-up labels and answers: no model, no data of anybody."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.findings import ContentFinding, ErrorFinding, FoundErrorType, FoundPoint, LinkedPoint
from evaluation.agreement import figures, nearest, row_of, row_without
from evaluation.data_sets import DATA_SETS, STEPVERIFY, DataSet, Sample, sample
from evaluation.runs import Arm, Run, go_on
from evaluation.table import misses, table

CHATS = DATA_SETS["bridge"]
TEXTS_ZH = DATA_SETS["tal_zh texts"]


def record(number: int) -> dict[str, Any]:
    data = {
        "course_id": "c",
        "course_name": "C",
        "question": f"Point {number}",
        "error_text": "tutor: so?\nstudent: 4",
    }
    return {"type": "error_record", "record_id": f"r{number}-error", "data": data}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = {
        "records": [record(number) for number in range(20)],
        "labels": [
            {"record_id": f"r{n}-error", "error_type": "guess", "knowledge_point": f"P{n}"} for n in range(20)
        ],
    }
    for name, values in lines.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "bridge.ndjson").write_text("\n".join(map(json.dumps, values)))
    return tmp_path


def test_a_larger_sample_begins_with_the_smaller_one(folder: Path) -> None:
    assert sample(CHATS, folder, 12, seed=3)[:5] == sample(CHATS, folder, 5, seed=3)
    assert sample(CHATS, folder, 12, seed=3) != sample(CHATS, folder, 12, seed=4)


def test_a_record_that_the_file_has_twice_is_asked_once(folder: Path) -> None:
    path = folder / "records" / "bridge.ndjson"
    path.write_text("\n".join([path.read_text()] * 2))
    assert len(sample(CHATS, folder, 40, seed=3)) == 20


def test_the_course_is_known_and_the_label_is_not_told(folder: Path) -> None:
    (first, *_) = sample(CHATS, folder, 1, seed=1)
    assert first.record["data"]["question"] is None
    assert first.context is not None
    assert len(first.context.knowledge_points) == 20
    assert first.points[0] in first.context.knowledge_points


def made(error_type: str | None = None, points: tuple[str, ...] = ()) -> Sample:
    return Sample({"record_id": "r"}, None, error_type, points)


def test_the_place_of_the_first_right_point_counts() -> None:
    links = [LinkedPoint(name=name, strength=s, confidence=1) for name, s in (("slope", 0.2), ("Ratio", 0.9))]
    said = ErrorFinding(knowledge_points=tuple(links), confidence=1, evidence=("x",))
    assert row_of(CHATS, made(points=("ratio",)), said)["rank"] == 1
    assert row_of(CHATS, made(points=("slope", "x")), said)["rank"] == 2
    assert row_of(CHATS, made(points=("angle",)), said)["rank"] == 0


def test_an_answer_in_english_to_a_chinese_text_is_seen() -> None:
    def said(name: str) -> bool:
        finding = ContentFinding(knowledge_points=(FoundPoint(name=name),), confidence=1)
        return bool(row_of(TEXTS_ZH, made(points=("x",)), finding)["chinese"])

    assert [said("小数乘法"), said("decimal multiplication")] == [True, False]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("arithmetic error", "Calculation error easily solved by a calculator"),
        ("unit conversion mistake", "Unit conversion error"),
        ("misread question", "Misunderstanding of a question"),
    ],
)
def test_free_words_are_counted_as_the_nearest_kind(words: str, kind: str) -> None:
    assert nearest(words, STEPVERIFY) == kind


def rows(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    shared = {"evidence": True, "chinese": None, "rank": None}
    return [
        {"record_id": str(n), "error_type": right, "said": said, **shared} for n, (right, said) in enumerate(pairs)
    ]


def test_accuracy_and_macro_f1() -> None:
    found = figures(rows(("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")))
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_record_without_an_answer_is_wrong_and_says_nothing_of_evidence() -> None:
    found = figures([*rows(("a", "a")), row_without(made("a", ("p",)), "does not validate")])
    assert (found["answered"], found["accuracy"], found["hit@5"], found["evidence"]) == (0.5, 0.5, 0.0, 1.0)


# --- runs ---------------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


class Listed:
    """Reads by heart, and breaks off at the pack of this number."""

    def __init__(self, breaks_at: int = 99) -> None:
        self.read_records: list[str] = []
        self.breaks_at = breaks_at

    def read(self, _: DataSet, samples: list[Sample]) -> Any:
        if self.breaks_at == 0:
            raise Broken
        self.breaks_at -= 1
        self.read_records += [each.record["record_id"] for each in samples]
        return [row_without(each, "none") for each in samples], {"requests": 1.0}


def test_a_run_that_broke_off_goes_on_with_what_is_missing(folder: Path, tmp_path: Path) -> None:
    samples, arm = sample(CHATS, folder, 10, seed=1), Arm("bridge", "m", "error.1", 4, 1)
    first: Any = Listed(breaks_at=1)
    with pytest.raises(Broken):
        go_on(Run.kept(arm, tmp_path), first, samples, tmp_path, lambda: True)
    second: Any = Listed()
    go_on(Run.kept(arm, tmp_path), second, samples, tmp_path, lambda: True)
    names = [each.record["record_id"] for each in samples]
    assert (first.read_records, second.read_records) == (names[:4], names[4:])
    assert Run.kept(arm, tmp_path).took == {"requests": 3.0}


def test_no_question_is_asked_when_the_time_is_up(folder: Path, tmp_path: Path) -> None:
    reader: Any = Listed()
    run = Run(Arm("bridge", "m", "error.1", 4, 1))
    go_on(run, reader, sample(CHATS, folder, 10, seed=1), tmp_path, lambda: False)
    assert run.rows == []


def test_what_packing_loses_is_a_miss() -> None:
    good, bad = ("a", "a"), ("a", "b")
    single = Run(Arm("s", "m", "error.1", 1, 1), rows(*[good] * 10))
    packed = Run(Arm("s", "m", "error.1", 4, 1), rows(*[good] * 9, bad))
    assert [line.split(",")[0] for line in misses([single, packed])] == ["m: packed by 4"] * 2
    assert misses([single, Run(packed.arm, single.rows)]) == []
    assert "| s | m | error.1 | 4 | 10 |" in table([packed])


def test_what_was_asked_by_several_prompts_counts_together() -> None:
    good, bad = ("a", "a"), ("a", "b")
    single = [Run(Arm("s", "m", "error.6", 1, 1), rows(*[good] * 10)), Run(Arm("t", "m", "interaction.5", 1, 1))]
    packed = [replace(run, arm=replace(run.arm, pack=4)) for run in single]
    worse = Run(Arm("t", "m", "interaction.5", 4, 1), rows(*[bad] * 2))
    assert misses([*single, *packed]) == []
    assert len(misses([*single, packed[0], worse])) == 2


def test_evidence_that_is_not_in_the_text_is_a_miss() -> None:
    said = ErrorFinding(error_types=(FoundErrorType(name="slip", confidence=0.5),), confidence=0.5)
    run = Run(Arm("s", "m", "error.1", 1, 1), [row_of(CHATS, made("guess"), said)])
    assert any("evidence" in line for line in misses([run]))
