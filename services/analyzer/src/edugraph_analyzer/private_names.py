"""Names in a text: those of the people in its record, of other members of its course, and of whoever is introduced by name.

A record's own names become patterns. A course has up to 5,000 names, which are looked up word by word instead, so that
the time for a text does not grow with the course. A member's name that is also a word is one only where it is used as a name.
"""

# ruff: noqa: E501 - a pattern is read as one line

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from edugraph_analyzer.documents import Person
from edugraph_analyzer.plain_text import plain_reading
from edugraph_analyzer.private_forms import ID_CUES, ID_HINT, Form, Needs, Span
from edugraph_common.contracts.words import not_after, not_before
from edugraph_common.platform.course_members import MOST_MEMBERS

_HAN = re.compile(r"[\u3400-\u9fff]")
_TITLES = "老师|同学|老|教授|先生|女士|小姐|博士|导师|校长|主任|班长|阿姨|叔叔|爸爸|妈妈|家长|同桌"
COMPOUND_SURNAMES = frozenset(
    [
        "欧阳",
        "司马",
        "诸葛",
        "上官",
        "夏侯",
        "慕容",
        "端木",
        "东方",
        "尉迟",
        "皇甫",
        "令狐",
        "公孙",
        "司徒",
        "司空",
        "轩辕",
        "长孙",
        "宇文",
        "独孤",
        "南宫",
        "西门",
        "百里",
        "东郭",
        "呼延",
        "濮阳",
        "淳于",
        "单于",
        "太史",
        "申屠",
        "闻人",
        "澹台",
        "赫连",
        "钟离",
        "鲜于",
        "闾丘",
        "公冶",
        "宗政",
        "仲孙",
        "万俟",
        "拓跋",
        "谷梁",
        "段干",
        "梁丘",
        "左丘",
        "东门",
        "羊舌",
        "微生",
        "公羊",
        "公西",
        "颛孙",
        "巫马",
        "漆雕",
        "壤驷",
    ]
)
# Compound surnames that are words too (the east, a hundred miles), and the people of history whom a lesson names.
_SURNAMES_THAT_ARE_WORDS = frozenset(
    {"东方", "西门", "东门", "百里", "长孙", "太史", "单于", "微生", "公羊", "司空", "司徒"}
)
_IN_HISTORY = (
    "欧阳修|欧阳询|司马光|司马迁|司马懿|司马昭|司马炎|司马相如|诸葛亮|诸葛孔明|诸葛瑾|上官婉儿|夏侯惇|夏侯渊|慕容复"
)
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余杜叶程魏苏吕丁卢姚沈钟姜崔谭陆范汪廖石金韦贾夏邹熊孟秦邱侯江尹薛闫雷龙黎史陶贺毛郝"
    "顾龚邵万钱覃武戴孔汤庞樊殷施洪翟颜倪严牛温芦季俞章鲁葛伍毕聂柴焦柳邢岳齐梅庄辛管祝左涂谷祁耿牟卜詹关苗凌费纪靳盛童欧甄项裴席查屈鲍霍翁隋植甘景柯阮桂"
)
# Latin names that are also words, and words that a particle of a name would take with it: only as written in a name.
_ALSO_WORDS = frozenset(
    """
    will grace may mark hope art rose sky joy faith summer april june august dawn drew
    bill rob pat jack max chase grant miles page reed stone young long king price rich
    case pearl ruby amber ivy iris crystal frank sue gene ray bob jean carol sandy penny
    guy don dean earl sunny angel christian van von der den bin ben ali san the and
    hunter turner mason baker cook carter porter fisher miller taylor smith walker parker archer
    green brown black white gray grey gold silver fields field waters rivers brooks woods wood hill banks
    best bright close cross day fox good hand hart lane little love major marsh moon moss park pace
    sharp short small snow sparks star steel strong sweet swift west east north south winter winters
    victor victoria sage olive daisy lily violet heather holly hazel willow jasmine autumn harmony
    melody serenity destiny trinity patience prudence constance charity mercy honor justice noble
    bishop knight prince duke baron major sterling wells field flowers glass bell ball church
    """.split()  # noqa: SIM905 - a list of words
)
# Surnames by which a law, a unit or a country's past is known: a member's only behind a title or another name.
_IN_LESSONS = frozenset(
    """
    newton pascal euler gauss darwin einstein ohm hooke boyle charles kelvin celsius watt joule faraday maxwell planck
    bohr curie turing galileo kepler fermat venn washington lincoln jefferson shakespeare dickens mendel hubble hertz
    volta ampere fahrenheit descartes euclid archimedes pythagoras bernoulli laplace fourier riemann cauchy python java
    """.split()  # noqa: SIM905 - a list of words
)
_NOT_A_PERSON = frozenset({"小时", "老师", "小学", "小数", "小心", "小组", "小于", "小孩", "小说", "老是", "小明"})
_SHORTEST_ID = 4  # characters; shorter ones are too common a string to be told from other words
_LONG_DIGITS = re.compile(r"\d{6,20}")
_ID_PARTS = re.compile(r"[A-Za-z]+|\d+|[^\W\d_]+|[^\w\s\-./]")
_GAP = r"[\s·・.]{0,3}"


