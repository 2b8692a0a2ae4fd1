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
from typing import NamedTuple

MAX_BYTES = 8_000  # in UTF-8; Neo4j's index takes 8,167 at most.
# The part of a canonical name longer than MAX_BYTES that is kept, so that people can read it.
_KEPT_CHARACTERS = 200

# The decompositions of Unicode that only change the form of a character. The forms of ², ① and ℝ are left out,
# because 10² is not 102, ① is not 1 and ℝ is not R.
_SAME_CHARACTERS = frozenset(
    f"<{form}>"
    for form in (
        "wide", "narrow", "small", "compat", "square", "vertical", "noBreak", "fraction",
        "initial", "medial", "final", "isolated",
    )
)  # fmt: skip
_TO_ONE_SIGN = str.maketrans(
    dict.fromkeys("−‐‒–—―", "-") | dict.fromkeys("′’‘ʹʼ", "'") | {"⁄": "/"}
)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_]{2})'(?=[^\W\d_])")
_MEANINGFUL = frozenset("#%")  # "C#" is not "C", and "5%" is not "5".
_OPERATORS = frozenset("-/*:&_")  # between numbers and single letters
_POSTFIXES = frozenset("!*")  # n!, A*
_PRIME = "'"
_SHORT_WORD = 2  # letters; the case of a short word has a meaning: Co is not CO, and a is not A
# Short words whose case has no meaning.
_PREPOSITIONS = frozenset({"of", "to", "by", "or", "an", "is", "in", "on", "at", "as"})

_WORD, _DIGITS, _SPACE, _SIGN, _MINUS, _OTHER = "word", "digits", "space", "sign", "minus", "other"


class Token(NamedTuple):
    """A part of a name.

    `kind`: a word consists of letters with a case, a sign is punctuation, and a minus stands before a term.
    """

    kind: str
    text: str


_NOTHING = Token(_SPACE, "")
_PRIME_SIGN = Token(_SIGN, _PRIME)


@lru_cache(maxsize=65_536)
def canonical_name(name: str) -> str:
    """Return the canonical form of a name. It is never empty, and its own canonical form is the same text."""
    canonical = name
    shorter = _fold(canonical)
    while shorter != canonical:
        canonical = shorter
        shorter = _fold(canonical)
    # A name that is too long for Neo4j's index is cut, and a hash of the whole name is appended.
    encoded = canonical.encode()
    if len(encoded) > MAX_BYTES:
        return f"{canonical[:_KEPT_CHARACTERS]}#{hashlib.sha256(encoded).hexdigest()}"
    return canonical


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFC", _same_characters(name)).translate(_TO_ONE_SIGN)
    text = " ".join(_APOSTROPHE.sub("", plain).split())
    folded = _joined(_kept_tokens(_tokens_of(text)))
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
        characters = [chr(int(code, 16)) for code in codes.split()]
        plain.append(_same_characters("".join(characters)))
    return "".join(plain)


