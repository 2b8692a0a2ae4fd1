"""The evaluation's own arithmetic, with made-up labels and answers: no model, no data of anybody."""

import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
)
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.reviews import text_hash
from evaluation import statistics
from evaluation.agreement import NO_TOPIC, figures, nearest, row_of, row_without
from evaluation.data_sets import DATA_SETS, STEPVERIFY, TOPICS, DataSet, Hierarchy, Sample, sample
from evaluation.moods import second_labels
from evaluation.reviewed import reviewed
from evaluation.runs import PRODUCTION, Arm, Run, go_on
from evaluation.statistics import (
    Goal,
    Interval,
    bootstrapped,
    calibration_error,
    paired,
    reliability,
)
from evaluation.table import goals_of, page, table

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
            {"record_id": f"r{n}-error", "error_type": "guess", "knowledge_point": f"P{n}"}
            for n in range(20)
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
    links = [
        LinkedPoint(name=name, strength=s, confidence=1)
        for name, s in (("slope", 0.2), ("Ratio", 0.9))
    ]
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
        {"record_id": str(n), "error_type": right, "said": said, **shared}
        for n, (right, said) in enumerate(pairs)
    ]


def test_accuracy_and_macro_f1() -> None:
    found = figures(rows(("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")))
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_record_without_an_answer_is_wrong_and_says_nothing_of_evidence() -> None:
    found = figures([*rows(("a", "a")), row_without(made("a", ("p",)), "does not validate")])
    assert (found["answered"], found["accuracy"], found["hit@5"], found["evidence"]) == (
        0.5,
        0.5,
        0.0,
        1.0,
    )


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


def verdicts(runs: list[Run]) -> dict[str, str]:
    return {goal.name.removeprefix("m: "): goal.verdict for goal in goals_of(runs)}