def split_name(name: str) -> tuple[str, str]:
    """Return the surname and the given name of a Chinese name; a name of four characters may join two surnames."""
    compound = name[:2] in COMPOUND_SURNAMES and len(name) > len("欧阳")
    size = len("欧阳") if compound or len(name) > len("王小明") else 1
    return name[:size], name[size:]


# --- the record's own people -------------------------------------------------------------------------------------


def own_names(plain: str, lower: str, people: Iterable[Person]) -> Iterator[Span]:
    """Yield each place of a plain text that names one of the people; `lower` is the text as `folded` returns it."""
    for person in people:
        # Each record names other people, and compiling the patterns of one takes longer than all else that is done
        # with a record whose answer is cached. Few texts hold any part of a name or an id.
        if not any(all(part in lower for part in parts) for parts in _parts_of_any_match(person)):
            continue
        if not person.is_name and _needs_cue(plain_reading(person.value)[0].strip()) and not ID_HINT.search(lower):
            continue
        for pattern in _patterns_of(person):
            for match in pattern.finditer(plain):
                if match.end() > match.start():
                    yield (*match.span(), person.role)


@lru_cache(maxsize=4_096)
def _parts_of_any_match(person: Person) -> list[list[str]]:
    """Return lists of parts, in lower case: what a pattern of the person matches holds all the parts of one list.

    Only parts in ASCII or Chinese are told, whose other case is known; an empty list says that any text may match.
    """
    plain = plain_reading(person.value)[0].strip()
    if not person.is_name:
        whole = [part.lower() for part in _ID_PARTS.findall(plain) if part.isascii()]
        return [whole, *([digits] for digits in _LONG_DIGITS.findall(plain))]
    if _HAN.search(plain):
        return [[char.lower()] for char in plain]
    parts = re.split(r"[\s,._\-]+", plain) if plain.isascii() else ()
    return [[part.lower()] for part in parts if part] or [[]]


@lru_cache(maxsize=4_096)
def _patterns_of(person: Person) -> tuple[re.Pattern[str], ...]:
    plain = plain_reading(person.value)[0].strip()
    if not plain:
        return ()
    if not person.is_name:
        found = _id_patterns(plain)
    elif _HAN.search(plain):
        found = _han_patterns(re.sub(r"[\s·・.]+", "", plain))
    else:
        found = _latin_patterns(plain)
    return tuple(re.compile(pattern) for pattern in found)


def _han_patterns(name: str) -> Iterator[str]:
    """The whole name, spaced or not, and what it is shortened to: 王小明, 小明, 王同学, 小王, 明明."""
    surname, given = split_name(name)
    yield _GAP.join(map(re.escape, name))
    if len(given) > 1:
        yield _GAP.join(map(re.escape, given))
    yield rf"{re.escape(surname)}{_GAP}(?:{_TITLES})"
    if surname in COMPOUND_SURNAMES and surname not in _SURNAMES_THAT_ARE_WORDS:
        yield rf"(?!{_IN_HISTORY})[小老阿]?{surname}"
    nicknames = {mark + part for mark in "小老阿" for part in {surname, name[-1]}}
    # 小明 is everybody in word problems, but not in the record of somebody of that name.
    yield "|".join(re.escape(nick) for nick in sorted(nicknames) if nick not in _NOT_A_PERSON - {"小明"}) or r"(?!)"
    # Many doubled characters are adverbs (静静, 明明), so what follows must show that a person is spoken to.
    yield rf"{re.escape(name[-1] * 2)}(?=同学|老师|[:：,，@]|今天|昨天|明天)"


