"""Names in a text: the names of the people in its record, and of people whom the text introduces or gives a title.

The names of a record become patterns. `course_names` looks up the names of a course's members.
"""

# ruff: noqa: E501 - a pattern is read as one line

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from edugraph_analyzer.documents import Person
from edugraph_analyzer.name_forms import (
    COMPOUND_SURNAMES,
    GIVEN_CHARACTERS,
    HAN,
    POINTS,
    WORDS,
    parts_of,
    pinyin_of,
    plain_of,
    split_name,
    words_in,
)
from edugraph_analyzer.plain_text import plain_reading
from edugraph_analyzer.private_forms import ID_CUES, ID_HINT, Form, Needs, Span
from edugraph_common.contracts.words import not_after, not_before

_TITLES = "老师|同学|老|教授|先生|女士|小姐|博士|导师|校长|主任|班长|阿姨|叔叔|爸爸|妈妈|家长|同桌"
# Compound surnames that are words too (the east, a hundred miles).
SURNAMES_THAT_ARE_WORDS = frozenset(
    {"东方", "西门", "东门", "百里", "长孙", "太史", "单于", "微生", "公羊", "司空", "司徒"}
)
# People of history whom a lesson names.
IN_HISTORY = "欧阳修|欧阳询|司马光|司马迁|司马懿|司马昭|司马炎|司马相如|诸葛亮|诸葛孔明|诸葛瑾|上官婉儿|夏侯惇|夏侯渊|慕容复"
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余杜叶程魏苏吕丁卢姚沈钟姜崔谭陆范汪廖石金韦贾夏邹熊孟秦邱侯江尹薛闫雷龙黎史陶贺毛郝"
    "萧阎鞠栾佟蔺卞喻褚蓝尤巩匡邝骆闵晏晁荆桑敖寇楚蒲巫舒邸沙丛佘岑虞滕游谌揭亓仝麦占缪瞿糜窦桓邬裘"
    "顾龚邵万钱覃武戴孔汤庞樊殷施洪翟颜倪严牛温芦季俞章鲁葛伍毕聂柴焦柳邢岳齐梅庄辛管祝左涂谷祁耿牟卜詹关苗凌费纪靳盛童欧甄项裴席查屈鲍霍翁隋植甘景柯阮桂"
)
# Surnames that are more often words or parts of words.
_MORE_SURNAMES = frozenset("方高何任白文于安常成朴池宁冷")
# surname -> characters that make a word with it if they stand before it
_BEFORE_SURNAMES = {entry[0]: frozenset(entry[1:]) for entry in words_in("before_surnames.zh.txt")}
_NOT_A_PERSON = frozenset(
    {"小时", "老师", "小学", "小数", "小心", "小组", "小于", "小孩", "小说", "老是", "小明"}
)
# An id with fewer characters looks like an ordinary word or number.
_SHORTEST_ID = 4
_LONG_DIGITS = re.compile(r"\d{6,20}")
_ID_PARTS = re.compile(r"[A-Za-z]+|\d+|[^\W\d_]+|[^\w\s\-./]")
# Addresses have a plus sign in place of a space.
_GAP = rf"[\s+{POINTS}]{{0,3}}"
_BETWEEN_SYLLABLES = r"[\s+\-']{0,2}"


# --- the record's own people -------------------------------------------------------------------------------------


def own_names(plain: str, lower: str, people: Iterable[Person]) -> Iterator[Span]:
    """Yield each place of a plain text that names one of the people. `lower` is the text in lower case (`folded`)."""
    for person in people:
        # Compiling the patterns of a person takes longer than the rest of the work for a record whose answer is
        # cached, and each record names other people. Few texts have a part of a name or an id.
        if not _may_match(person, lower):
            continue
        for pattern in _patterns_of(person):
            for match in pattern.finditer(plain):
                if match.end() > match.start():
                    yield (*match.span(), person.role)


def _may_match(person: Person, lower: str) -> bool:
    """Return whether a pattern of the person may match a text. `lower` is the text in lower case."""
    has_parts = False
    for parts in _parts_of_any_match(person):
        if all(part in lower for part in parts):
            has_parts = True
            break
    if not has_parts:
        return False
    if person.is_name:
        return True
    own_id = plain_reading(person.value)[0].strip()
    return not _needs_cue(own_id) or ID_HINT.search(lower) is not None


