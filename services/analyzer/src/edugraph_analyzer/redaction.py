"""Private words out before a text leaves, and the original words back in what is quoted from it.

Everything is matched on a plain reading of the text (width, accents and invisible characters undone), so that
"ｚｈａｎｇ＠ｑｑ．ｃｏｍ" is an e-mail address too. What is replaced is the text's own slice, which `restore` puts back.
The names and ids in the record itself are known. All other private words are found by their form (e-mail, phone, id number, …).
"""

# ruff: noqa: E501 - a pattern is read as one line

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from edugraph_analyzer.documents import Person

TAGS = ("URL", "EMAIL", "STUDENT", "TEACHER", "IDNUMBER", "PHONE", "CARD", "ACCOUNT", "STUDENTID", "PERSON")
_PLACEHOLDER = re.compile(
    rf"(?:[\[【(（<]\s*)?\b({'|'.join(TAGS)})[_ ](\d{{1,3}})(?!\d)(?:\s*[\]】)）>])?", re.IGNORECASE
)
Span = tuple[int, int, str]


@dataclass
class Redactor:
    """Redacts the texts of one record.

    The same words get the same placeholder, numbered in the order in which they first appear, so that one text that two
    students sent is one text to the cache. `originals` has the words that each placeholder stands for.
    """

    people: tuple[Person, ...]
    originals: dict[str, str] = field(default_factory=dict)
    _placeholders: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def redact(self, text: str) -> str:
        """Return `text` with a placeholder such as [STUDENT_1] in the place of each private span."""
        plain, origin = plain_reading(text)
        pieces, last = [], 0
        for start, end, tag in _private_spans(plain, self.people):
            first, beyond = origin[start], origin[end - 1] + 1
            if first < last:  # one original character may read as several
                continue
            original = text[first:beyond]
            # A number that the text itself uses in this way is passed over: a student may write [STUDENT_1].
            while (tag, original) not in self._placeholders:
                self._counts[tag] = self._counts.get(tag, 0) + 1
                name = f"{tag}_{self._counts[tag]}"
                if name.casefold() not in text.casefold():
                    self._placeholders[tag, original] = f"[{name}]"
                    self.originals[f"[{name}]"] = original
            pieces += [text[last:first], self._placeholders[tag, original]]
            last = beyond
        return "".join([*pieces, text[last:]])

    def restore(self, text: str) -> str:
        """Put the words back that the placeholders of this record stand for. Other placeholders are left as they are."""
        return _PLACEHOLDER.sub(lambda match: self.originals.get(f"[{match[1].upper()}_{match[2]}]", match[0]), text)


def holds_placeholder(text: str) -> bool:
    """Say whether a name (of a topic, of a knowledge point) would name a person once it is restored."""
    return _PLACEHOLDER.search(text) is not None


