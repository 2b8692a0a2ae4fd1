"""The one rule for when two spellings name the same knowledge point, topic or error type.

The canonical name is the spelling without differences of case, width, spacing and punctuation. It is the
id of the node in the graph.
"""

import hashlib
import unicodedata
from functools import lru_cache

_MEANINGFUL = frozenset("#%")  # "C#" is not "C", and "5%" is not "5".
# NFKC makes "½" of a fraction slash, and formulas use a minus sign of their own.
_TO_ONE_SIGN = str.maketrans("⁄−", "/-")
_BOTH_NEIGHBOURS = 2  # characters
MAX_BYTES = 8_000  # in UTF-8; Neo4j's index takes 8,167 at most.
_KEPT_CHARACTERS = 200  # of a canonical name that is longer, for people to read


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
    canonical = unicodedata.normalize("NFKC", "".join(kept)) or words or name
    # NFKC may make 18 characters of one. What is then too long for Neo4j's index is told by its hash.
    encoded = canonical.encode()
    if len(encoded) > MAX_BYTES:
        return f"{canonical[:_KEPT_CHARACTERS]}#{hashlib.sha256(encoded).hexdigest()}"
    return canonical