@lru_cache(maxsize=4_096)
def _parts_of_any_match(person: Person) -> list[list[str]]:
    """Return lists of parts in lower case. Each match of a pattern of the person has all parts of one of the lists.

    The lists have parts in ASCII or Chinese only, because only their other case is certain. An empty list means that
    any text may match.
    """
    plain = plain_reading(person.value)[0].strip()
    if not person.is_name:
        whole = [part.lower() for part in _ID_PARTS.findall(plain) if part.isascii()]
        return [whole, *([digits] for digits in _LONG_DIGITS.findall(plain))]
    if HAN.search(plain):
        han, others = _by_script(plain)
        if not all(part.isascii() for part in others):
            return [[]]
        characters = [[char.lower()] for char in "".join(han)]
        words = [[part.lower()] for part in others]
        return [*characters, *_pinyin_orders("".join(han)), *words]
    if not plain.isascii():
        return [[]]
    words = [[part.lower()] for part in re.split(r"[\s,._\-']+", plain) if part]
    return words or [[]]


def _by_script(plain: str) -> tuple[list[str], list[str]]:
    """Return the parts of a name that have Chinese characters, and its other parts."""
    han = list[str]()
    others = list[str]()
    for part in parts_of(plain):
        if HAN.search(part):
            han.append(part)
        else:
            others.append(part)
    return han, others


@lru_cache(maxsize=4_096)
def _patterns_of(person: Person) -> tuple[re.Pattern[str], ...]:
    plain = plain_reading(person.value)[0].strip()
    if not plain:
        return ()
    patterns = _name_patterns(plain) if person.is_name else _id_patterns(plain)
    return tuple(re.compile(pattern) for pattern in patterns)


def _name_patterns(plain: str) -> Iterator[str]:
    """Yield the patterns of a name, which may be written in two scripts: 陈思琪 Cindy."""
    han, others = _by_script(plain)
    if not han:
        yield from _latin_patterns(plain)
        return
    yield from _han_patterns("·".join(han))
    if others:
        yield from _latin_patterns(" ".join(others))


def _han_patterns(plain: str) -> Iterator[str]:
    """Yield the patterns of a whole name and of its short forms: 王小明, 小明, 王同学, 小王, 明明, Wang Xiaoming."""
    parts = parts_of(plain)
    name = "".join(parts)
    surname, given = split_name(name)
    yield _GAP.join(map(re.escape, name))
    if len(parts) > 1 and len(parts[0]) > 1:
        # A name with a point is a given name and the name of the father, and each is used alone.
        for part in parts:
            if len(part) > 1:
                yield _GAP.join(map(re.escape, part))
        return
    if len(given) > 1:
        yield _GAP.join(map(re.escape, given))
    yield rf"{re.escape(surname)}{_GAP}(?:{_TITLES})"
    if surname in COMPOUND_SURNAMES and surname not in SURNAMES_THAT_ARE_WORDS:
        yield rf"(?!{IN_HISTORY})[小老阿]?{surname}"
    nicknames = set[str]()
    for mark in "小老阿":
        nicknames |= {mark + surname, mark + name[-1]}
    # 小明 stands for anybody in word problems, but not in the record of somebody with that name.
    nicknames -= _NOT_A_PERSON - {"小明"}
    yield "|".join(map(re.escape, sorted(nicknames))) or r"(?!)"
    # Many doubled characters are adverbs (静静, 明明), so the words behind must show that a person is addressed.
    yield rf"{re.escape(name[-1] * 2)}(?=同学|老师|[:：,，@]|今天|昨天|明天)"
    orders = list(_pinyin_orders(name))
    if orders:
        yield "|".join(map(_pinyin_pattern, orders))


def _pinyin_pattern(syllables: list[str]) -> str:
    """Return the pattern of a name in pinyin. A name whose syllables are all English words needs capitals: he ran."""
    word = "".join(syllables)
    if word in WORDS or all(syllable in WORDS for syllable in syllables):
        capitalized = [syllable.capitalize() for syllable in syllables]
        return _word(_BETWEEN_SYLLABLES.join(capitalized), word)
    return _word(_BETWEEN_SYLLABLES.join(syllables), word, ignore_case=True)


def _pinyin_orders(name: str) -> Iterator[list[str]]:
    """Yield the syllables of a Chinese name in each order in which they are written, and those of its given name."""
    for surname, given in pinyin_of(name):
        yield [surname, *given]
        yield [*given, surname]
        if len(given) > 1:
            yield list(given)


