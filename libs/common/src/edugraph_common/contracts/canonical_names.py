"""The rule that decides whether two spellings name the same knowledge point, topic or error type.

The canonical name is the spelling without differences of case, width, spacing and punctuation that have no meaning.
It is the id of the node in the graph. If a difference may have a meaning, as in formulas, the names stay different:
two nodes of one thing can be merged later, but one node of two things cannot be split.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache
from itertools import groupby

MAX_BYTES = 8_000  # in UTF-8; Neo4j's index takes 8,167 at most.
_KEPT_CHARACTERS = 200  # of a canonical name that is longer than MAX_BYTES, so that people can read it

# The decompositions of Unicode that only change the form of a character. The forms of ², ① and ℝ are left out,
# because 10² is not 102, ① is not 1 and ℝ is not R.
_SAME_CHARACTERS = frozenset(
    f"<{form}>"
    for form in (
        "wide", "narrow", "small", "compat", "square", "vertical", "noBreak", "fraction",
        "initial", "medial", "final", "isolated",
    )
)  # fmt: skip
_TO_ONE_SIGN = str.maketrans(dict.fromkeys("−‐‒–—―", "-") | dict.fromkeys("′’‘ʹʼ", "'") | {"⁄": "/"})
_APOSTROPHE = re.compile(r"(?<=[^\W\d_]{2})'(?=[^\W\d_])")
_MEANINGFUL = frozenset("#%")  # "C#" is not "C", and "5%" is not "5".
_OPERATORS = frozenset("-/*:&_")  # between numbers and single letters
_POSTFIXES = frozenset("!*")  # n!, A*
_PRIME = "'"
_SHORT_WORD = 2  # letters; the case of a short word has a meaning: Co is not CO, and a is not A
# Short words whose case has no meaning.
_PREPOSITIONS = frozenset({"of", "to", "by", "or", "an", "is", "in", "on", "at", "as"})

Token = tuple[str, str]
"""(kind, text). A word consists of letters with a case, a sign is punctuation, and a minus stands before a term."""
_WORD, _DIGITS, _SPACE, _SIGN, _MINUS, _OTHER = "word", "digits", "space", "sign", "minus", "other"
_NOTHING: Token = (_SPACE, "")


@lru_cache(maxsize=65_536)
def canonical_name(name: str) -> str:
    """Return the canonical form of a name. It is never empty, and its own canonical form is the same text."""
    canonical = name
    while (shorter := _fold(canonical)) != canonical:
        canonical = shorter
    # A name that is too long for Neo4j's index is cut, and a hash of the whole name is appended.
    encoded = canonical.encode()
    if len(encoded) > MAX_BYTES:
        return f"{canonical[:_KEPT_CHARACTERS]}#{hashlib.sha256(encoded).hexdigest()}"
    return canonical


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFC", _same_characters(name)).translate(_TO_ONE_SIGN)
    text = " ".join(_APOSTROPHE.sub("", plain).split())
    tokens: list[Token] = []
    for kind, group in groupby(text, _kind):
        characters = "".join(group)
        tokens += [(kind, sign) for sign in characters] if kind == _SIGN else [(kind, characters)]
    kept = [_NOTHING]
    for index, token in enumerate(tokens):
        found = _kept_sign(tokens, index, kept[-1]) if token[0] == _SIGN else token
        if found[0] == _SPACE and kept[-1][0] == _SPACE:
            continue
        if found[1]:
            kept.append((_WORD, _without_case(found[1])) if found[0] == _WORD else found)
    kept.append(_NOTHING)
    folded = "".join(
        token[1]
        for index, token in enumerate(kept)
        if token[0] != _SPACE or (token[1] and _space_counts(kept[index - 1], kept[index + 1]))
    )
    return unicodedata.normalize("NFC", folded) or text or name


def _same_characters(name: str) -> str:
    """Return the text with full-width characters, ligatures and similar forms replaced by plain characters.

    NFKC would replace all forms, also those with a meaning.
    """
    plain: list[str] = []
    for char in name:
        form, _, codes = unicodedata.decomposition(char).partition(" ")
        if form not in _SAME_CHARACTERS:
            plain.append(char)
            continue
        if form == "<fraction>" and plain and plain[-1][-1:].isdigit():
            plain.append(" ")  # 1½ is not 11/2.
        plain.append(_same_characters("".join(chr(int(code, 16)) for code in codes.split())))
    return "".join(plain)


def _kind(char: str) -> str:
    category = unicodedata.category(char)
    if char == " ":
        return _SPACE
    if category[0] == "N":
        return _DIGITS
    if category[0] == "L" and (char.upper() != char or char.lower() != char):
        return _WORD
    return _SIGN if category[0] in "PC" and char not in _MEANINGFUL else _OTHER


def _kept_sign(tokens: list[Token], index: int, before: Token) -> Token:
    """Return the sign if it has a meaning, else the token that replaces it: a space or an empty token.

    `before` is the last token that was kept.
    """
    sign = tokens[index][1]

    def at(place: int) -> Token:
        return tokens[place] if 0 <= place < len(tokens) else _NOTHING

    def beyond_space(step: int) -> Token:
        return at(index + 2 * step) if at(index + step)[0] == _SPACE else at(index + step)

    left, right = at(index - 1), at(index + 1)
    if unicodedata.category(sign)[0] == "C":
        return _NOTHING
    if sign == _PRIME:
        quoted = left[0] == _WORD and at(index - 2)[1] == _PRIME
        is_prime = (_is_atom(left) or before == (_SIGN, _PRIME)) and right[0] != _WORD and not quoted
        return (_SIGN, sign) if is_prime else (_OTHER, "")
    means_something = (
        (left[0] == _DIGITS and right[0] == _DIGITS)
        or (sign in _POSTFIXES and (_is_atom(left) or left[1] == ")"))
        or (sign in _OPERATORS and _ends_term(beyond_space(-1)) and _begins_term(beyond_space(1)))
    )
    if means_something:
        return (_SIGN, sign)
    is_minus = sign == "-" and _is_atom(right) and left[0] not in (_WORD, _DIGITS)
    return (_MINUS, sign) if is_minus else (_SPACE, " ")


def _is_atom(token: Token) -> bool:
    """Return whether the token is a number or a single letter, as in formulas."""
    return token[0] == _DIGITS or (token[0] == _WORD and len(token[1]) == 1)


def _ends_term(token: Token) -> bool:
    return _is_atom(token) or token[1] in _POSTFIXES or token[1] in (")", _PRIME)


def _begins_term(token: Token) -> bool:
    return _is_atom(token) or token[1] == "("


def _without_case(word: str) -> str:
    """Return a word in lower case, or unchanged if its case has a meaning, as in short words and in NaCl."""
    if len(word) <= _SHORT_WORD:
        return word.lower() if word.lower() in _PREPOSITIONS else word
    is_plain = word.islower() or word.isupper() or (word[0].isupper() and word[1:].islower())
    return word.casefold() if is_plain else word


def _space_counts(left: Token, right: Token) -> bool:
    """Return whether the space between two tokens has a meaning."""
    if left[0] == right[0] == _WORD:
        return any(len(word) <= _SHORT_WORD or not word.islower() for word in (left[1], right[1]))
    if left[0] == right[0] == _DIGITS:
        return True
    # Without the space, a minus before a number would become a hyphen, and a prime an apostrophe.
    return (left[0] == _WORD and right[0] == _MINUS) or (left == (_SIGN, _PRIME) and right[0] == _WORD)
