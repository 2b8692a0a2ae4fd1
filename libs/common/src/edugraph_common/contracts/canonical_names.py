"""The one rule for when two spellings name the same knowledge point, topic or error type.

The canonical name is the spelling without differences of case, width, spacing and punctuation. It is the
id of the node in the graph.
"""

import unicodedata
from functools import lru_cache

_MEANINGFUL = frozenset("#%")  # "C#" is not "C", and "5%" is not "5".
# NFKC makes "½" of a fraction slash, and formulas use a minus sign of their own.
_TO_ONE_SIGN = str.maketrans("⁄−", "/-")
_BOTH_NEIGHBOURS = 2  # characters


@lru_cache(maxsize=65_536)
def canonical_name(name: str) -> str:
    """Return the canonical form of a name; it is never empty, and it is its own canonical form.

    Spaces and punctuation count only between two digits: "1/2" is not "12". A name that consists of nothing else
    keeps them.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_TO_ONE_SIGN)
    words = " ".join(folded.split())
    kept: list[str] = []
    for index, char in enumerate(words):
        if char not in _MEANINGFUL and (char == " " or unicodedata.category(char)[0] in "PC"):
            neighbours = words[max(index - 1, 0) : index] + words[index + 1 : index + 2]
            if len(neighbours) < _BOTH_NEIGHBOURS or not neighbours.isdigit():
                continue
        kept.append(char)
    return unicodedata.normalize("NFKC", "".join(kept)) or words or name
