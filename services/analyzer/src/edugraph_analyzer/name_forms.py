"""The forms of names: their parts, their forms in pinyin, and the names that are words too.

The texts of this module are plain readings, in which Korean syllables are letters and accents are gone.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path

from pypinyin import Style, pinyin

from edugraph_analyzer.plain_text import plain_reading

# Scripts that write no spaces between words, and Korean, which joins particles to its names: the inside of a class.
UNSPACED = (
    "\u0e00-\u0eff\u0f40-\u0fbc\u1000-\u109f"  # Thai, Lao, Tibetan, Burmese
    "\u1100-\u11ff\u1780-\u17ff"  # Korean letters, Khmer
    "\u3005\u3007\u3041-\u30fa\u30fc-\u30ff\u3400-\u9fff\U00020000-\U000323af"  # Japanese, Chinese
)
# Points that separate the parts of a name, as spaces do: those of Uyghur, Tibetan and transcribed names.
POINTS = "·・•‧∙⋅.\u0f0b"
HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]")
# Signs of vowels belong to the letters of the scripts of India.
LETTERS = re.compile(rf"(?:(?![{UNSPACED}])(?:[^\W\d_]|[\u0903-\u0963\u0970-\u0dff]))+")
_BETWEEN_PARTS = re.compile(rf"[\s,_\-{POINTS}]+")
_FOLDER = Path(__file__).with_name("name_words")


def words_in(file: str) -> frozenset[str]:
    """Return the words of a file beside this module."""
    words = set[str]()
    for line in (_FOLDER / file).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            words.update(line.split())
    return frozenset(words)


WORDS = words_in("words.txt") | words_in("words.zh.txt")
GIVEN_CHARACTERS = "".join(sorted(words_in("given.zh.txt")))

COMPOUND_SURNAMES = words_in("compound.zh.txt")
_COMPOUND_SURNAMES_IN_KOREAN = frozenset({"남궁", "황보", "제갈", "선우", "독고", "사공"})
# Readings that characters have in surnames only.
_SURNAME_READINGS = {
    "单": "shan",
    "曾": "zeng",
    "解": "xie",
    "仇": "qiu",
    "查": "zha",
    "朴": "piao",
    "区": "ou",
    "盖": "ge",
    "翟": "zhai",
    "覃": "qin",
    "缪": "miao",
    "乐": "yue",
    "员": "yun",
    "种": "chong",
    "冼": "xian",
    "召": "shao",
    "沈": "shen",
    "万俟": "moqi",
    "尉迟": "yuchi",
    "长孙": "zhangsun",
    "澹台": "tantai",
}
# At most this many readings of one character are tried.
_MOST_READINGS = 2
# Nobody writes names with more syllables in pinyin.
_MOST_SYLLABLES = 4


def split_name(name: str) -> tuple[str, str]:
    """Return the surname and the given name of a Chinese or Korean name without points and spaces.

    A name of four characters may join two surnames.
    """
    is_compound = name[:2] in COMPOUND_SURNAMES or name[:2] in _COMPOUND_SURNAMES_IN_KOREAN
    has_two = len(name) > len("王小明") or (is_compound and len(name) > len("欧阳"))
    size = 1
    if has_two:
        size = len("欧阳")
    return name[:size], name[size:]


def parts_of(name: str) -> list[str]:
    """Return the parts of a plain name that points, spaces, commas and hyphens separate."""
    return [part for part in _BETWEEN_PARTS.split(name) if part]


def letters_of(text: str) -> list[str]:
    """Return the runs of letters in a plain text, in lower case: ["o", "brien"] for O'Brien."""
    return [run.casefold() for run in LETTERS.findall(text)]


def composed(plain: str) -> str:
    """Return a plain text with Korean syllables instead of their letters."""
    return unicodedata.normalize("NFC", plain)


def plain_of(name: str) -> str:
    """Return the plain reading of a part of a name."""
    return plain_reading(name)[0]


@lru_cache(maxsize=16_384)
def pinyin_of(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each reading of a Chinese name as (surname, syllables of the given name), without tones.

    A longer name, or one with points, has none: it is transcribed from another language, and not written in pinyin.
    """
    if not 1 < len(name) <= _MOST_SYLLABLES or not all(map(HAN.match, name)):
        return ()
    surname, given = split_name(name)
    readings = []
    for spelt in _readings_of_surname(surname):
        for syllables in product(*map(_readings, given)):
            readings.append((spelt, syllables))
    return tuple(readings)


def _readings_of_surname(surname: str) -> Iterator[str]:
    if surname in _SURNAME_READINGS:
        yield _SURNAME_READINGS[surname]
    for syllables in product(*map(_readings, surname)):
        yield "".join(syllables)


@lru_cache(maxsize=4_096)
def _readings(character: str) -> tuple[str, ...]:
    (known,) = pinyin(character, style=Style.NORMAL, heteronym=True)
    readings: list[str] = []
    for reading in known[:_MOST_READINGS]:
        if "v" not in reading:
            readings.append(reading)
            continue
        # pypinyin writes ü as v. Passports and keyboards write it in three ways.
        readings += [reading.replace("v", "u"), reading, reading.replace("v", "yu")]
    return tuple(dict.fromkeys(readings))
