"""The store of answers: its minute, its bytes, and what a key tells apart."""

from collections.abc import Sequence

from edugraph_insights.answer_cache import KEPT_SECONDS, AnswerCache, key_of


def no_epochs(courses: Sequence[str]) -> tuple[str | None, ...]:
    return (None, *(None for _ in courses))


def test_an_answer_goes_after_a_minute() -> None:
    """To take the guard out: a longer KEPT_SECONDS."""
    times = [100.0]
    cache = AnswerCache(100, no_epochs, clock=lambda: times[0])
    cache.keep(b"a", b"answer")
    times[0] += 59.9
    assert cache.find(b"a") == b"answer"
    times[0] += 0.1
    assert cache.find(b"a") is None
    assert KEPT_SECONDS == 60


def test_all_answers_together_have_no_more_bytes_than_they_may() -> None:
    """To take the guard out: `getsizeof`, or the question of the size in `keep`."""
    cache = AnswerCache(100, no_epochs, clock=lambda: 0.0)
    for number in range(10):
        cache.keep(b"%d" % number, b"x" * 30)
    assert [number for number in range(10) if cache.find(b"%d" % number)] == [7, 8, 9]
    cache.keep(b"large", b"x" * 101)
    assert cache.find(b"large") is None
    assert cache.find(b"9")
    cache.keep(b"as large as all", b"x" * 100)
    assert cache.find(b"as large as all")


def test_a_key_tells_its_parts_apart() -> None:
    keys = [
        key_of("a", "b"),
        key_of("ab"),
        key_of("b", "a"),
        key_of(("a", "b")),
        key_of("a", None),
        key_of("a", "None"),
    ]
    assert len({*keys}) == len(keys)
    assert key_of("a", ("b", 1)) == key_of("a", ("b", 1))