def _latin_patterns(name: str) -> Iterator[str]:
    """The whole name in either order, joined in any way, each of its parts as a word, and a surname with particles."""
    parts = [part for part in re.split(r"[\s,._]+", name) if part]
    all_words = all(part.casefold() in _ALSO_WORDS for part in parts)
    for order in (parts, parts[::-1]):
        yield _word(r"[\s,._\-]{0,3}".join(map(_loose, order)), "".join(order), ignore_case=not all_words)
    if len(parts) > 1:
        yield _word(rf"{_loose(parts[0])}\s{re.escape(parts[-1][0])}\.", parts[0])
        particle = next((place for place, part in enumerate(parts) if place and part.islower()), 0)
        if particle:
            yield _word(r"\s{1,3}".join(map(_loose, parts[particle:])), "".join(parts[particle:]), ignore_case=True)
    for part in parts:
        if len(part) == 1:
            continue
        if len(part) == len("Li") or part.casefold() in _ALSO_WORDS:
            forms = {part, part.capitalize(), part.upper()} - {part.lower()} or {part}
            yield _word("|".join(map(re.escape, sorted(forms))), part)
        else:
            yield _word(_loose(part), part, ignore_case=True)


def _loose(part: str) -> str:
    return r"[\s\-]?".join(map(re.escape, part.split("-")))


def _word(inner: str, word: str, *, ignore_case: bool = False) -> str:
    """Return the pattern `inner` where it stands alone. The first and the last letter of `word` say what continues it."""
    flag = "i" if ignore_case else ""
    return f"{not_after(word[0])}(?{flag}:{inner}){not_before(word[-1])}"


def _id_patterns(own_id: str) -> Iterator[str]:
    """The id as a whole word, its separators free; a long run of digits in it also alone. Short ids after a cue."""
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
    """Say whether an id is told from other words only behind a cue: S01 is an id wherever it stands, 12 is not."""
    mixed = re.search(r"[A-Za-z]", own_id) and re.search(r"\d", own_id) and len(own_id) > len("S1")
    return len(own_id) < _SHORTEST_ID and not mixed


# --- members of the course -----------------------------------------------------------------------------------------

_LONGEST_HAN_NAME = 8
_WORD = re.compile(r"[A-Za-z](?:['\-]?[A-Za-z]){0,39}")
_TITLE_BEFORE = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Teacher|Coach)\b\.?)\s{1,2}$", re.IGNORECASE
)
_NAME_BEFORE_VERB = re.compile(
    r"(?:'s\b|:|,?\sand\s(?:I|[A-Z])|\s(?:told|says|said|asked|got|wrote|never|dropped|helped|thinks|sent|took|missed|gave|showed|is|was|and)\b)"
)
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;。！？：\n\"“(])\s{0,3}$")
# What stands beside a name in Chinese and seldom beside the same characters as a word.
_HAN_BEFORE = re.compile(r"(?:^|[^\u4e00-\u9fff]|[和跟与同给让问请找叫由被是对向把帮]|帮助|同桌|还有)$")
_HAN_AFTER = re.compile(
    r"$|[^\u4e00-\u9fff]|同学|老师|说|问|已|把|借|和|跟|与|也|在|拿|看|做|写|考|得|没|抄|今天|昨天|上课|的|是|用|帮|答|觉得|认为|订正"
)
_HAN_AFTER_WORD = re.compile(r"(?:同学|老师|说|问|已经|把|借|跟|也|在|拿|抄|订正|看见|[:：、])|帮(?!助)")
_HAN_LISTED = re.compile(r"、$")
# Names of two characters that a text has as a word, or as parts of two words, more often than as a name.
_HAN_WORDS = frozenset(
    [
        "高明",
        "方正",
        "常乐",
        "温暖",
        "江山",
        "白雪",
        "许诺",
        "方程",
        "成功",
        "平安",
        "安宁",
        "文静",
        "高兴",
        "唐果",
        "向阳",
        "黎明",
        "阳光",
        "王子",
        "石头",
        "黄金",
        "金星",
        "水星",
        "高峰",
        "高山",
        "万里",
        "海洋",
        "方圆",
        "方向",
        "田野",
        "陈述",
        "程序",
        "周长",
        "周期",
        "马力",
        "单元",
        "项目",
        "解放",
        "毛笔",
        "路程",
        "时间",
        "安全",
        "安静",
        "和平",
        "关系",
        "夏天",
        "温度",
        "白云",
        "龙井",
        "金属",
        "钱币",
        "钟表",
        "高原",
        "平方",
        "孔明",
        "包容",
        "常青",
        "乐观",
        "甘甜",
        "明月",
        "古诗",
        "严格",
        "严谨",
        "祝福",
        "车辆",
        "沙漠",
        "牛奶",
        "杨梅",
        "杨柳",
        "梅花",
        "花朵",
        "叶子",
        "林业",
        "江河",
        "武术",
        "史记",
        "鲁迅",
    ]
)
_FUNCTION_CHARACTERS = frozenset("于和时方常高成万何任白江温许关安平程田金石水云向易明文古项单解连全车同从对")