def _tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text. Each sign is a token of its own."""
    tokens: list[Token] = []
    for kind, group in groupby(text, _kind):
        characters = "".join(group)
        if kind == _SIGN:
            tokens += [Token(kind, sign) for sign in characters]
        else:
            tokens.append(Token(kind, characters))
    return tokens


def _kind(char: str) -> str:
    if char == " ":
        return _SPACE
    category = unicodedata.category(char)
    if category[0] == "N":
        return _DIGITS
    has_case = char.upper() != char or char.lower() != char
    if category[0] == "L" and has_case:
        return _WORD
    is_punctuation_or_control = category[0] in "PC"
    if is_punctuation_or_control and char not in _MEANINGFUL:
        return _SIGN
    return _OTHER


def _kept_tokens(tokens: list[Token]) -> list[Token]:
    """Return the tokens that have a meaning, with an empty token before and after them."""
    kept = [_NOTHING]
    for index, token in enumerate(tokens):
        before = kept[-1]
        found = token
        if token.kind == _SIGN:
            found = _kept_sign(tokens, index, before)

        repeats_space = found.kind == _SPACE and before.kind == _SPACE
        if repeats_space or not found.text:
            continue
        if found.kind == _WORD:
            found = Token(_WORD, _without_case(found.text))
        kept.append(found)
    kept.append(_NOTHING)
    return kept


def _joined(kept: list[Token]) -> str:
    """Return the texts of the tokens as one text, without the spaces that have no meaning."""
    texts = []
    for index, token in enumerate(kept):
        if not token.text:
            continue
        if token.kind != _SPACE or _space_counts(kept[index - 1], kept[index + 1]):
            texts.append(token.text)
    return "".join(texts)


def _kept_sign(tokens: list[Token], index: int, before: Token) -> Token:
    """Return the sign if it has a meaning, else the token that replaces it: a space or an empty token.

    `before` is the last token that was kept.
    """
    sign = tokens[index].text
    left = _token_at(tokens, index - 1)
    right = _token_at(tokens, index + 1)
    is_control = unicodedata.category(sign)[0] == "C"
    if is_control:
        return _NOTHING
    if sign == _PRIME:
        is_quoted = left.kind == _WORD and _token_at(tokens, index - 2).text == _PRIME
        follows_term = _is_atom(left) or before == _PRIME_SIGN
        if follows_term and right.kind != _WORD and not is_quoted:
            return _PRIME_SIGN
        return Token(_OTHER, "")
    if _sign_counts(tokens, index):
        return Token(_SIGN, sign)
    begins_term = left.kind not in (_WORD, _DIGITS) and _is_atom(right)
    if sign == "-" and begins_term:
        return Token(_MINUS, sign)
    return Token(_SPACE, " ")


def _sign_counts(tokens: list[Token], index: int) -> bool:
    """Return whether a sign has a meaning between its neighbours: in a number, after a term, or between two terms."""
    sign = tokens[index].text
    left = _token_at(tokens, index - 1)
    right = _token_at(tokens, index + 1)
    if left.kind == _DIGITS and right.kind == _DIGITS:
        return True
    if sign in _POSTFIXES and (_is_atom(left) or left.text == ")"):
        return True
    if sign not in _OPERATORS:
        return False
    if left.kind == _SPACE:
        left = _token_at(tokens, index - 2)
    if right.kind == _SPACE:
        right = _token_at(tokens, index + 2)
    return _ends_term(left) and _begins_term(right)


def _token_at(tokens: list[Token], index: int) -> Token:
    """Return a token, or an empty one if the index is outside of the list."""
    if 0 <= index < len(tokens):
        return tokens[index]
    return _NOTHING


def _is_atom(token: Token) -> bool:
    """Return whether the token is a number or a single letter, as in formulas."""
    if token.kind == _DIGITS:
        return True
    return token.kind == _WORD and len(token.text) == 1


def _ends_term(token: Token) -> bool:
    return _is_atom(token) or token.text in _POSTFIXES or token.text in (")", _PRIME)


def _begins_term(token: Token) -> bool:
    return _is_atom(token) or token.text == "("


def _without_case(word: str) -> str:
    """Return a word in lower case, or unchanged if its case has a meaning, as in short words and in NaCl."""
    if len(word) <= _SHORT_WORD:
        lower = word.lower()
        if lower in _PREPOSITIONS:
            return lower
        return word
    is_capitalized = word[0].isupper() and word[1:].islower()
    is_plain = word.islower() or word.isupper() or is_capitalized
    if is_plain:
        return word.casefold()
    return word


def _space_counts(left: Token, right: Token) -> bool:
    """Return whether the space between two tokens has a meaning."""
    if left.kind == _WORD and right.kind == _WORD:
        return _has_own_case(left.text) or _has_own_case(right.text)
    if left.kind == _DIGITS and right.kind == _DIGITS:
        return True
    # Without the space, a minus before a number would become a hyphen, and a prime an apostrophe.
    if left.kind == _WORD and right.kind == _MINUS:
        return True
    return left == _PRIME_SIGN and right.kind == _WORD


def _has_own_case(word: str) -> bool:
    """Return whether the case of a folded word has a meaning."""
    return len(word) <= _SHORT_WORD or not word.islower()
