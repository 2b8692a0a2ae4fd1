"""What the offline analyser learns of labelled mistakes, and that a row that goes takes it along."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.rule_based import lexicon
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fits_in_use import LOOKED_AT_SECONDS, FitsInUse
from edugraph_analyzer.rule_based.fitted import (
    NEIGHBOURS,
    SAME_QUESTION_COSINE,
    Classifier,
    Fit,
    Linker,
    TfIdf,
    confidence_of,
    signs_of,
    words_of,
)
from edugraph_analyzer.rule_based.fitting import by_course, fit_course, steps_of
from edugraph_analyzer.rule_based.labels import FileLabels, LabelledItem, label_reader
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.fits import LabelledRow
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.reviews import text_hash
from edugraph_common.runtime.shared_state.fit_store import fit_keys, leave_rows_out, write_fit
from edugraph_common.runtime.shared_state.object_store import Blobs

NOW = datetime(2026, 1, 5, tzinfo=UTC)
TEXTS = {
    "signs": "moved the term across and kept its minus sign {}",
    "fractions": "added the numerators and added the denominators {}",
    "units": "wrote metres where the question asked for centimetres {}",
}


def mistake(number: int, text: str, student: str | None = None) -> dict:
    data = {
        "student_id": student or f"s{number}",
        "student_name": "Rosalind Achterberg",
        "course_id": "c",
        "error_text": text,
    }
    return {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": f"r{number}",
        "data": data,
    }


def labelled(count: int = 120) -> list[LabelledItem]:
    """Mistakes in three points of a course; the kind of the mistake goes with the point."""
    names = list(TEXTS)
    return [
        LabelledItem(
            mistake(number, TEXTS[names[number % 3]].format(number * 37)),
            (f"kind {number % 3}",),
            (f"Point {number % 3}",),
        )
        for number in range(count)
    ]


def fitted(items: list[LabelledItem]) -> Fit:
    return Fit.of(*fit_course("c", by_course(items)["c"], NOW))


def document(text: str):
    return read_document(mistake(999, text), "error", ())


def row(
    words: dict[str, int], *, points: tuple[str, ...] = (), types: tuple[str, ...] = ()
) -> LabelledRow:
    return LabelledRow(
        record_id="r", students=("s",), words=words, knowledge_points=points, error_types=types
    )


BAGS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5), min_size=1, max_size=6),
    min_size=1,
    max_size=12,
)


def reference(bags: list[dict[str, int]], *, of: list[dict[str, int]]):
    """Return the vectors that scikit-learn gives."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer=lambda bag: [word for word, count in bag.items() for _ in range(count)],
        sublinear_tf=True,
    )
    vectorizer.fit(bags)
    return vectorizer.transform(of)


@given(BAGS, st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 5)))
def test_vectors_are_those_of_scikit_learn(
    bags: list[dict[str, int]], asked: dict[str, int]
) -> None:
    own = TfIdf(bags).vector(asked)
    theirs = sorted(reference(bags, of=[asked]).data)
    assert sorted(own.values()) == pytest.approx(theirs)


@given(BAGS, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5)))
def test_neighbours_vote_with_the_square_of_their_cosine(
    bags: list[dict[str, int]], asked: dict[str, int]
) -> None:
    assert len(bags) <= NEIGHBOURS
    cosines = (reference(bags, of=[asked]) @ reference(bags, of=bags).T).toarray()[0]
    wanted: dict[str, float] = {}
    for place, cosine in enumerate(cosines):
        wanted[f"p{place % 3}"] = wanted.get(f"p{place % 3}", 0.0) + cosine**2
    linker = Linker([row(bag, points=(f"p{place % 3}",)) for place, bag in enumerate(bags)])
    votes = linker.votes(asked).by_point
    assert {name: votes.get(name, 0.0) for name in wanted} == pytest.approx(wanted)


@given(BAGS, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5)))
def test_mistakes_at_the_same_question_can_be_left_out(
    bags: list[dict[str, int]], asked: dict[str, int]
) -> None:
    cosines = (reference(bags, of=[asked]) @ reference(bags, of=bags).T).toarray()[0]
    assume(all(abs(cosine - SAME_QUESTION_COSINE) > 1e-9 for cosine in cosines))
    linker = Linker([row(bag, points=(f"p{place}",)) for place, bag in enumerate(bags)])
    left = linker.votes(asked, without_same_question=True).by_point
    wanted = {
        f"p{place}": cosine**2
        for place, cosine in enumerate(cosines)
        if 0 < cosine < SAME_QUESTION_COSINE
    }
    assert left == pytest.approx(wanted)
    is_same = max(cosines) > SAME_QUESTION_COSINE
    assert linker.votes(asked).is_same_question is bool(is_same)