class CourseNames:
    """The names of up to 5,000 members of a course, ready to be looked up in many texts."""

    def __init__(self, names: Iterable[str]) -> None:
        plain = [plain_reading(name)[0].strip() for name in dict.fromkeys(names)]
        if len(plain) > MOST_MEMBERS:
            raise ValueError(f"a course has {len(plain)} names for the redaction, and may have {MOST_MEMBERS}")
        self._han: dict[str, bool] = {}  # a whole name or a given name: whether it must be used as a name
        self._surnames: set[str] = set()
        self._parts: dict[str, set[int]] = {}  # a word of a Latin name, case-folded, and the persons who have it
        for person, name in enumerate(plain):
            if _HAN.search(name):
                self._add_han(re.sub(r"[\s·・.]+", "", name))
            else:
                for part in re.split(r"[\s,._]+", name):
                    if len(part) > 1 and not part.islower():
                        self._parts.setdefault(part.casefold(), set()).add(person)

    def _add_han(self, name: str) -> None:
        surname, given = split_name(name)
        word = name in _HAN_WORDS or (len(name) == len("于洋") and name[0] in _FUNCTION_CHARACTERS)
        self._han[name] = self._han.get(name, False) or word
        if len(given) > 1:
            self._han.setdefault(given, True)
        self._surnames.add(surname)

    def spans(self, plain: str) -> Iterator[Span]:
        yield from self._han_spans(plain) if self._han else ()
        yield from self._latin_spans(plain) if self._parts else ()

    def _han_spans(self, plain: str) -> Iterator[Span]:
        for start in (match.start() for match in _HAN.finditer(plain)):
            before = plain[max(0, start - 3) : start]
            for size in range(min(_LONGEST_HAN_NAME, len(plain) - start), 0, -1):
                words = plain[start : start + size]
                end = start + size
                if (words in self._surnames and _is_addressed(before, words, plain[end : end + 2])) or (
                    words in self._han and _is_han_name(words, before, plain[end : end + 2], self._han[words])
                ):
                    yield start, end, "PERSON"

    def _latin_spans(self, plain: str) -> Iterator[Span]:
        """Neighbouring words that are names become one span, so that a model sees one person."""
        words = list(_WORD.finditer(plain))
        owners = [self._parts.get(_name_word(word[0]).casefold(), set()) for word in words]
        last: tuple[int, int] | None = None
        for place, word in enumerate(words):
            if not owners[place]:
                continue
            beside = [
                other
                for other in (place - 1, place + 1)
                if 0 <= other < len(words) and _adjacent(plain, words, place, other)
            ]
            # Two words of one person's name beside each other are that person, whatever else they mean.
            whole = any(owners[place] & owners[other] for other in beside)
            if not (whole or _is_latin_name(plain, word)):
                continue
            start, end = word.start(), word.start() + len(_name_word(word[0]))
            if last and start - last[1] <= len(" ") and not plain[last[1] : start].strip():
                start, last = last[0], None
            if last:
                yield (*last, "PERSON")
            last = start, end
        if last:
            yield (*last, "PERSON")


def _name_word(word: str) -> str:
    return re.sub(r"'s$", "", word)


def _adjacent(plain: str, words: list[re.Match[str]], place: int, other: int) -> bool:
    first, second = sorted((place, other))
    gap = plain[words[first].end() : words[second].start()]
    return len(gap) <= len(", ") and not gap.strip(" ,._-")


def _is_addressed(before: str, surname: str, after: str) -> bool:
    """张老师, 欧阳同学; 诸葛 alone. 任 and 何 are parts of 班主任老师 and 任何老师."""
    if after in ("老师", "同学"):
        return not (
            before.endswith(("主", "任", "如", "几", "为", "历", "语", "音", "各", "班")) and len(surname) == 1
        )
    alone = surname in COMPOUND_SURNAMES and surname not in _SURNAMES_THAT_ARE_WORDS
    return alone and not re.match(_IN_HISTORY, surname + after)


