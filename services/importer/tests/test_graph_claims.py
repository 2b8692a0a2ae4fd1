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
said_ = st.lists(st.tuples(pairs, st.sampled_from([0.25, 0.5, 1.0]), text_ids), max_size=12)
digests_ = st.fixed_dictionaries(dict.fromkeys(("t1", "t2", "t3"), st.sampled_from("xy")))


@given(said_, st.sets(pairs, max_size=2), st.dictionaries(names, names, max_size=2), digests_)
def test_what_too_few_say_is_a_proposal(
    said: list[tuple[Pair, float, str | None]],
    accepted: set[Pair],
    canonical: dict[str, str],
    digests: dict[str, str],
) -> None:
    """Out, in `proposals`: `stated`, `accepted`, the canonical points, the digests, or the number of different ones."""
    claims = Claims()
    for pair, confidence, text in said:
        claims.add(pair, confidence, text)
    asked: set[str] = set()

    def digests_of(ids: set[str]) -> dict[str, str]:
        asked.update(ids)
        return {each: digests[each] for each in ids if each in digests}

    found = proposals(claims, accepted, canonical, digests_of)

    def meant(pair: Pair) -> Pair:
        return canonical.get(pair[0], pair[0]), canonical.get(pair[1], pair[1])

    expected = set()
    for pair, _, _ in said:
        texts = {text for other, _, text in said if meant(other) == meant(pair)}
        contents = {digests[text] for text in texts if text in digests}
        is_accepted = any(meant(other) == meant(pair) for other in accepted)
        if None not in texts and not is_accepted and len(contents) < 2:
            expected.add(pair)
    assert found == expected
    assert claims.confidence.keys() == {pair for pair, _, _ in said}
    for pair, strongest in claims.confidence.items():
        assert strongest == max(each for other, each, _ in said if other == pair)
    for pair, _, text in said:
        alone = {each for other, _, each in said if meant(other) == meant(pair)} == {text}
        if alone and text is not None and sum(each == text for _, _, each in said) == 1:
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
        {"id": "a", "requires": ["b", "c"], "confidence": [0.5, 0.25], "text": "t"},
        {"id": "a", "requires": ["b"], "confidence": [1.0], "text": None},
    ]
    connection = SimpleNamespace(read=lambda _: rows)
    found = read_claims(cast("Any", connection))
    assert found.confidence == {("a", "b"): 1.0, ("a", "c"): 0.25}
    assert (found.stated, dict(found.texts)) == (
        {("a", "b")},
        {("a", "b"): {"t"}, ("a", "c"): {"t"}},
    )