def test_a_new_question_has_the_confidence_of_new_questions() -> None:
    """Each class has one question of its own, and the words of a question say nothing of the point of another one.

    To take the guard out: let Fit.points use one step function, or let the fit judge with the same question only.
    """
    items = []
    for number in range(200):
        question = number // 20
        words = " ".join(f"q{question}w{place}" for place in range(8))
        items.append(
            LabelledItem(mistake(number, f"shared words here {words}"), (), (f"P{question % 4}",))
        )
    fit = fitted(items)
    assert fit.header.held_out["hit@1_same_question"] > 0.9
    assert fit.header.held_out["hit@1_new_question"] < 0.5
    seen = fit.points(document("shared words here " + " ".join(f"q3w{n}" for n in range(8))), 3)
    new = fit.points(document("shared words here and others that nobody labelled"), 3)
    assert seen[0].confidence > 0.9
    assert all(point.confidence < 0.5 for point in new)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=400))
def test_steps_rise_and_keep_the_share_that_was_right(scored: list[tuple[float, bool]]) -> None:
    steps = steps_of(scored)
    assert [list(each) for each in zip(*steps, strict=True)] == [
        sorted(set(each)) for each in zip(*steps, strict=True)
    ]
    if (
        len({score for score, _ in scored}) == len(scored) > 0
    ):  # ties may stand on both sides of an edge
        said = sum(confidence_of(steps, score) for score, _ in scored)
        assert said == pytest.approx(sum(right for _, right in scored))


