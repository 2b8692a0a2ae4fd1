"""Which claims too few say to be followed, compared with a plain look at each claim."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_importer.graph import claims as module
from edugraph_importer.graph.claims import Claims, digest_of, proposals, read_claims, read_digests

Pair = tuple[str, str]
names = st.sampled_from("abcd")
pairs = st.tuples(names, names)
text_ids = st.sampled_from(["t1", "t2", "t3", "gone", None])  # a definition has no id here
quotes_ = st.sampled_from(["so", "thus", ""])  # a claim without a quote is implied
said_ = st.lists(
    st.tuples(pairs, st.sampled_from([0.25, 0.5, 1.0]), text_ids, quotes_), max_size=12
)
digests_ = st.fixed_dictionaries(dict.fromkeys(("t1", "t2", "t3"), st.sampled_from("xy")))


@given(said_, st.sets(pairs, max_size=2), st.dictionaries(names, names, max_size=2), digests_)
def test_what_too_few_say_is_a_proposal(
    said: list[tuple[Pair, float, str | None, str]],
    accepted: set[Pair],
    canonical: dict[str, str],
    digests: dict[str, str],
) -> None:
    """Out, in `proposals`: `stated`, `accepted`, the canonical points, the digests, or the number of different ones.
    In `Claims.add`, the quote, or the cap.
    """
    claims = Claims()
    for each_said in said:
        claims.add(*each_said)
    asked: set[str] = set()

    def digests_of(ids: set[str]) -> dict[str, str]:
        asked.update(ids)
        return {each: digests[each] for each in ids if each in digests}

    found = proposals(claims, accepted, canonical, digests_of)

    def meant(pair: Pair) -> Pair:
        return canonical.get(pair[0], pair[0]), canonical.get(pair[1], pair[1])

    expected = set()
    for pair, *_ in said:
        texts = {
            text
            for other, _, text, quote in said
            if meant(other) == meant(pair) and (quote or text is None)
        }
        contents = {digests[text] for text in texts if text in digests}
        is_accepted = any(meant(other) == meant(pair) for other in accepted)
        if None not in texts and not is_accepted and len(contents) < 2:
            expected.add(pair)
    assert found == expected
    assert claims.confidence.keys() == {pair for pair, *_ in said}
    for pair, strongest in claims.confidence.items():
        sure = [
            each if quote or text is None else min(each, 0.3)
            for other, each, text, quote in said
            if other == pair
        ]
        assert strongest == max(sure)
    for pair, _, text, _ in said:
        alone = {each for other, _, each, _ in said if meant(other) == meant(pair)} == {text}
        if alone and text is not None and sum(each == text for _, _, each, _ in said) == 1:
            assert text not in asked  # Nothing depends on this text.


@pytest.mark.parametrize(
    ("one", "other", "is_copy"),
    [
        ("Sums come first.", "SUMS — come,  first", True),
        ("先学加法。", "先学加法", True),
        ("１２ sums", "12 Sums", True),  # full-width digits
        ("Sums come first.", "Sums come last.", False),
        ("12 sums", "13 sums", False),
    ],
)
def test_a_copy_has_the_same_letters_and_digits(one: str, other: str, *, is_copy: bool) -> None:
    assert (digest_of(one) == digest_of(other)) == is_copy


def test_texts_are_read_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 2)
    asked: list[list[str]] = []

    def read(_: str, ids: list[str]) -> list[dict[str, str]]:
        asked.append(ids)
        return [{"id": each, "content": each} for each in ids if each != "c"]

    connection: Any = SimpleNamespace(read=read)
    found = read_digests(connection, {"c", "a", "b"})
    assert asked == [["a", "b"], ["c"]]
    assert found == {"a": digest_of("a"), "b": digest_of("b")}


def test_claims_are_of_a_text_or_stated() -> None:
    rows = [
        {
            "id": "a",
            "requires": ["b", "c", "d"],
            "confidence": [0.5, 0.25, 0.75],
            "quotes": ["so", "so", ""],
            "text": "t",
        },
        # An earlier release stored no quotes.
        {"id": "a", "requires": ["b", "e"], "confidence": [0.5, 0.75], "quotes": None, "text": "u"},
        {"id": "a", "requires": ["b"], "confidence": [1.0], "quotes": None, "text": None},
    ]
    connection = SimpleNamespace(read=lambda _: rows)
    found = read_claims(cast("Any", connection))
    assert found.confidence == {
        ("a", "b"): 1.0,
        ("a", "c"): 0.25,
        ("a", "d"): 0.3,
        ("a", "e"): 0.3,
    }
    assert (found.stated, dict(found.texts)) == (
        {("a", "b")},
        {("a", "b"): {"t"}, ("a", "c"): {"t"}},
    )