def _latin_patterns(name: str) -> Iterator[str]:
    """Yield the patterns of a whole name in either order, of each part as a word, and of a surname with particles."""
    parts = [part for part in re.split(r"[\s,._]+", name) if part]
    all_words = all(part.casefold() in WORDS for part in parts)
    for order in (parts, parts[::-1]):
        yield _word(
            r"[\s+,._\-]{0,3}".join(map(_loose, order)), "".join(order), ignore_case=not all_words
        )
    if len(parts) > 1:
        yield _word(rf"{_loose(parts[0])}[\s+]{re.escape(parts[-1][0])}\.", parts[0])
        lower_case = [index for index, part in enumerate(parts) if index > 0 and part.islower()]
        if lower_case:
            surname = parts[lower_case[0] :]
            yield _word(
                r"[\s+]{1,3}".join(map(_loose, surname)), "".join(surname), ignore_case=True
            )
    for part in parts:
        if len(part) == 1:
            continue
        if len(part) == len("Li") or part.casefold() in WORDS:
            # A short part and a word need a capital, unless the name itself is in lower case.
            forms = {part, part.capitalize(), part.upper()} - {part.lower()}
            yield _word("|".join(map(re.escape, sorted(forms or {part}))), part)
        else:
            yield _word(_loose(part), part, ignore_case=True)


def _loose(part: str) -> str:
    return r"[\s+\-']?".join(map(re.escape, re.split(r"['-]", part)))


def _word(inner: str, word: str, *, ignore_case: bool = False) -> str:
    """Return the pattern `inner` as a whole word. The first and last letter of `word` decide what continues it."""
    flag = "i" if ignore_case else ""
    return f"{not_after(word[0])}(?{flag}:{inner}){not_before(word[-1])}"


def _id_patterns(own_id: str) -> Iterator[str]:
    """Yield the pattern of an id as a whole word with any separators, and the patterns of its long runs of digits.

    A short id is matched only behind a cue.
    """
    parts = _ID_PARTS.findall(own_id)
    if not parts:
        return
    loose = r"[\s\-_./]{0,3}".join(map(re.escape, parts))
    before = not_after(parts[0][0])
    behind = not_before(parts[-1][-1])
    if _needs_cue(own_id):
        yield rf"(?i:{ID_CUES})(?i:{loose}){behind}"
    else:
        yield f"{before}(?i:{loose}){behind}"
    for digits in _LONG_DIGITS.findall(own_id):
        yield rf"(?<!\d){digits}(?!\d)"


def _needs_cue(own_id: str) -> bool:
    """Return whether an id counts only behind a cue: S01 is an id anywhere, and 12 is not."""
    if len(own_id) >= _SHORTEST_ID:
        return False
    is_mixed = re.search(r"[A-Za-z]", own_id) and re.search(r"\d", own_id)
    return not (is_mixed and len(own_id) > len("S1"))


# --- people whom the text introduces
# ----------------------------------------------------------------------------------

_RELATIVES = (
    "爸爸|妈妈|爸|妈|父亲|母亲|哥哥|姐姐|弟弟|妹妹|爷爷|奶奶|外公|外婆|姑姑|舅舅|叔叔|阿姨|表哥|表姐|表弟|表妹|哥|姐|弟|妹"
    "|朋友|闺蜜|同桌|监护人|家长|隔壁班的"
)
_ADDRESS = "老师|同学|教授|校长|主任"
TITLES_BEHIND = "老师|同学|教授|校长|主任|班长|先生|女士|小姐|博士|导师|阿姨|叔叔|教练|医生|师傅|大夫|学长|学姐|学弟|学妹"
TITLES_BEFORE = (
    "班主任|班长|组长|课代表|校长|教导主任|年级主任|辅导员|老师|同学|同桌|医生|教练|家长"
)
# A surname before one of these is the name of a person.
ADDRESSED = re.compile(
    f"{TITLES_BEHIND}|爸爸|妈妈|家长|爸|妈|{'|'.join(map(plain_of, ('さん', 'くん', 'ちゃん', '君', '様', '先生', '씨', '선생')))}"
)
# Words for groups of pupils that begin with a surname and end with characters of given names.
_GROUPS = words_in("groups.zh.txt")
_VERBS_BEHIND = "从有中人三考说在的也是和跟给就不都会要来去到把被让叫很太做写打带送教住开病今昨明"


