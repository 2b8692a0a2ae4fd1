"""The rule for finding a name or an id in a text. Erasure, restriction and redaction share it.

A word ends where the kind of character changes: `S107` is found in `S107_report`, in `S107的作业` and in
`S107a`, but not in `S1070`. A name in Latin letters is found in `Mia2` and in `和Mia一起`, but not in
`Miami`. Scripts without spaces between words have no such ends, so a Chinese name is found wherever its
characters occur.

People write the inside of a name in several ways: `Mia Berg` is found in `Mia_Berg.csv` and in `Mia  Berg`. They also
write the characters in several forms: full-width letters, accents apart from their letters, and invisible characters
between them. So words are searched in the form of a text that `as_searched` returns.

Programs write characters as escapes, such as `&#26446;` and `%E6%9D%8E`, and people spell names out, such as `M-i-a`
and `M i a`. A text may also only look like this, so it is searched both as it is and with these replaced.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

# The letters of the scripts that separate words by spaces. Each entry is the inside of a character class.
_SCRIPTS = (
    "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",  # Latin
    "\u0370-\u0373\u0376-\u037d\u0386-\u03ff\u1f00-\u1fff",  # Greek
    "\u0400-\u052f",  # Cyrillic
    "\u0531-\u0587",  # Armenian
    "\u05d0-\u05ea",  # Hebrew
    "\u0620-\u064a\u066e-\u06d3\u0750-\u077f",  # Arabic, with Uyghur
    "\u0900-\u0965",  # Devanagari
)
_KINDS = (r"\d", *_SCRIPTS)
_POINT = "\u00b7"
_POINTS_IN_NAMES = "\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65"
_OTHER_APOSTROPHES = "\u2018\u2019\u02bc\u00b4\u0060\uff07"
_ONE_SIGN = str.maketrans(
    dict.fromkeys(_POINTS_IN_NAMES, _POINT) | dict.fromkeys(_OTHER_APOSTROPHES, "'")
)
# A character inside of a name -> the pattern of the characters that people write instead. In addresses, a plus sign
# stands for a space. A plus sign between spaces adds two things.
_OTHER_SPELLINGS = {" ": r"(?:\++|[\s_.\-]+)", _POINT: rf"(?:\++|[\s_.\-{_POINT}]*)"}
# Characters that have a plain form, or none at all, are among these.
_NOT_PLAIN = re.compile(r"[^\x00-\x7f\u4e00-\u9fff]+")
# Marks above, below or through a letter that have no letter of their own with it. People add them as decoration, or
# leave them out, such as the vowels of Arabic and Hebrew. The Arabic line between two letters is among them.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe20-\ufe2f]+"
)
# Letters without a shape, which Unicode does not count among the invisible characters.
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# Selectors choose how the character before them looks.
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
# An entity of HTML, bytes in an address, or characters in JSON. Each may have been escaped up to four times.
_ESCAPE = re.compile(
    r"&(?:amp;){0,3}(?:\#[0-9]{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});?"
    r"|(?:%(?:25){0,3}[0-9A-Fa-f]{2})+"
    r"|(?:\\{1,4}u[0-9A-Fa-f]{4})+"
)
_MOST_ESCAPED = 4
# A decoder puts this character in the place of bytes that it cannot read. A cut can leave one at each end.
_REPLACED = "\ufffd"
_MOST_CUT = 2
_BYTE = re.compile("%(?:25){0,3}([0-9A-Fa-f]{2})")
_UNIT = re.compile("u([0-9A-Fa-f]{4})")
# Single letters with the same sign between all of them. Two letters with a space between them are too often words.
_SPELT_OUT = re.compile(
    "|".join(
        rf"(?<![{script}])[{script}](?:(?P<sign{number}>[-._*{_POINT}])[{script}](?:(?P=sign{number})[{script}])*"
        rf"|(?: [{script}]){{2,}})(?![{script}])"
        for number, script in enumerate(_SCRIPTS)
    )
)
_SIGN_BETWEEN_LETTERS = re.compile(r"[\W_]")
# Letters of scripts without spaces between words: kana, Chinese characters, Korean syllables and Thai.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_BETWEEN_UNSPACED = re.compile(rf"(?<=[{_UNSPACED}])[ \-._*+{_POINT}]{{1,2}}(?=[{_UNSPACED}])")


class Replacement(NamedTuple):
    """The place of an escape or of a name that is spelt out, and the characters that it stands for."""

    start: int
    end: int
    characters: str


def escapes_in(text: str) -> Iterator[Replacement]:
    """Yield the escapes of a text, in order. A part that only looks like an escape is left out."""
    if "&" not in text and "%" not in text and "\\" not in text:
        return
    for found in _ESCAPE.finditer(text):
        characters = _unescaped(found[0])
        if characters != found[0]:
            yield Replacement(found.start(), found.end(), characters)
            continue
        letter = text[found.end() : found.end() + 1]
        with_letter = _with_letter_behind(found[0], letter)
        if with_letter is not None:
            yield Replacement(found.start(), found.end() + 1, with_letter)


def spelt_out_in(text: str) -> Iterator[Replacement]:
    """Yield the runs of single letters in a text with the same sign between them, in order."""
    for found in _SPELT_OUT.finditer(text):
        letters = _SIGN_BETWEEN_LETTERS.sub("", found[0])
        yield Replacement(found.start(), found.end(), letters)


def replaced(text: str, replacements: Sequence[Replacement]) -> str:
    """Return a text with the characters of the replacements in their places."""
    pieces = list[str]()
    done = 0
    for replacement in replacements:
        pieces += [text[done : replacement.start], replacement.characters]
        done = replacement.end
    return "".join([*pieces, text[done:]])


def readings_of(text: str) -> list[str]:
    """Return the forms of a text in which words are searched: as it is, and without escapes and spelling out."""
    readings = [as_searched(text)]
    escapes = list(escapes_in(text))
    if escapes:
        readings.append(as_searched(replaced(text, escapes)))
    unescaped = readings[-1]
    readings.append(replaced(unescaped, list(spelt_out_in(unescaped))))
    readings.append(_BETWEEN_UNSPACED.sub("", unescaped))
    return list(dict.fromkeys(readings))


def _unescaped(escape: str) -> str:
    """Return the characters of an escape, or the escape itself if it stands for none."""
    if escape.startswith("&"):
        for _ in range(_MOST_ESCAPED):
            escape = html.unescape(escape)
        return escape
    if escape.startswith("%"):
        return _decoded(bytes.fromhex("".join(_BYTE.findall(escape)))) or escape
    units = bytes.fromhex("".join(_UNIT.findall(escape)))
    return units.decode("utf-16-be", "replace")


def _decoded(data: bytes) -> str | None:
    """Return the characters of the bytes in an address, or None if they do not stand for characters.

    Addresses have UTF-8, and those of old Chinese systems have GB 18030. An address may be cut off within a
    character. UTF-8 without its last byte is often also GB 18030, of other characters.
    """
    text = data.decode("utf-8", "replace")
    if _REPLACED not in text:
        return text
    whole = text.strip(_REPLACED)
    is_cut_off = text.count(_REPLACED) <= _MOST_CUT and _REPLACED not in whole
    # Private characters mean that the bytes are not UTF-8.
    if is_cut_off and whole.isprintable() and not whole.isascii():
        return text
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return None


def _with_letter_behind(escape: str, letter: str) -> str | None:
    """Return the characters of the bytes in an address and of the letter behind them, or None if there are none.

    The second byte of a character in GB 18030 may be a letter, which no program escapes: %95N is one character.
    """
    if not escape.startswith("%") or not letter.isascii() or not letter.isalpha():
        return None
    data = bytes.fromhex("".join(_BYTE.findall(escape))) + letter.encode()
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return None


def as_searched(text: str) -> str:
    """Return a text in the form in which words are searched, which has one form of each character.

    Letters have their usual width and shape. Invisible characters are left out, and marks that do not make another
    letter.
    """
    if text.isascii():
        return text.replace("`", "'")
    one_sign = unicodedata.normalize("NFC", text).translate(_ONE_SIGN)
    plain = _NOT_PLAIN.sub(lambda found: "".join(map(_plain, found[0])), one_sign)
    # A letter and its accent may stand side by side now.
    return _MARKS.sub("", unicodedata.normalize("NFC", plain))


@lru_cache(maxsize=4_096)
def _plain(character: str) -> str:
    """Return the usual form of a character, or "" if the character is invisible."""
    category = unicodedata.category(character)
    if category == "Cf" or character in _SELECTORS or character in _FILLERS:
        return ""
    # A digit such as \u00b2 or \u2460 counts something, and is not a part of the number before it.
    if category == "No":
        return character
    return unicodedata.normalize("NFKC", character)


def fixed_parts(word: str) -> list[str]:
    """Return the parts of a word, as they are searched, that stand in each of its spellings."""
    return re.split(rf"[\s{_POINT}]+", as_searched(word))


def not_after(first: str) -> str:
    """Return a lookbehind: the character before a word that begins with `first` must be of another kind."""
    kind = _kind(first)
    if not kind:
        return ""
    return f"(?<![{kind}])"


def not_before(last: str) -> str:
    """Return a lookahead: the character after a word that ends with `last` must be of another kind."""
    kind = _kind(last)
    if not kind:
        return ""
    return f"(?![{kind}])"


def standing_alone(words: Iterable[str], *, ignore_case: bool = False) -> re.Pattern[str] | None:
    """Return a pattern that finds any of the words in a text of `as_searched`, or None if there are no words."""
    # The longest word comes first, because a pattern takes the first alternative that matches at a position.
    searched = {as_searched(word) for word in words}
    given = sorted(searched - {""}, key=lambda word: (-len(word), word))
    if not given:
        return None
    alone = []
    for word in given:
        before = not_after(word[0])
        after = not_before(word[-1])
        alone.append(before + _spelled(word) + after)
    return re.compile("|".join(alone), re.IGNORECASE if ignore_case else re.NOFLAG)


def is_in(pattern: re.Pattern[str] | None, text: str) -> bool:
    """Return whether a pattern of `standing_alone` finds a word in a text, in whatever form the text has it."""
    if pattern is None:
        return False
    return any(pattern.search(reading) for reading in readings_of(text))


def _spelled(word: str) -> str:
    """Return the pattern of a word with the other spellings of the spaces, points and apostrophes in it."""
    parts = []
    for character in " ".join(word.split()) or word:
        parts.append(_OTHER_SPELLINGS.get(character, re.escape(character)))
    return "".join(parts)


def _kind(character: str) -> str | None:
    """Return the character class of this kind of character, or None if the character belongs to no kind."""
    for kind in _KINDS:
        if re.fullmatch(f"[{kind}]", character):
            return kind
    return None