_SAME = str.maketrans({"’": "'", "‘": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"})
_DROPPED = frozenset({"Mn", "Cf"})  # accents; zero-width characters


def plain_reading(text: str) -> tuple[str, list[int] | range]:
    """Return the text to match on, and for each of its characters the index in `text` that it comes from."""
    if text.isascii():
        return text, range(len(text))
    plain: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        parts = char if char.isascii() or "\u4e00" <= char <= "\u9fff" else _undecorated(char)
        plain.append(parts)
        origin += [index] * len(parts)
    return "".join(plain), origin


@lru_cache(maxsize=4_096)
def _undecorated(char: str) -> str:
    if unicodedata.category(char) == "No":  # ① counts things, it spells no number
        return char
    parts = unicodedata.normalize("NFKD", char.translate(_SAME)).translate(_SAME)
    return "".join(part for part in parts if unicodedata.category(part) not in _DROPPED)


def _private_spans(plain: str, people: tuple[Person, ...]) -> list[Span]:
    """Return start, end and tag of all private spans of a plain text, in order and without overlaps.

    Overlapping spans become one, under the tag that comes first in TAGS, so that no rest of either is left.
    """
    found: list[Span] = []
    for person in people:
        for pattern in _patterns_of(person):
            found += [(*match.span(), person.role) for match in pattern.finditer(plain) if match[0]]
    for form in _PRIVATE_FORMS:
        if form.hint.search(plain):
            matches = (match for match in form.pattern.finditer(plain) if form.holds(match))
            found += [(*match.span(form.group), form.tag) for match in matches]
    whole: list[Span] = []
    for start, end, tag in sorted(found):
        if whole and start < whole[-1][1]:
            before = whole.pop()
            whole.append((before[0], max(end, before[1]), min(tag, before[2], key=TAGS.index)))
        else:
            whole.append((start, end, tag))
    return whole


# --- who the record names -------------------------------------------------------------------------------------

_HAN = re.compile(r"[\u3400-\u9fff]")
_TITLES = "老师|同学|老|教授|先生|女士|小姐|博士|导师|校长|主任|班长|阿姨|叔叔|爸爸|妈妈|家长|同桌"
# Latin names that are also words, and particles of names. They are taken for a name only if they are written like one.
_ALSO_WORDS = frozenset(
    """
    will grace may mark hope art rose sky joy faith summer april june august dawn drew
    bill rob pat jack max chase grant miles page reed stone young long king price rich
    case pearl ruby amber ivy iris crystal frank sue gene ray bob jean carol sandy penny
    guy don dean earl sunny angel christian van von der den bin ben ali san the
    and
    """.split()  # noqa: SIM905 - a list of sixty words
)
_NOT_A_PERSON = frozenset({"小时", "老师", "小学", "小数", "小心", "小组", "小于", "小孩", "小说", "老是"})
_SHORTEST_ID = 4  # characters; a shorter id is too common a string to be told from other words
_LONG_DIGITS = re.compile(r"\d{6,}")
_GAP = r"[\s·・.]*"
_SINGLE_SURNAME = 3  # characters of a name with a one-character surname and a two-character given name
_INITIAL = 1
_SHORT_PART = 2


@lru_cache(maxsize=4_096)
def _patterns_of(person: Person) -> tuple[re.Pattern[str], ...]:
    """Return the patterns that find a person's name or id. They are kept, because a person is in many records.

    An id counts as a whole word, its separators free, and a long run of digits in it also alone. A short id counts only
    after a cue such as "student id", unless it mixes letters and digits: S1 is an id wherever it stands, 12 is not.
    """
    plain = plain_reading(person.value)[0].strip()
    if person.is_name:
        return tuple(re.compile(pattern) for pattern in _name_patterns(plain))
    loose = r"[\s\-_./]*".join(map(re.escape, re.findall(r"[A-Za-z]+|\d+|[^\W\d_]+|[^\w\s\-./]", plain)))
    if not loose:
        return ()
    mixed = bool(re.search(r"[A-Za-z]", plain) and re.search(r"\d", plain) and len(plain) > _SHORT_PART)
    if len(plain) >= _SHORTEST_ID or mixed:
        whole = rf"(?<![A-Za-z0-9])(?i:{loose})(?![A-Za-z0-9])"
    else:
        whole = rf"(?i:{_ID_CUES})(?i:{loose})(?![A-Za-z0-9])"
    digits = [rf"(?<!\d){run}(?!\d)" for run in _LONG_DIGITS.findall(plain)]
    return tuple(re.compile(pattern) for pattern in (whole, *digits))


def _name_patterns(name: str) -> Iterator[str]:
    """Yield patterns for a name.

    Of a Chinese name they find the whole (spaced or not), the given name, and the surname with a title: 王小明, 小明,
    王同学, 小王. Of a Latin name they find the whole in either order, joined in any way, and each part as a word.
    """
    if _HAN.search(name):
        name = re.sub(r"[\s·・.]+", "", name)
        yield _GAP.join(map(re.escape, name))
        if len(name) in (_SINGLE_SURNAME, _SINGLE_SURNAME + 1):
            yield _GAP.join(map(re.escape, name[-2:]))
        surname = re.escape(name[:2] if len(name) > _SINGLE_SURNAME else name[:1])
        yield rf"{surname}{_GAP}(?:{_TITLES})"
        nicknames = [mark + char for mark in "小老阿" for char in {name[0], name[-1]}]
        yield "|".join(re.escape(nick) for nick in sorted(nicknames) if nick not in _NOT_A_PERSON) or r"(?!)"
        return
    parts = [part for part in re.split(r"[\s,._]+", name) if part]
    all_words = all(part.casefold() in _ALSO_WORDS for part in parts)
    for order in (parts, parts[::-1]) if parts else ():
        yield _word(r"[\s,._\-]*".join(map(re.escape, order)), ignore_case=not all_words)
    for part in parts:
        if len(part) <= _INITIAL:
            continue
        if len(part) <= _SHORT_PART or part.casefold() in _ALSO_WORDS:
            spellings = {part, part.capitalize(), part.upper()} - {part.lower()} or {part}
            yield _word("|".join(map(re.escape, spellings)))
        else:
            yield _word(re.escape(part), ignore_case=True)


def _word(inner: str, *, ignore_case: bool = False) -> str:
    r"""Return a pattern for a whole word. It does without `\b`, which does not part Chinese characters from Latin letters."""
    return rf"(?<![A-Za-z])(?{'i' if ignore_case else ''}:{inner})(?![A-Za-z])"


# --- what is private by its form ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PrivateForm:
    """A form of private words. `hint` is a cheap pattern without which `pattern` cannot match.

    `group` is the part of a match that is replaced, and `check` names the further test that this part must pass.
    """

    tag: str
    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    group: int = 0
    check: str = ""

    def holds(self, match: re.Match[str]) -> bool:
        return not self.check or _CHECKS[self.check](match[self.group])


def _private_form(tag: str, pattern: str, hint: str, *, group: int = 0, check: str = "") -> PrivateForm:
    flags = re.IGNORECASE
    return PrivateForm(tag, re.compile(pattern, flags), re.compile(hint, flags), group, check)


_ID_CUES = (
    r"(?:学生证号|学籍号|准考证号?|学号|考号|工号|编号|座位号|"
    r"(?<![a-z])(?:student|pupil|teacher|learner|staff|exam|candidate|matriculation)[\s_\-]?(?:id|no|nr|number|#)(?![a-z])\.?|"
    r"(?<![a-z])(?:id|matric)(?:[\s_\-]?(?:no|nr|number|card))?(?![a-z])\.?)"
    r"[\s:=#是为（(\-]{0,4}(?:is\s+|was\s+)?"
)
_REST_OF_MOBILE = r"(?:\d{8}|[\s\-.]\d{4}[\s\-.]\d{4}|[\s\-.]\d{8}|\d{4}[\s\-.]\d{4}|[\s\-.]\d{3}[\s\-.]\d{5})"
_PHONE_CUES = r"(?:电话|手机|座机|联系方式|打给我|phone|mobile|cell|call|tel|fax|text me|传真|家里号码|号码)"
_ACCOUNT_CUES = (
    r"(?:QQ群?|微信|加我V|薇信|威信|vx|wechat|weixin|whats\s?app|telegram|skype|discord|instagram|snapchat|line id|"
    r"facebook|twitter|抖音|微博|小红书|支付宝|钉钉)"
)
_DIGIT_HAN = "〇零一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
_HAN_VALUE = {char: str(place % 10) for place, char in enumerate("零一二三四五六七八九")} | {"〇": "0", "幺": "1"}
_HAN_VALUE |= {char: str(place) for place, char in enumerate("壹贰叁肆伍陆柒捌玖", start=1)}
_AT = r"(?:\s*[@#]\s*|\s*[\[({<]\s*(?:at|@)\s*[\])}>]\s*|\s+at\s+|\s*艾特\s*)"
_DOT = r"(?:\s*\.\s*|\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*|\s+dot\s+|\s*点\s*)"
_TLD = r"(?:com|cn|org|net|edu|gov|io|co|uk|de|fr|hk|tw|jp|kr|us|ca|au|info|me|school|example|test|invalid|ac)"
_DIGITS = re.compile(r"\d")


_PRIVATE_FORMS = (
    _private_form("URL", r"(?<![a-z])(?:[a-z][a-z0-9+.\-]{1,15}://|www\.)[^\s<>\"'，。；！？、）】》\u3400-\u9fff]+", r"://|www\."),
    _private_form("EMAIL", r"[a-z0-9._%+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)*", r"@"),
    _private_form(
        "EMAIL",
        rf"(?<![a-z0-9])[a-z0-9][a-z0-9._%+\-]*{_AT}(?:[a-z0-9\-]+{_DOT}){{1,4}}{_TLD}(?![a-z0-9])",
        r"@|#|\bat\b|艾特",
    ),
    # These are the 18 and 15 digits of a resident's id, and a Hong Kong, a Taiwan and a United States number.
    _private_form("IDNUMBER", r"(?<!\d)\d{6}[\s\-]?\d{4}[\s\-]?\d{4}[\s\-]?\d{3}[\s\-]?[\dx](?![\da-z])", r"\d{3}", check="resident"),
    _private_form("IDNUMBER", r"(?<!\d)[1-9]\d{14}(?!\d)", r"\d{15}", check="old resident"),
    _private_form("IDNUMBER", r"(?<![a-z])[a-z]{1,2}\d{6}\s?\([\da]\)", r"\d{6}"),
    _private_form("IDNUMBER", r"(?<![a-z0-9])[a-z][1289]\d{8}(?!\d)", r"\d{8}"),
    _private_form("IDNUMBER", r"(?<![\d\-])\d{3}-\d{2}-\d{4}(?![\d\-])", r"\d{3}-\d\d-"),
    _private_form("IDNUMBER", r"(?:护照|通行证|身份证|passport|id card|社保|ssn)[^\da-z\n]{0,12}(?:no|number|号码?|is|是)?[^\da-z\n]{0,6}"
          r"([a-z]{0,2}[\d\-]{6,20}[\dx])", r"护照|通行证|身份证|passport|id card|社保|ssn", group=1),
    # These are mobile and fixed lines in China, then those of the world.
    _private_form("PHONE", rf"(?<![\d.])(?:\(?(?:\+|00)?86\)?[\s\-]*)?1[3-9]\d{_REST_OF_MOBILE}(?!\d)", r"1[3-9]\d"),
    _private_form("PHONE", r"(?<![\d.])1([\s\-.])[3-9](?:\1\d){9}(?!\1?\d)", r"1[\s\-.][3-9][\s\-.]\d"),
    _private_form("PHONE", r"(?<![\d.])(?:\(0\d{2,3}\)\s?|0\d{2,3}[\s\-])[2-9]\d{2,3}[\s\-]?\d{4}(?:[\s\-转x]{1,3}\d{1,5})?(?!\d)", r"0\d\d"),
    _private_form("PHONE", r"(?<![\d.])400[\s\-]?\d{3,4}[\s\-]?\d{3,4}(?!\d)", r"400", check="ten digits"),
    _private_form("PHONE", r"(?<![\w)\]}$=.])\+[1-9]\d{0,2}(?:[\s.\-]{0,2}\(?\d\)?){7,14}(?!\d)", r"\+\d"),
    _private_form("PHONE", r"(?<![\d.])(?:1[\s.\-])?\(?[2-9]\d{2}\)?[\s.\-]{1,2}[2-9]\d{2}[.\-\s]\d{4}(?![\d.]\d)", r"\d{4}", check="phone of ten"),
    _private_form("PHONE", r"(?<![\d.])0(?:7\d{3}|\d{2,4})[\s]\d{3,4}[\s]?\d{3,4}(?!\d)", r"0\d{2}"),
    _private_form("PHONE", rf"{_PHONE_CUES}[^\d\n]{{0,14}}(\d(?:[\s\-.()]?\d){{6,14}})(?!\d)", _PHONE_CUES, group=1),
    _private_form("PHONE", rf"[{_DIGIT_HAN}](?:[\s\-、]?[{_DIGIT_HAN}\d]){{10}}(?![{_DIGIT_HAN}])", rf"[{_DIGIT_HAN}]{{3}}|[{_DIGIT_HAN}][\s\-、]", check="spelt phone"),
    _private_form("CARD", r"(?<![\d.])[3-6]\d{3}(?:[\s\-]?\d{4}){3}(?:[\s\-]?\d{3})?(?!\d)", r"\d{4}"),
    _private_form("ACCOUNT", rf"{_ACCOUNT_CUES}(?:号码?|账号|id|名)?[\s:=是为]{{0,4}}(?:is\s+)?(@?[a-z0-9][a-z0-9_.\-]{{3,31}}(?<=[\w]))", _ACCOUNT_CUES, group=1, check="account"),
    _private_form("STUDENTID", rf"{_ID_CUES}([a-z]{{0,6}}[\-_]?\d[a-z0-9\-_]{{2,24}})", r"号|准考证|id|no|nr|number|matric|#", group=1),
    _private_form("STUDENTID", r"(?<![a-z0-9])(?:stu|student|sid|xs|uid)[\-_#]?\d{2,16}(?![a-z0-9])", r"stu|sid|xs|uid"),
    _private_form("STUDENTID", r"(?<![a-z0-9.$])[a-z]{1,3}[\-]?\d{6,12}(?![a-z0-9])", r"[a-z]-?\d{6}"),
    _private_form("STUDENTID", r"(?<![a-z0-9.$])20[0-3]\d\d{6,8}(?![a-z0-9.])", r"20[0-3]\d{7}"),
    _private_form("PERSON", r"(?:我叫|我的名字(?:是|叫)|我名叫|姓名\s?[::]\s?|名字叫)((?:(?![的不了是什])[\u3400-\u9fff]){2,3})(?![\u3400-\u9fff]*什么)", r"叫|姓名|名字", group=1),
    _private_form("PERSON", r"(?:my name is|my name's|(?<![a-z])full name:)\s+((?-i:[A-Z][\w'\-]+)(?:\s+(?-i:[A-Z][\w'\-]+)){0,3})", r"name", group=1),
)  # fmt: skip

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _is_resident_id(found: str) -> bool:
    """Check a number by GB 11643: it holds a birth date, or has the right check digit.

    One of the two is enough, because a slip in the other still leaves somebody's number.
    """
    number = re.sub(r"[\s\-]", "", found).upper()
    check = "10X98765432"[sum(int(d) * w for d, w in zip(number, _WEIGHTS, strict=False)) % 11]
    return number[17] == check or _is_date(number[6:14])


def _is_date(digits: str) -> bool:
    try:
        return datetime.strptime(digits, "%Y%m%d").year in range(1900, 2100)  # noqa: DTZ007 - a date only
    except ValueError:
        return False


_CHECKS: dict[str, Callable[[str], bool]] = {
    "resident": _is_resident_id,
    "old resident": lambda found: _is_date("19" + found[6:12]),
    "ten digits": lambda found: len(_DIGITS.findall(found)) == 10,  # noqa: PLR2004 - as the check is named
    "phone of ten": lambda found: re.search(r"[.\-()]", found) is not None or found[0] in "1(",
    "spelt phone": lambda found: (
        re.fullmatch(
            r"1[3-9]\d{9}",
            "".join(_HAN_VALUE.get(char, char) for char in found if char in _HAN_VALUE or char.isdigit()),
        )
        is not None
    ),
    "account": lambda found: bool(_DIGITS.search(found) or "_" in found or found[0] == "@"),
}