def test_steps_are_those_of_isotonic_regression_over_the_bins() -> None:
    right = [number % 7 < number // 60 + 1 for number in range(200)]
    steps = steps_of([(number / 200, each) for number, each in enumerate(right)])
    bins = [sum(right[start : start + 20]) / 20 for start in range(0, 200, 20)]
    from sklearn.isotonic import IsotonicRegression

    theirs = IsotonicRegression().fit_transform(range(10), bins)
    assert [confidence_of(steps, (start * 20) / 200) for start in range(10)] == pytest.approx(
        list(theirs)
    )


def test_a_fit_links_by_labelled_mistakes_and_names_their_kind() -> None:
    fit = fitted(labelled())
    for number, text in enumerate(TEXTS.values()):
        asked = document(text.format("in question nine"))
        found = RuleBasedAnalyzer(lambda _: fit).finding(asked)
        assert found.finding.knowledge_points[0].name == f"Point {number}"
        assert found.finding.error_types[0].name == f"kind {number}"
        assert found.finding.confidence > 0.8
        version = f"{lexicon.VERSION}, fit {fit.header.version}, kinds measured"
        assert found.origin.prompt_version == version


def test_a_fit_proposes_the_points_of_like_mistakes_to_a_model() -> None:
    """To take the guard out: let `points_of_neighbours` return nothing, or let it read other texts than mistakes."""
    analyzer = RuleBasedAnalyzer(lambda _: fitted(labelled()))
    for number, text in enumerate(TEXTS.values()):
        proposed = analyzer.points_of_neighbours(document(text.format("in question nine")))
        assert proposed[0] == f"Point {number}"
    assert RuleBasedAnalyzer().points_of_neighbours(document(TEXTS["units"])) == ()
    chat = {"teacher_id": "t", "student_id": "s", "text": TEXTS["units"]}
    record = {"type": "teacher_interaction", "timestamp": "2026-01-05T08:00:00Z", "data": chat}
    assert analyzer.points_of_neighbours(read_document(record, "interaction", ())) == ()


def test_what_a_fit_cannot_know_stays_empty() -> None:
    fit = fitted(labelled())
    assert fit.points(document("photosynthesis needs light"), 3) == []
    by_chance = [
        LabelledItem(item.record, (f"kind {number * 7919 % 5}",), ())
        for number, item in enumerate(labelled(150))
    ]
    assert fitted(by_chance).error_type(document(TEXTS["units"])) is None
    few = [
        LabelledItem(item.record, ("rare",) if n < 4 else ("usual",), ())
        for n, item in enumerate(labelled())
    ]
    assert fitted(few).classifier.said(words_of(document("kept its minus sign")), ()) is None


@settings(max_examples=20, deadline=None)
@given(share_of_usual=st.floats(0.6, 0.9), seed=st.integers(0, 1_000))
def test_kinds_that_the_words_do_not_tell_are_not_named(share_of_usual: float, seed: int) -> None:
    """Guard: `is_useful`. The kinds have equal weight in a fit, so that the most frequent one is right more often."""
    chance = Random(seed)
    kinds = []
    for _ in range(150):
        is_usual = chance.random() < share_of_usual
        kinds.append("usual" if is_usual else chance.choice(["slip", "sign"]))
    items = []
    for item, kind in zip(labelled(150), kinds, strict=True):
        items.append(LabelledItem(item.record, (kind,), ()))
    fit = fitted(items)
    assert fit.error_type(document(TEXTS["units"])) is None
    if kinds.count("usual") > 75:
        shown = fit.header.held_out["most_frequent_kind"]
        assert shown == pytest.approx(kinds.count("usual") / 150, abs=0.001)


def test_a_text_without_the_fits_words_is_linked_as_without_a_fit() -> None:
    record = mistake(1, "Mixed up perimeter, area.")
    found = RuleBasedAnalyzer(lambda _: fitted(labelled())).finding(
        read_document(record, "error", ())
    )
    assert [point.name for point in found.finding.knowledge_points] == ["perimeter", "area"]


def test_all_that_was_learned_of_a_student_goes_with_their_rows(tmp_path: Path) -> None:
    """To take the guard out: let Fit keep the vectors of the time of the fit."""
    items = [
        *labelled(),
        *(
            LabelledItem(mistake(200 + n, f"zebra crossing {n}", "gone"), ("z",), ("Z",))
            for n in range(9)
        ),
    ]
    blobs = Blobs(str(tmp_path))
    header, rows = fit_course("c", by_course(items)["c"], NOW)
    key = write_fit(blobs, header, rows)
    assert leave_rows_out(blobs, key, lambda row: "gone" in row.students, dry_run=True) == 9
    in_use, clock = FitsInUse(blobs, lambda: seconds), 0.0
    seconds = clock
    asked = document("zebra crossing")
    assert next(point.name for point in in_use.of(asked.courses).points(asked, 3)) == "Z"

    assert leave_rows_out(blobs, key, lambda row: "gone" in row.students, dry_run=False) == 9
    seconds = LOOKED_AT_SECONDS + 1
    without = in_use.of(asked.courses)
    assert without.points(asked, 3) == []
    assert "z" not in without.classifier.types
    raw = blobs.read(key, 0, 1 << 24)
    assert b"gone" not in raw
    assert b"zebra" not in raw
    alone = Fit.of(header, [each for each in rows if "gone" not in each.students])
    for text in TEXTS.values():
        assert without.linker.votes(words_of(document(text))) == alone.linker.votes(
            words_of(document(text))
        )


def test_the_newest_version_is_in_use_and_a_dropped_one_is_not(tmp_path: Path) -> None:
    blobs, seconds = Blobs(str(tmp_path)), [0.0]
    in_use, courses = FitsInUse(blobs, lambda: seconds[0]), document("x").courses
    assert in_use.of(courses) is None
    for year in (2026, 2027):
        write_fit(blobs, *fit_course("c", by_course(labelled())["c"], NOW.replace(year=year)))
    assert in_use.of(courses) is None, "it looks once a minute"
    for keys in (2, 1, 0):
        seconds[0] += LOOKED_AT_SECONDS + 1
        there = fit_keys(blobs, "c")
        fit = in_use.of(courses)
        assert [len(there), fit and fit.header.fitted_at[:4]] == [
            keys,
            {2: "2027", 1: "2026", 0: None}[keys],
        ]
        if there:
            blobs.delete(there[-1])


def test_a_row_holds_no_name_and_no_word_of_a_single_mistake() -> None:
    texts = [
        f"Rosalind {text} secret{number}word" for number, text in enumerate(TEXTS.values())
    ] * 2
    items = [
        LabelledItem(mistake(n, f"{text} only{chr(97 + n)}x"), (), ("P",))
        for n, text in enumerate(texts)
    ]
    _, rows = fit_course("c", by_course(items)["c"], NOW)
    words = {word for each in rows for word in each.words}
    assert words
    assert not [word for word in words if word.startswith(("rosalind", "achterberg", "onlya"))]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
def test_signs_are_told_of_any_text(text: str) -> None:
    found = signs_of(document(f"x{text}"))
    assert len(set(found)) == len(found)
    assert all(found)


def test_a_kind_is_the_nearest_mean() -> None:
    rows = [row({"a": 1, "b": 1}, types=("ab",))] * 5 + [row({"c": 2}, types=("c",))] * 5
    said = Classifier(rows).said({"a": 1}, ())
    assert said is not None
    assert said[0] == "ab"
    assert said[1] == pytest.approx(1 / math.sqrt(2))


def test_labels_are_read_from_files(tmp_path: Path) -> None:
    records, labels = tmp_path / "records.ndjson", tmp_path / "labels.ndjson"
    records.write_text("".join(json.dumps(mistake(n, "text")) + "\n" for n in (1, 1, 2, 3)))
    lines = [
        {"record_id": "r1", "error_type": "slip", "knowledge_points": ["A", "B"]},
        {"record_id": "r1", "error_types": ["slip", "sign"], "knowledge_point": " A "},
        {"record_id": "r2", "error_type": None},
        {"record_id": "r9", "error_type": "slip"},
    ]
    labels.write_text("".join(json.dumps(each) + "\n" for each in lines))
    (found,) = FileLabels(records, labels).items()
    assert (found.record["record_id"], found.error_types, found.knowledge_points) == (
        "r1",
        ("slip", "sign"),
        ("A", "B"),
    )
    labels.write_text('{"record_id": "r1"}\n\n[not json of Rosalind\n')
    with pytest.raises(Rejected, match=r"line 3 of labels.ndjson is no JSON object") as refused:
        list(FileLabels(records, labels).items())
    assert "Rosalind" not in refused.value.reason


def review(number: int, target: str, verdict: str, day: int = 1, **more: str) -> dict:
    said = {
        "kind": "finding",
        "record_id": f"r{number}",
        "aspect": "error_type",
        "target": target,
        "verdict": verdict,
    }
    hashed = text_hash(parse_record(mistake(number, "text")))
    return {**said, "text_hash": hashed, "at": f"2026-02-0{day}T08:00:00Z", "by": "t", **more}


def test_labels_are_read_from_an_export_of_reviews(tmp_path: Path) -> None:
    """Out: the `max` of ReviewLabels, its text_hash, or its verdict."""
    records, reviews = tmp_path / "records.ndjson", tmp_path / "reviews.ndjson"
    records.write_text("".join(json.dumps(mistake(n, "text")) + "\n" for n in (1, 1, 2, 3)))
    lines = [
        review(1, "slip", "accepted"),
        review(1, "A", "accepted", aspect="knowledge_point"),
        review(1, "sign", "accepted", day=3),
        review(1, "sign", "rejected", day=2),
        review(1, "guess", "rejected", day=3),
        review(1, "guess", "accepted", day=2),
        review(2, "slip", "accepted", text_hash="0" * 64),  # said of another text
        review(3, "medium", "accepted", aspect="severity"),
        {
            "kind": "pair",
            "of": "error_type",
            "pair": ["a", "b"],
            "verdict": "same",
            "at": "2026-02-01T08:00:00Z",
            "by": "t",
        },
    ]
    reviews.write_text("".join(json.dumps(each) + "\n" for each in lines))
    (found,) = label_reader(records, reviews).items()
    assert (found.record["record_id"], found.error_types, found.knowledge_points) == (
        "r1",
        ("slip", "sign"),
        ("A",),
    )
    reviews.write_text(
        json.dumps(lines[0]) + "\n" + json.dumps({"kind": "finding", "target": "Rosalind"}) + "\n"
    )
    with pytest.raises(Rejected, match=r"entry 2 of reviews.ndjson is no review") as refused:
        list(label_reader(records, reviews).items())
    assert "Rosalind" not in refused.value.reason


def test_labels_and_reviews_find_the_records_of_their_source(tmp_path: Path) -> None:
    """Out: the key of the label, the key of the record, or the source of the reader."""
    records = tmp_path / "records.ndjson"
    labels = tmp_path / "labels.ndjson"
    records.write_text("".join(json.dumps(mistake(n, "text")) + "\n" for n in (1, 2)))
    lines = [
        {"record_id": "r1", "error_type": "slip"},
        {"record_id": "r2", "source": "moodle", "error_type": "of another source"},
    ]
    labels.write_text("".join(json.dumps(each) + "\n" for each in lines))
    (of_canvas,) = label_reader(records, labels, "canvas").items()
    assert (of_canvas.record["record_id"], of_canvas.error_types) == ("@canvas/r1", ("slip",))
    of_moodle = [
        each.record["record_id"] for each in label_reader(records, labels, "moodle").items()
    ]
    assert of_moodle == ["@moodle/r1", "@moodle/r2"]

    reviews = [
        review(1, "slip", "accepted", record_id="@canvas/r1"),
        review(2, "sign", "accepted", record_id="@moodle/r2"),
        review(2, "guess", "accepted"),
    ]
    labels.write_text("".join(json.dumps(each) + "\n" for each in reviews))
    for source, record_id, error_type in (
        ("canvas", "@canvas/r1", "slip"),
        ("moodle", "@moodle/r2", "sign"),
        ("default", "r2", "guess"),
    ):
        (found,) = label_reader(records, labels, source).items()
        assert (found.record["record_id"], found.error_types) == (record_id, (error_type,))


def test_a_file_of_labels_is_told_from_reviews(tmp_path: Path) -> None:
    records, labels = tmp_path / "records.ndjson", tmp_path / "labels.ndjson"
    records.write_text(json.dumps(mistake(1, "text")) + "\n")
    labels.write_text('{"record_id": "r1", "error_type": "slip"}\n')
    assert [each.error_types for each in label_reader(records, labels).items()] == [("slip",)]