def _is_han_name(words: str, before: str, after: str, is_word: bool) -> bool:
    if not is_word:
        return True
    if words in _HAN_WORDS or words[0] in _FUNCTION_CHARACTERS:
        listed = _HAN_LISTED.search(before) is not None
        given = re.search(r"[给让问请找叫由被帮]$", before) is not None and _HAN_AFTER.match(after) is not None
        return (
            listed or given or (_HAN_BEFORE.search(before) is not None and _HAN_AFTER_WORD.match(after) is not None)
        )
    return _HAN_BEFORE.search(before) is not None and _HAN_AFTER.match(after) is not None


def _is_latin_name(plain: str, word: re.Match[str]) -> bool:
    """A capital at the beginning of a sentence says nothing; a word that is also a name needs more."""
    written, folded = _name_word(word[0]), _name_word(word[0]).casefold()
    if not written[0].isupper():
        return False
    before = plain[max(0, word.start() - 16) : word.start()]
    titled = _TITLE_BEFORE.search(before) is not None
    if titled or folded in _IN_LESSONS:
        return titled
    if folded not in _ALSO_WORDS:
        return True
    after = plain[word.start() + len(written) : word.start() + len(written) + 12]
    if _SENTENCE_BEGINS.search(before):
        return _NAME_BEFORE_VERB.match(after) is not None
    return folded not in _MONTHS_AND_MORE or _NAME_BEFORE_VERB.match(after) is not None


# Words that have a capital within a sentence too.
_MONTHS_AND_MORE = frozenset(
    {"may", "april", "june", "august", "christian", "victoria", "north", "south", "east", "west", "church"}
)


# --- whoever is introduced by name ----------------------------------------------------------------------------------

_RELATIVES = (
    "爸爸|妈妈|爸|妈|父亲|母亲|哥哥|姐姐|弟弟|妹妹|爷爷|奶奶|表哥|表姐|表弟|表妹|朋友|同桌|监护人|家长|隔壁班的"
)
_ADDRESS = "老师|同学|教授|校长|主任"


def _introduction(pattern: str, hint: str, *, needs_surname: bool = False, beyond_ascii: bool = False) -> Form:
    """Return a form of names; its pattern says itself where case does not count."""

    def span(match: re.Match[str]) -> tuple[int, int] | None:
        return None if needs_surname and match["secret"][0] not in _SURNAMES else match.span("secret")

    needs = Needs(beyond_ascii=beyond_ascii)
    return Form("PERSON", re.compile(pattern), re.compile(hint), ignores_case=True, span=span, needs=needs)


# Names of people on no list, where a text says that they are names.
INTRODUCTIONS = (
    _introduction(rf"(?!{_IN_HISTORY})(?P<secret>{'|'.join(sorted(COMPOUND_SURNAMES - _SURNAMES_THAT_ARE_WORDS))})(?={_ADDRESS})", _ADDRESS, beyond_ascii=True),
    _introduction(r"(?:我叫|我的名字(?:是|叫)|我名叫|姓名\s?[::]\s?|名字叫)(?P<secret>(?:(?![的了是什])[\u3400-\u9fff]){2,3})(?![\u3400-\u9fff]{0,20}什么)", "[叫名]", beyond_ascii=True),
    _introduction(rf"(?:{_RELATIVES})(?:的?名字)?(?:叫|[:：])(?P<secret>[\u3400-\u9fff]{{2,3}})(?![\u3400-\u9fff]{{0,20}}什么)", _RELATIVES, needs_surname=True, beyond_ascii=True),
    _introduction(rf"(?:{_RELATIVES})(?P<secret>[\u3400-\u9fff]{{2,3}}?)(?=考|说|在|的|也|，|。|、|,|（|$)", _RELATIVES, needs_surname=True, beyond_ascii=True),
    _introduction(r"(?i:my name is|my name's|(?<![a-z])full name:|i am called|i'm called)\s{1,3}(?P<secret>[A-Z][\w'\-]{0,30}(?:\s{1,3}[A-Z][\w'\-]{0,30}){0,3})", r"name is|name's|name:|called"),
    _introduction(
        r"(?i:\b(?:my|his|her)\s(?:best\s)?(?:friend|cousin|brother|sister|mum|mom|dad|mother|father|aunt|auntie|uncle|neighbou?r|classmate|son|daughter)|parent:|guardian:|\bauntie?|\buncle)\s(?P<secret>[A-Z][\w'\-]{1,30}(?:\s[A-Z][\w'\-]{1,30}){0,2})",
        r"friend|cousin|brother|sister|mum|mom|dad|mother|father|aunt|uncle|neighbo|classmate|son|daughter|parent:|guardian:",
    ),
)  # fmt: skip