def _introduction(
    pattern: str,
    hint: str,
    span: Callable[[re.Match[str]], tuple[int, int] | None] = lambda match: match.span("secret"),
    *,
    beyond_ascii: bool = False,
) -> Form:
    """Return a form of names. Its pattern itself says where case does not count."""
    needs = Needs(beyond_ascii=beyond_ascii)
    return Form(
        "PERSON", re.compile(pattern), re.compile(hint), ignores_case=True, span=span, needs=needs
    )


def _titled_surname(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace the surname in 王老师, unless it ends a word: 谢谢老师, 任何老师."""
    start, end = match.span("secret")
    is_wish = match.string.startswith("祝", start)
    if is_wish or not begins_name(match.string, start):
        return None
    return start, end


def begins_name(plain: str, start: int) -> bool:
    """Return whether the surname at this index begins a name and does not end a word."""
    if start == 0:
        return True
    surname = plain[start]
    before = plain[start - 1]
    return before != surname and before not in _BEFORE_SURNAMES.get(surname, ())


def _titled_name(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace the name in 王大锤老师, unless it is a word: 高中生同学."""
    start, end = match.span("secret")
    name = match["secret"]
    if name in WORDS or name in FAMOUS or name in _GROUPS or not begins_name(match.string, start):
        return None
    return start, end


def _titled_name_of_any_characters(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace a name before a title that may have characters rare in names, if it follows a mark or preposition."""
    start, end = match.span("secret")
    name = match["secret"]
    is_word = name in FAMOUS or name in _GROUPS or name[:2] in WORDS
    if is_word or not _BEFORE_NAME.search(match.string[max(0, start - 2) : start]):
        return None
    return start, end


def _lower_case_behind_title(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace the name in "dr patel". The second word of "ms and" is not a name."""
    word = match["secret"]
    if word in WORDS or word in _NOT_A_LAST_NAME:
        return None
    return match.span("secret")


def _name_behind_title(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace the name in 班主任徐丽华 and 班主任徐丽说. In 老师关心 the characters behind the title are a word."""
    start, end = match.span("secret")
    name = match["secret"]
    if name in FAMOUS or name in _GROUPS:
        return None
    if name[:2] in WORDS and len(name) == len("关心"):
        return None
    return start, end


# The name of a person who is on no list stands behind one of these ...
_BEFORE_NAME = re.compile(
    r"(?:^|[^\u3400-\u9fff]|[和跟与给让问请找叫被帮约陪喊骂打]|今天|昨天|同桌|老师|同学|谢谢|喜欢|讨厌|以及)$"
)
# ... and before one of these.
_BEHIND_NAME = re.compile(
    r"$|[^\u3400-\u9fff]|说|问|告诉|把|被|借|和|跟|与|也|在|都|就|还|没|不|会|要|能|老是|总|抄|打|骂|帮|给|教|昨天|今天|一起|的|他|她|你|我|考|做|写|觉得|最|很|太|真"
)
FAMOUS = words_in("famous.txt")
_FIRST_NAMES = words_in("first.txt")
_NOT_A_LAST_NAME = words_in("not_last.txt")


def _unlisted_name(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace a surname and a given name that is not a word, if the characters beside them stand beside names."""
    start, end = match.span("secret")
    name = match["secret"]
    given = name[-2:]
    is_word = name in FAMOUS or given in WORDS or name[:2] in WORDS
    if is_word or not begins_name(match.string, start):
        return None
    before = match.string[max(0, start - 2) : start]
    if not _BEFORE_NAME.search(before) or not _BEHIND_NAME.match(match.string, end):
        return None
    return start, end


def _name_alone(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace a Chinese name of two characters between two marks, where a person is addressed."""
    name = match["secret"]
    if name in WORDS or name in FAMOUS:
        return None
    return match.span("secret")


def _first_and_last_name(match: re.Match[str]) -> tuple[int, int] | None:
    """Replace a frequent given name and another word with a capital, unless the person is famous: Isaac Newton."""
    start, end = match.span("secret")
    found = match["secret"]
    name = found.removesuffix("'s")
    words = re.findall(r"[^\W\d_]+", name.casefold())
    first = words[0]
    last = words[-1]
    if first not in _FIRST_NAMES or last in _NOT_A_LAST_NAME:
        return None
    if "".join(words[:2]) in FAMOUS or first + last in FAMOUS:
        return None
    return start, end - (len(found) - len(name))


_SURNAME = f"(?:{'|'.join(sorted(COMPOUND_SURNAMES - SURNAMES_THAT_ARE_WORDS))}|[{''.join(sorted(_SURNAMES))}])"
_ANY_SURNAME = f"(?:{'|'.join(sorted(COMPOUND_SURNAMES - SURNAMES_THAT_ARE_WORDS))}|[{''.join(sorted(_SURNAMES | _MORE_SURNAMES))}])"
_HAN_CHARACTER = "[\u3400-\u9fff]"
_GIVEN = f"[{GIVEN_CHARACTERS}]"


# Capitals of Latin, Greek and Cyrillic. Some, such as Ł and Ø, have no plain form.
_CAPITAL = "".join(chr(code) for code in range(ord("A"), 0x530) if chr(code).isupper())
_LATIN_TITLE = (
    r"(?<![A-Za-z])(?:(?:M[rsx]|Mrs|Dr|Prof|MR|MRS|MS|DR|mr|ms|mrs|dr)\b\.?|(?:Sra?|Srta|Rev)\."
    r"|(?:Miss|Professor|Sir|Madam|Madame|Mlle|Coach|Herr|Frau|Mme|Monsieur|Senora?|Senorita|Reverend|Pastor|Rabbi"
    r"|Imam|Nurse|Headmaster|Headmistress|Principal(?!\s(?:Component|Value|Quantum|Ax|Root|Amount)))\s)"
)
_LATIN_TITLE_HINT = (
    r"m[rsx]|miss|dr|prof|sir|madam|mlle|coach|herr|frau|mme|monsieur|se[nñ]or|srt?a?\.|rev|pastor|rabbi|imam|nurse"
    r"|headm|principal"
)
# Words in small letters that stand before a surname: van der Berg.
_PARTICLES = r"(?:(?:van|von|vom|zu|de|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|ten|der|den)[\s\-]){0,3}"
_LATIN_NAME = rf"[{_CAPITAL}][^\W\d_]{{0,30}}(?:['\-][{_CAPITAL}]?[^\W\d_]{{1,30}}){{0,2}}"
_LATIN_NAMES = rf"{_PARTICLES}{_LATIN_NAME}(?:\s{_PARTICLES}[{_CAPITAL}][^\W\d_]{{1,30}}(?:['\-][{_CAPITAL}][^\W\d_]{{1,30}})?){{0,2}}"
# Forms of names that are on no list, where the words around them show that they are names.
INTRODUCTIONS = (
    _introduction(rf"(?!{IN_HISTORY})(?P<secret>{'|'.join(sorted(COMPOUND_SURNAMES - SURNAMES_THAT_ARE_WORDS))})(?={_ADDRESS})", _ADDRESS, beyond_ascii=True),
    _introduction(r"(?:(?<![把让给被])我叫|我的名字(?:是|叫)|我名叫|姓名\s?[::]\s?|名字叫)(?P<secret>(?:(?![的了是什])[\u3400-\u9fff]){2,3})(?![\u3400-\u9fff]{0,20}什么)", "[叫名]", beyond_ascii=True),
    _introduction(rf"(?:{TITLES_BEFORE}|{TITLES_BEHIND})叫(?P<secret>{_ANY_SURNAME}{_GIVEN}(?:(?![{_VERBS_BEHIND}]){_GIVEN})?)", "叫", _name_behind_title, beyond_ascii=True),
    _introduction(rf"(?:{_RELATIVES}|(?:{TITLES_BEFORE}|{TITLES_BEHIND})(?=的?名字|名叫|姓名))(?:的?名字|姓?名)?(?:叫|[:：])(?P<secret>{_ANY_SURNAME}[\u3400-\u9fff]{{1,2}})(?![\u3400-\u9fff]{{0,20}}什么)", "[叫:]", beyond_ascii=True),
    _introduction(rf"(?:{_RELATIVES}|{TITLES_BEFORE})[\s:：]?(?P<secret>{_ANY_SURNAME}{_GIVEN}(?:(?![{_VERBS_BEHIND}]){_GIVEN})?)(?!{TITLES_BEHIND})", f"{_RELATIVES}|{TITLES_BEFORE}", _name_behind_title, beyond_ascii=True),
    _introduction(rf"(?P<secret>{_ANY_SURNAME}{_GIVEN}{{1,2}})(?={TITLES_BEHIND})", TITLES_BEHIND, _titled_name, beyond_ascii=True),
    _introduction(rf"(?P<secret>{_SURNAME}(?:(?![的了是在有我你他她们这那不就都和跟与问让给把被请个名位班级年学校位省市县区]){_HAN_CHARACTER}){{2}})(?={TITLES_BEHIND})", TITLES_BEHIND, _titled_name_of_any_characters, beyond_ascii=True),
    _introduction(rf"(?P<secret>{_SURNAME}|[{''.join(sorted(_MORE_SURNAMES))}])(?={TITLES_BEHIND})", TITLES_BEHIND, _titled_surname, beyond_ascii=True),
    _introduction(r"(?i:my name is|my name's|(?<![a-z])full name:|i am called|i'm called)\s{1,3}(?P<secret>[A-Z][\w'\-]{0,30}(?:\s{1,3}[A-Z][\w'\-]{0,30}){0,3})", r"name is|name's|name:|called"),
    _introduction(rf"(?P<secret>{_ANY_SURNAME}{_GIVEN}{{2}})", "[王李张刘陈]|[\u3400-\u9fff]{3}", _unlisted_name, beyond_ascii=True),
    _introduction(rf"(?:^|[,.!?。\n])\s?(?P<secret>{_SURNAME}{_GIVEN})(?=\s?(?:[,.!?:。\n]|$))", "[\u3400-\u9fff]", _name_alone, beyond_ascii=True),
    _introduction(r"(?<![\w'\-])(?P<secret>[A-Z][\w\-]{1,30}(?:\s[A-Z]\.?)?\s[A-Z][\w'\-]{0,30})", r"[\w\-.]\s[a-z]", _first_and_last_name),
    _introduction(r"(?<![\w])(?<!\d\s)(?:mr|mrs|ms|dr)\b\.?\s(?P<secret>[a-z]{3,20})(?![\w])", r"m[rs]|mrs|dr", _lower_case_behind_title),
    _introduction(rf"{_LATIN_TITLE}\s{{0,2}}(?P<secret>{_LATIN_NAMES})", _LATIN_TITLE_HINT),
    _introduction(
        r"(?i:\b(?:my|his|her)\s(?:best\s)?(?:friend|cousin|brother|sister|mum|mom|dad|mother|father|aunt|auntie|uncle|neighbou?r|classmate|son|daughter)|parent:|guardian:|\bauntie?|\buncle)\s(?P<secret>[A-Z][\w'\-]{1,30}(?:\s[A-Z][\w'\-]{1,30}){0,2})",
        r"friend|cousin|brother|sister|mum|mom|dad|mother|father|aunt|uncle|neighbo|classmate|son|daughter|parent:|guardian:",
    ),
)  # fmt: skip


# A Chinese name on no list in a question. `_unlisted_name` needs more evidence, since it changes texts of records.
_ANY_NAME = re.compile(f"(?P<secret>{_SURNAME}{_GIVEN}{{2}})")
_SHORT_NAME = re.compile(f"(?P<secret>{_SURNAME}{_GIVEN})")
_BEFORE_SHORT_NAME = re.compile(
    r"(?:^|[^\u3400-\u9fff]|[和跟与给让问请找看帮约]|关于|为什么|为何|怎么|老师|同学)$"
)
_BEHIND_SHORT_NAME = re.compile(
    r"$|[^\u3400-\u9fff]|[和跟与的也在都就还没不会要能有做写考学该应最怎为何哪几错答交]|需要|今天|昨天|接下来|上周|本周|老是|经常|总是|一直"
)
_CHARACTERS_BEFORE = 3


def names_in_question(plain: str) -> Iterator[tuple[int, int]]:
    """Yield the places of Chinese names on no list in a question, where a word taken for a name costs little."""
    for match in _ANY_NAME.finditer(plain):
        name = match["secret"]
        is_word = name in FAMOUS or name[-2:] in WORDS or name[:2] in WORDS
        if not is_word and begins_name(plain, match.start()):
            yield match.span()
    for match in _SHORT_NAME.finditer(plain):
        start, end = match.span()
        is_word = match["secret"] in WORDS or match["secret"] in FAMOUS
        if not is_word and stands_as_name_in_question(plain, start, end):
            yield start, end


def stands_as_name_in_question(plain: str, start: int, end: int) -> bool:
    """Return whether the characters on both sides of a place stand beside names in Chinese questions."""
    before = plain[max(0, start - _CHARACTERS_BEFORE) : start]
    if not _BEFORE_SHORT_NAME.search(before):
        return False
    return _BEHIND_SHORT_NAME.match(plain, end) is not None