@pytest.fixture
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts of these tests are far from the bounds, and a thousand resamples take seconds."""
    monkeypatch.setattr(statistics, "RESAMPLES", 100)


@pytest.mark.usefixtures("_fewer_resamples")
def test_what_packing_loses_is_a_miss_only_beyond_chance() -> None:
    good, bad = ("a", "a"), ("a", "b")
    single = Run(Arm("s", "m", "error.1", 1, 1), rows(*[good] * 100))
    for wrong, verdict in ((30, "MISS"), (5, "undecided"), (0, "held")):
        packed = Run(Arm("s", "m", "error.1", 4, 1), rows(*[good] * (100 - wrong), *[bad] * wrong))
        found = verdicts([single, packed])
        assert found["singly → 4, accuracy lost"] == verdict
        assert found["singly → 4, evidence lost"] == "held"
    assert "| s | m | error.1 | 4 | 100 |" in table([packed])
    worse = replace(packed.arm, pack=PRODUCTION)
    assert (
        verdicts([single, Run(worse, rows(*[bad] * 100))])["singly → as production, accuracy lost"]
        == "MISS"
    )


@pytest.mark.usefixtures("_fewer_resamples")
def test_what_was_asked_by_several_prompts_counts_together() -> None:
    good, bad = ("a", "a"), ("a", "b")
    single = [
        Run(Arm("s", "m", "error.6", 1, 1), rows(*[good] * 50)),
        Run(Arm("t", "m", "interaction.5", 1, 1), rows(*[good] * 50)),
    ]
    packed = [replace(run, arm=replace(run.arm, pack=4)) for run in single]
    worse = Run(packed[1].arm, rows(*[bad] * 50))
    assert verdicts([*single, *packed])["singly → 4, accuracy lost"] == "held"
    assert verdicts([*single, packed[0], worse])["singly → 4, accuracy lost"] == "MISS"


@pytest.mark.usefixtures("_fewer_resamples")
def test_two_prompts_of_a_kind_are_compared_by_the_records_that_both_were_asked_of() -> None:
    """Out: the sets of the other prompt in `_prompts`, or `known` among the measures."""
    before = [row | {"known": 0.25} for row in rows(*[("a", "b")] * 10)]
    after = [row | {"known": 1.0} for row in rows(*[("a", "a")] * 20)]
    runs = [
        Run(Arm("u", "m", "interaction.5", 4, 1), after),
        Run(Arm("s", "m", "error.7", 4, 1), after),
        Run(Arm("t", "m", "error.7", 4, 1), after),
        Run(Arm("s", "m", "error.7", 1, 1), before),
    ]
    compared = "m, packs 4: error.5 → error.7"
    found = page(runs, [Run(Arm("s", "m", "error.5", 4, 1), before)])
    assert f"| {compared} | accuracy | 10 | 1.000 (1.000 to 1.000) | 0 | 10 | 0.002 |" in found
    assert f"| {compared} | known | 10 | 0.750 (0.750 to 0.750) | 0 | 10 | 0.002 |" in found
    assert "| s | m | error.5 | 4 | 10 |" in found
    assert "| all together | m | – | 4 | 60 |" in found, (
        "what another prompt answered counts for itself alone"
    )
    assert "error.5" not in page(runs)


def test_evidence_that_is_not_in_the_text_is_a_miss() -> None:
    said = ErrorFinding(error_types=(FoundErrorType(name="slip", confidence=0.5),), confidence=0.5)
    run = Run(Arm("s", "m", "error.1", 1, 1), [row_of(CHATS, made("guess"), said)] * 20)
    assert verdicts([run])["m, packs 1: evidence"] == "MISS"


def test_a_page_compares_a_model_with_the_offline_analyser_and_shows_how_sure_both_were() -> None:
    sure = {"sure": (0.7, True), "type_sure": (0.3, False)}
    made_rows = [{**row, **sure} for row in rows(*[("a", "a")] * 8, *[("a", "b")] * 4)]
    worse = [{**row, "said": "(none)"} for row in made_rows]
    runs = [
        Run(Arm("s", "offline-lexicon", "l", 1, 1), worse),
        Run(Arm("s", "m", "error.1", 1, 1), made_rows),
    ]
    found = page(runs)
    assert (
        "| offline-lexicon → m, singly | accuracy | 12 | 0.667 (0.417 to 0.917) | 0 | 8 | 0.008 |"
        in found
    )
    assert "| m | 1 | first points | 0.7 | 0.70 | 1.000 (0.758 to 1.000) | 12 |" in found


ROUTES = [
    "Maths->Algebra->Equations->Linear",
    "Maths->Algebra->Inequalities",
    "Maths->Geometry->Angles",
    "Maths->Geometry->Areas",
]


def test_a_point_near_the_right_one_has_a_part_of_the_credit() -> None:
    of = Hierarchy(ROUTES).credit
    assert of("linear", ["Linear"]) == 1
    assert of("Equations", ["Linear"]) == 2 * 2 / (2 + 3)
    assert of("Inequalities", ["Linear", "Angles"]) == 2 * 1 / (2 + 3)
    assert of("Angles", ["Linear"]) == of("Maths", ["Linear"]) == of("unheard of", ["Linear"]) == 0
    assert of("unheard of", ["Unheard  of"]) == 1


def test_a_quote_is_held_against_the_first_wrong_step() -> None:
    record = {"record_id": "r", "data": {"error_text": "She has 3 bags.\n3 x 4 = 7 apples\nSo 7."}}
    wrong = Sample(record, None, "guess", (), first_wrong_step="3 x 4 = 7 apples")
    for quote, hits in (
        ("3 x 4 = 7", True),
        ("3 x 4 = 7 apples\nSo 7.", True),
        ("She has 3 bags.", False),
    ):
        said = ErrorFinding(error_types=(), confidence=0.5, evidence=(quote,))
        row = row_of(CHATS, wrong, said)
        assert (row["step"], row["step_by_chance"]) == (hits, 1 / 3)


# --- statistics ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [(0.5, 0.7, "MISS", "held"), (0.7, 0.9, "undecided", "undecided"), (0.8, 0.9, "held", "MISS")],
)
def test_a_verdict_needs_the_whole_interval(
    low: float, high: float, at_least: str, at_most: str
) -> None:
    figure = Interval((low + high) / 2, low, high)
    found = [
        Goal("g", bound, is_least, figure).verdict
        for bound, is_least in ((0.75, True), (0.75, False))
    ]
    assert found == [at_least, at_most]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_paired_test_is_the_sign_test_of_those_that_differ(
    pairs: list[tuple[bool, bool]],
) -> None:
    found = paired(pairs)
    wins, losses = pairs.count((False, True)), pairs.count((True, False))
    differ = wins + losses
    tail = sum(math.comb(differ, number) for number in range(min(wins, losses) + 1)) / 2**differ
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    assert found.difference.seen == pytest.approx((wins - losses) / len(pairs))
    assert found.difference.low <= found.difference.seen <= found.difference.high
    turned = paired([(second, first) for first, second in pairs])
    assert (turned.only_first, turned.only_second) == (found.only_second, found.only_first)


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    draw = random.Random(7)
    held = 0
    for _ in range(200):
        figure = bootstrapped(
            [draw.random() < 0.3 for _ in range(150)], lambda drawn: sum(drawn) / len(drawn)
        )
        held += figure.low <= 0.3 <= figure.high
    assert 180 <= held <= 199


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80))
def test_reliability_counts_each_answer_once(said: list[tuple[float, bool]]) -> None:
    bins = reliability(said)
    assert sum(count for *_, count in bins) == len(said)
    assert sum(mean * count for _, mean, _, count in bins) == pytest.approx(
        sum(each for each, _ in said)
    )
    assert 0 <= calibration_error(said) <= 1


# --- moods --------------------------------------------------------------------------------------------------------


def test_the_sheet_of_the_second_labelling_tells_no_first_label(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = second_labels.messages()
    assert (len(found), len({each["text"] for each in found})) == (200, 200)
    lines = second_labels.sheet(3).splitlines()
    assert len(lines) == 200
    assert sorted(line.partition(" ")[2] for line in lines) == sorted(
        each["text"].replace("\n", " / ") for each in found
    )
    assert [line.partition(" ")[0] for line in lines] == [str(number) for number in range(1, 201)]
    monkeypatch.setattr(second_labels, "SECOND", tmp_path / "second.ndjson")
    for aspect, marks in (("mood", second_labels.MOODS), ("topic", second_labels.TOPICS)):
        mark_of = {label: mark for mark, label in marks.items()}
        said = [
            f"{number} {mark_of[each[aspect]]}"
            for number, each in enumerate(second_labels.shuffled(3), start=1)
        ]
        second_labels.keep(aspect, 3, said)
        with pytest.raises(ValueError, match=r"no label for \[200\]"):
            second_labels.keep(aspect, 3, said[:-1])
    for aspect in (
        "mood",
        "topic",
    ):  # the second labels of one aspect leave those of the other as they are
        assert all(first == second for first, second in second_labels.both(aspect).values())


@given(st.lists(st.tuples(st.sampled_from("+-0"), st.sampled_from("+-0")), min_size=2, max_size=50))
def test_kappa_is_the_agreement_beyond_chance(marks: list[tuple[str, str]]) -> None:
    pairs = [(second_labels.MOODS[one], second_labels.MOODS[other]) for one, other in marks]
    agreed = sum(one == other for one, other in marks) / len(marks)
    first, second = Counter(one for one, _ in marks), Counter(other for _, other in marks)
    chance = sum(first[mark] * second[mark] for mark in "+-0") / len(marks) ** 2
    if chance < 1:
        assert second_labels.kappa(pairs) == pytest.approx((agreed - chance) / (1 - chance))


# --- labels of one's own ------------------------------------------------------------------------------------------


def _review(
    record: dict[str, Any], aspect: str, target: str, verdict: str = "accepted", minute: int = 0
) -> str:
    said = {
        "kind": "finding",
        "record_id": record["record_id"],
        "text_hash": text_hash(parse_record(record)),
        "aspect": aspect,
        "target": target,
        "verdict": verdict,
        "at": f"2026-03-02T08:{minute:02}:00Z",
        "by": "a",
    }
    return json.dumps(said)


def test_what_people_accepted_of_mistakes_is_a_set_of_each_language(tmp_path: Path) -> None:
    texts = {
        "e1": "3 + 4 = 8",
        "e2": "I forgot the sign",
        "z1": "移项时忘了变号",
        "x": "nobody reviewed this",
    }
    records = {
        name: {
            "type": "error_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": name,
            "data": {"student_id": "s", "course_id": "c", "error_text": text},
        }
        for name, text in texts.items()
    }
    course_text = {"course_id": "c", "content": "Slope is rise over run."}
    records["t"] = records["e1"] | {"type": "course_content", "record_id": "t", "data": course_text}
    reviews = [
        _review(records["t"], "knowledge_point", "slope"),
        _review(records["e1"], "error_type", "slip"),
        _review(records["e1"], "knowledge_point", "addition"),
        _review(records["e1"], "knowledge_point", "division", "rejected"),
        _review(records["e2"], "error_type", "sign error"),
        _review(records["e2"], "error_type", "sign error", "withdrawn", minute=1),
        _review(records["e2"], "knowledge_point", "equations"),
        _review(records["z1"], "error_type", "移项错误"),
    ]
    paths = tmp_path / "records.ndjson", tmp_path / "reviews.ndjson"
    paths[0].write_text("\n".join(map(json.dumps, records.values())))
    paths[1].write_text("\n".join(reviews))
    found = reviewed(*paths)
    assert [(each.kind, each.language, each.meanings) for each, _ in found] == [
        ("error", "en", {"slip": "slip"}),
        ("error", "zh", {"移项错误": "移项错误"}),
    ]
    labels = {
        each.record["record_id"]: (each.error_type, each.points)
        for _, some in found
        for each in some
    }
    assert labels == {
        "e1": ("slip", ("addition",)),
        "e2": (None, ("equations",)),
        "z1": ("移项错误", ()),
    }
    for _, samples in found:
        for each in samples:
            assert each.context == CourseContext(
                course_id="c", knowledge_points=("addition", "equations")
            )
    paths[1].write_text("\n".join([*reviews, _review(records["x"], "knowledge_point", "addition")]))
    assert reviewed(*paths)[0][0].name != found[0][0].name, (
        "answers are kept by the name of their set"
    )


def test_a_mood_is_right_or_wrong_and_one_without_an_answer_is_wrong() -> None:
    """Out: `mood` of rows, or of figures."""
    samples = sample(DATA_SETS["moods zh"], Path(), 4, seed=1)
    assert {each.record["type"] for each in samples} == {"teacher_interaction"}
    moods = ["positive", "negative", "neutral"]
    rows = [
        row_of(
            DATA_SETS["moods zh"], each, InteractionFinding(sentiment=mood, topics=(), confidence=1)
        )
        for each in samples[:3]
        for mood in moods
    ]
    assert figures(rows)["mood"] == pytest.approx(1 / 3), "one of the three is right of each"
    with_unanswered = [*rows, *(row_without(each, "no answer") for each in samples[:3])]
    assert figures(with_unanswered)["mood"] == pytest.approx(1 / 4)
    assert figures([row_without(replace(samples[0], mood=None), "no answer")])["mood"] is None


@pytest.mark.parametrize(
    ("found", "topic"),
    [
        ((), "none"),
        (("adding fractions", "slope"), "fractions"),
        (("一元一次方程",), "algebra"),
        (("古诗",), "language"),
    ],
)
def test_the_first_topic_counts_as_the_one_that_is_nearest_in_meaning(
    found: tuple[str, ...], topic: str
) -> None:
    said = InteractionFinding(sentiment="neutral", topics=found, confidence=1)
    about = [replace(made(), topic=each) for each in ("fractions", "none", "algebra", "language")]
    judged = [row_of(DATA_SETS["moods en"], each, said) for each in about]
    assert {row["topic_said"] for row in judged} == {topic}
    assert figures(judged)["topic"] == 1 / 4
    assert figures([row_without(about[0], "no answer")])["topic"] == 0


def test_names_that_are_not_those_of_the_course_have_drifted() -> None:
    """Out: `known` of rows, or of figures."""
    course = CourseContext(course_id="c", knowledge_points=("Common denominator", "slope", "面积"))

    def known(*names: str, context: CourseContext | None = course) -> float | None:
        links = tuple(LinkedPoint(name=name, strength=0.5, confidence=1) for name in names)
        found = ErrorFinding(knowledge_points=links, confidence=1)
        share: float | None = row_of(CHATS, replace(made(), context=context), found)["known"]
        return share

    assert (known("common  denominator", "面积"), known("slope", "the slope of a line")) == (1, 0.5)
    assert known() is None
    assert known("slope", context=None) is None
    shared = rows(*[("a", "a")] * 3)
    assert (
        figures(
            [{**row, "known": share} for row, share in zip(shared, (1, 0.5, None), strict=True)]
        )["known"]
        == 0.75
    )


def test_the_sets_of_moods_are_all_labelled_messages() -> None:
    drawn = [
        sample(DATA_SETS[f"moods {language}"], Path(), 1_000, seed=1) for language in ("en", "zh")
    ]
    labels = {each.record["record_id"]: (each.mood, each.topic) for some in drawn for each in some}
    assert sum(map(len, drawn)) == len(labels), "each message is of one language"
    moods, topics = second_labels.both("mood"), second_labels.both("topic")
    assert labels == {name: (moods[name][0], topics[name][0]) for name in moods}
    assert (
        {topic for _, topic in labels.values()}
        == {*TOPICS, NO_TOPIC}
        == {*second_labels.TOPICS.values()}
    )
