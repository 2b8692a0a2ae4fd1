"""Keep the usual words of a question. Names of people who are on no list are seldom among them."""

import re
from collections.abc import Sequence

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.name_forms import HAN, WORDS, words_in
from edugraph_analyzer.plain_text import plain_reading
from edugraph_analyzer.private_names import names_in_question
from edugraph_analyzer.redaction import TAGS
from edugraph_analyzer.wording.near_names import (
    names_somebody_almost,
    names_somebody_almost_in_han,
)

LEFT_OUT = "…"
_KEPT = re.compile(rf"(<[cgspt][1-9][0-9]?>|\[(?:{'|'.join(TAGS)})_\d{{1,5}}\])")
_TOKEN = re.compile(rf"(?:(?!{HAN.pattern})[^\W_])+")
_SPELT_OUT = re.compile(r"(?<![^\W_])[^\W\d_](?:[\s.,\-_*]{1,3}[^\W\d_](?![^\W_])){2,}")
_ORDINAL = re.compile(r"\d{1,2}(?:st|nd|rd|th)", re.IGNORECASE)
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;。\n\"“(])\s*$")
# A run of digits of this length is a year at most, and not the number of a student.
_MOST_DIGITS = 4
# 8A is a class, and S17 the id of a student.
_MOST_MIXED = 2
_ENDINGS = ("", "s", "ed", "ing")
_USUAL = words_in("usual.txt")
# Some of these are names as well: a question about April is more often one about the month.
_CALENDAR = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ]
)


def only_usual_words(text: str) -> str:
    """Return a text with `…` in the place of each word that is not a usual one. Marks and placeholders stay."""
    pieces = []
    for piece in _KEPT.split(text):
        if _KEPT.fullmatch(piece):
            pieces.append(piece)
            continue
        plain = plain_reading(piece)[0]
        plain = _SPELT_OUT.sub(LEFT_OUT, plain)
        plain = _TOKEN.sub(_kept_or_left_out, plain)
        pieces.append(_without_names_in_han(plain))
    return "".join(pieces)


def has_word_near_a_name(text: str, members: Sequence[CourseNames]) -> bool:
    """Return whether a word of a text, which is not a usual one, is almost the name of a person of the courses."""
    for piece in _KEPT.split(text):
        if _KEPT.fullmatch(piece):
            continue
        plain = plain_reading(piece)[0]
        if names_somebody_almost_in_han(plain, members):
            return True
        for token in _TOKEN.finditer(plain):
            if _is_kept(token) or not token[0].isalpha():
                continue
            if names_somebody_almost(token[0], members):
                return True
    return False


def _kept_or_left_out(token: re.Match[str]) -> str:
    if _is_kept(token):
        return token[0]
    return LEFT_OUT


def _is_kept(token: re.Match[str]) -> bool:
    word = token[0]
    if word.isdecimal():
        return len(word) <= _MOST_DIGITS
    if any(character.isdigit() for character in word):
        return len(word) <= _MOST_MIXED or _ORDINAL.fullmatch(word) is not None
    if len(word) == 1:
        return True
    lower = word.casefold()
    is_name_too = lower in WORDS and lower not in _CALENDAR
    before = token.string[: token.start()]
    if word[0].isupper() and is_name_too and not _SENTENCE_BEGINS.search(before):
        return False
    return is_usual(lower)


def is_usual(lower: str) -> bool:
    """Return whether a word in lower case, or the word without its ending, is a usual one."""
    for ending in _ENDINGS:
        word = lower.removesuffix(ending)
        if word in _USUAL or word in _CALENDAR:
            return True
    return False


def _without_names_in_han(plain: str) -> str:
    pieces = []
    done = 0
    for start, end in sorted(names_in_question(plain)):
        if start < done:
            continue
        pieces += [plain[done:start], LEFT_OUT]
        done = end
    pieces.append(plain[done:])
    return "".join(pieces)
