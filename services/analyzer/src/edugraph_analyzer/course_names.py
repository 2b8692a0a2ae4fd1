"""Find the names of a course's members in texts.

A course has up to 5,000 names. They are looked up word by word, so that the time for a text does not grow with the
course. A name that is also a word counts only where it is used as a name.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import pairwise, permutations
from operator import itemgetter
from typing import NamedTuple

from edugraph_analyzer.name_forms import (
    COMPOUND_SURNAMES,
    HAN,
    LETTERS,
    POINTS,
    UNSPACED,
    WORDS,
    composed,
    letters_of,
    parts_of,
    pinyin_of,
    plain_of,
    split_name,
    words_in,
)
from edugraph_analyzer.plain_text import plain_reading
from edugraph_analyzer.private_forms import Span
from edugraph_analyzer.private_names import (
    ADDRESSED,
    IN_HISTORY,
    SURNAMES_THAT_ARE_WORDS,
    TITLES_BEFORE,
    TITLES_BEHIND,
    begins_name,
)
from edugraph_common.runtime.shared_state.course_members import MOST_MEMBERS

_TAG = "PERSON"


class _Proof(IntEnum):
    """The evidence that a text must have beside the characters of a name, so that they count as a name."""

    NONE = 0
    # The characters on both sides are among those that stand beside names.
    NEIGHBOURS = 1
    # The characters beside the name show that a person is meant.
    ADDRESS = 2


# --- Chinese, Japanese, Korean and other scripts without spaces
# -------------------------------------------------------

_UNSPACED_RUN = re.compile(rf"[{UNSPACED}](?:[ \t_+\-{POINTS}]{{0,2}}[{UNSPACED}]){{0,}}")
_UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")
_LONGEST_UNSPACED_NAME = 40
_KOREAN_VOWEL_OR_FINAL = re.compile("[\u1160-\u11ff]")
# These stand before a name in Chinese, and seldom before the same characters as a word.
_HAN_BEFORE = re.compile(
    r"(?:^|[^\u4e00-\u9fff]"
    # Prepositions and verbs.
    r"|[和跟与同给让问请找叫由被是对向把帮约陪像喊等见说看教骂打]|帮助"
    # Persons, conjunctions, days and thanks.
    r"|同桌|还有|老师|同学|以及|或者|今天|昨天|谢谢)$"
)
# These stand behind a name in Chinese, and seldom behind the same characters as a word.
_HAN_AFTER = re.compile(
    r"$|[^\u4e00-\u9fff]|同学|老师"
    # Verbs, adverbs and conjunctions of school.
    r"|说|问|已|把|借|和|跟|与|也|在|拿|看|做|写|考|得|没|抄|今天|昨天|上课"
    r"|的|是|用|帮|答|觉得|认为|订正|你|他|她|我|不|都|就|还|会|能|想|要"
    r"|给|让|被|有|又|来|去|打|妈|爸|家|到|刚|总|最|很|真|太|这|那|怎|一起"
    r"|之前|以后|可以|应该|喜欢|告诉|比|请|快|先|再|才|只"
)
# If the characters of a name are also a word, one of these must stand behind them.
_HAN_AFTER_WORD = re.compile(
    r"(?:同学|老师|说|问|已经|把|借|跟|也|在|拿|抄|订正|看见|[:：、,，@]"
    r"|他[爸妈]|她[爸妈]|[爸妈]|家长|你[能可看来说帮]|告诉|一起|帮(?!助))"
)
_TITLE_IN_HAN_BEFORE = re.compile(f"(?:{TITLES_BEFORE})[ :]?$")
_TITLE_IN_HAN_BEHIND = re.compile(f" ?(?:{TITLES_BEHIND})")
_HAN_LISTED = re.compile(r"、$")
_GIVEN_TO = re.compile(r"[给让问请找叫由被帮约陪喊]$")
# A name of two characters that begins with one of these is more often a word, or parts of two words.
_FUNCTION_CHARACTERS = frozenset(
    "于和时方常高成万何任白江温许关安平程田金石水云向易明文古项单解连全车同从对"
)
# A given name that begins or ends with one of these is often parts of two other words: 小天 in 小天使.
_EDGE_CHARACTERS = frozenset("一二三天子小大中学可以若如之心成人生家年月日时来去有长多好公本")
_COMMON_CHARACTERS = _EDGE_CHARACTERS | frozenset(
    "明东西南北华平安和方正新文高光海山水江河金石田林白春秋夏冬欢乐国民军兴功力量动物理化信义达"
    "向前后进阳星云雨雪风雷洋"
)
_CHARACTERS_BEFORE = 5
# These surnames are prepositions and other words before a title: 请向老师.
_NO_TITLED_SURNAMES = frozenset("向和让同从对连全时可")


# --- scripts with spaces
# ----------------------------------------------------------------------------------------------

_JOINT = re.compile(rf"[\s+,'_\-{POINTS}]{{0,3}}")
# A name has at most this many runs of letters.
_MOST_RUNS = 7
_LONGEST_NAME = 80
_SHORTEST_WITHOUT_CAPITAL = 3
_TITLE_BEFORE = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Teacher|Coach"
    r"|Herr|Frau|Mme|Monsieur|Señora?|Senora?)\b\.?)\s{1,2}$",
    re.IGNORECASE,
)
_NAME_BEFORE_VERB = re.compile(
    r"(?:'s\b(?! law)|:|,?\sand\s(?:I|[A-Z])"
    # A person is addressed: "Will, can you".
    r"|,\s(?:can|could|will|would|please|you|your|do|did|are|how|what|why|try|let|that"
    r"|good|nice|well|great|thanks?)\b"
    # A person does something: "Will told".
    r"|\s(?:told|says|said|asked|got|wrote|never|dropped|helped|thinks|sent|took|missed|gave|showed"
    r"|is|was|and|has|had|did|does|went|came|knows?|likes?|loves?|wants?|keeps?|kept|copied|answered"
    r"|explained|failed|passed|solved|called|texted|hit|lent|borrowed)\b)"
)
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;。！？：\n\"“(])\s{0,3}$")
# A person is addressed at the end of a sentence, or at its beginning.
_SPOKEN_TO = re.compile(r",\s{0,2}$")
_ENDS = re.compile(r"\s{0,2}(?:[.!?。！？]|$)")
_ALL_BEGINS = re.compile(r"(?:^|[.!?。！？\n])\s{0,3}$")
# Words that have a capital inside a sentence too.
_MONTHS_AND_MORE = words_in("always_capitals.txt")
# Surnames that name a law, a unit or a person of history. They name a member only behind a title or another name.
_IN_LESSONS = words_in("in_lessons.txt")
# Particles of names, which name nobody alone.
_PARTICLES = words_in("particles.txt")
# Frequent first names. The persons of word problems have these.
_FIRST_NAMES = words_in("first.txt")
# A word problem asks for a quantity, has at least two quantities, and tells a story. It speaks neither to a person
# nor about a lesson.
_ASKS_FOR_QUANTITY = re.compile(
    r"\bhow\s(?:many|much)\b|\bwhat\s(?:is|was|are|were)\s(?:the|his|her|their)\s"
    r"(?:total|average|sum|difference|product|cost|price|perimeter|area|volume|age|number|amount)\b",
    re.IGNORECASE,
)
_QUANTITIES = re.compile(
    r"\d+|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty"
    r"|hundred|thousand|half|twice|thrice|double|triple)\b",
    re.IGNORECASE,
)
_FEWEST_QUANTITIES = 2
_OF_A_LESSON = re.compile(
    r"\b(?:I|me|my|mine|we|us|our|ours|you|your|yours|let's"
    r"|say|says|said|told|tells?|asks?|asked|thinks?|thought|answer(?:s|ed)?|explain(?:s|ed)?"
    r"|cop(?:y|ies|ied)|solves?|solved|writes?|wrote|wrong|correct|right|mistakes?|homework|classmates?"
    r"|teachers?|students?|pupils?|tutors?|tests?|quiz|exams?|exercise|lesson|step)\b",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"[^\n]+")
_MARK_BEFORE = re.compile(r"[,:;@\"'(\[]\s{0,2}$")
_MARK_BEHIND = re.compile(r"\s{0,2}[,:;@\"()\]]")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_CYRILLIC_ENDING = re.compile(
    "(?:ого|ому|ыми|ими|ами|ом|ой|ою|ем|ей|ым|им|ую|ая|их|ых|[аеиоуыюяьйё])$"
)
_SHORTEST_STEM = 3


class _Run(NamedTuple):
    """A run of letters in a text. `letters` are in lower case."""

    start: int
    end: int
    letters: str


class MembersUnknown(Exception):
    """The importer has not sent yet what the analysis needs, so the pack must wait.

    The facts of the courses in `course_ids` are missing. If it is empty, the list of restricted students is missing.
    """

    def __init__(self, course_ids: tuple[str, ...]) -> None:
        super().__init__()
        self.course_ids = course_ids


class CourseNames:
    """The names of up to 5,000 members of a course, ready to be looked up in many texts."""

    def __init__(self, names: Iterable[str]) -> None:
        plain = [plain_reading(name)[0].strip() for name in dict.fromkeys(names)]
        if len(plain) > MOST_MEMBERS:
            raise ValueError(
                f"a course has {len(plain)} names for the redaction, and may have {MOST_MEMBERS}"
            )
        # whole name or part of a name, without points and spaces -> evidence that it needs
        self._unspaced: dict[str, _Proof] = {}
        # The whole names among them. A text may have spaces between their characters.
        self._undivided: set[str] = set()
        # first character -> lengths of the names in `_unspaced` that begin with it, longest first
        self._sizes: dict[str, list[int]] = {}
        self._surnames: set[str] = set()
        # Letters of several parts of one name, in lower case and without spaces and hyphens.
        self._whole: set[str] = set()
        # Letters of one part of a name, in lower case.
        self._parts: set[str] = set()
        # The parts that may be written as several runs of letters: O'Brien, Si Qi.
        self._divided: set[str] = set()
        # Parts in Cyrillic without their endings.
        self._stems: set[str] = set()
        # Letters of the parts that the names themselves have, in lower case. `_parts` has readings in pinyin as well.
        self.spelt_parts: set[str] = set()
        for name in plain:
            if _UNSPACED_CHARACTER.search(name):
                self._add_unspaced(name)
            if LETTERS.search(name):
                self._add_spaced(name)
        sizes: dict[str, set[int]] = {}
        for name in self._unspaced:
            sizes.setdefault(name[0], set()).add(len(name))
        self._sizes = {first: sorted(lengths, reverse=True) for first, lengths in sizes.items()}

    @property
    def unspaced_names(self) -> frozenset[str]:
        """The whole names in scripts without spaces, without points."""
        return frozenset(self._undivided)

    def spans(self, plain: str) -> Iterator[Span]:
        """Yield each place of a plain text that names a member."""
        if self._unspaced:
            yield from self._unspaced_spans(plain)
        if self._whole or self._parts:
            yield from self._spaced_spans(plain)

    # Names in scripts without spaces.

    def _add_unspaced(self, name: str) -> None:
        parts = [composed(part) for part in parts_of(name) if _UNSPACED_CHARACTER.search(part)]
        whole = "".join(parts)
        self._undivided.add(plain_of(whole))
        is_short = len(whole) == len("于洋")
        starts_as_word = (
            is_short and whole[0] in _FUNCTION_CHARACTERS and whole[1] in _COMMON_CHARACTERS
        )
        if whole in WORDS or starts_as_word:
            self._put(whole, _Proof.ADDRESS)
        elif is_short and whole[-1] in _EDGE_CHARACTERS:
            self._put(whole, _Proof.NEIGHBOURS)
        else:
            self._put(whole, _Proof.NONE)
        if len(parts) == 1:
            surname, given = split_name(whole)
            if HAN.match(whole) or _KOREAN_VOWEL_OR_FINAL.search(name):
                self._add_surname(surname)
                self._add_part(given)
        else:
            for part in parts:
                self._add_part(part, stands_alone=True)
            if len(parts[0]) == 1:
                self._add_surname(parts[0])
        for surname, syllables in pinyin_of(whole):
            given = "".join(syllables)
            self._whole |= {surname + given, given + surname}
            if len(syllables) > 1:
                self._parts.add(given)
                self._divided.add(given)

    def _add_surname(self, surname: str) -> None:
        self._surnames.add(plain_of(surname))

    def _add_part(self, part: str, *, stands_alone: bool = False) -> None:
        """Add a part of a name. `stands_alone`: a space or point separates it, so that it is often used alone."""
        if len(part) == 1:
            return
        is_word = part in WORDS or part[0] in _FUNCTION_CHARACTERS
        is_edge = part[0] in _EDGE_CHARACTERS or part[-1] in _EDGE_CHARACTERS
        if len(part) > len("子涵"):
            proof = _Proof.NONE
        elif is_word and not stands_alone:
            proof = _Proof.ADDRESS
        elif is_word or is_edge:
            proof = _Proof.NEIGHBOURS
        else:
            proof = _Proof.NONE
        self._put(part, proof)

    def _put(self, name: str, proof: _Proof) -> None:
        plain = plain_of(name)[:_LONGEST_UNSPACED_NAME]
        if len(plain) > 1:
            self._unspaced[plain] = min(self._unspaced.get(plain, proof), proof)

    def _unspaced_spans(self, plain: str) -> Iterator[Span]:
        for run in _UNSPACED_RUN.finditer(plain):
            characters = run[0]
            places: Iterable[int] = range(run.start(), run.end())
            if not _UNSPACED_CHARACTER_ALONE.fullmatch(characters):
                places = [
                    run.start() + found.start()
                    for found in _UNSPACED_CHARACTER.finditer(characters)
                ]
                characters = "".join(_UNSPACED_CHARACTER.findall(characters))
            yield from self._names_in_run(plain, characters, list(places))

    def _names_in_run(self, plain: str, characters: str, places: list[int]) -> Iterator[Span]:
        for index, first in enumerate(characters):
            start = places[index]
            for size in self._sizes.get(first, ()):
                if index + size > len(characters):
                    continue
                end = places[index + size - 1] + 1
                name = characters[index : index + size]
                proof = self._unspaced.get(name)
                has_gap = end - start > size
                if has_gap and name not in self._undivided:
                    continue
                if proof is not None and _is_unspaced_name(plain, start, end, proof):
                    yield start, end, _TAG
                    break
            for size in (2, 1):
                surname = characters[index : index + size]
                if surname in self._surnames and _is_addressed(plain, start, start + size, surname):
                    yield start, start + size, _TAG
                    break

    # Names in scripts with spaces.

    def _add_spaced(self, name: str) -> None:
        parts = []
        for part in re.split(rf"[\s,_{POINTS}]+", name)[:_MOST_RUNS]:
            runs = letters_of(part)
            if not runs:
                continue
            letters = "".join(runs)
            parts.append(letters)
            if letters in _PARTICLES or part.islower():
                continue
            self._add_single(letters)
            if len(runs) > 1:
                self._divided.add(letters)
            for run in runs:
                if (
                    len(runs) > 1
                    and len(run) >= _SHORTEST_WITHOUT_CAPITAL
                    and run not in _PARTICLES
                ):
                    self._add_single(run)
        for first in range(len(parts)):
            for beyond in range(first + 2, len(parts) + 1):
                self._whole.add("".join(parts[first:beyond]))
        named = [part for part in parts if part not in _PARTICLES]
        self._whole |= {first + second for first, second in permutations(named, 2)}
        if len(parts) > 1:
            self._whole.add("".join([parts[-1], *parts[:-1]]))

    def _add_single(self, letters: str) -> None:
        if len(letters) == 1:
            return
        self._parts.add(letters)
        self.spelt_parts.add(letters)
        if _CYRILLIC.match(letters):
            stem = _CYRILLIC_ENDING.sub("", letters)
            if len(stem) >= _SHORTEST_STEM:
                self._stems.add(stem)

    def _spaced_spans(self, plain: str) -> Iterator[Span]:
        runs = [_Run(*found.span(), found[0].casefold()) for found in LETTERS.finditer(plain)]
        # joins[n] says whether run n and the next run may belong to one name.
        joins = [
            bool(_JOINT.fullmatch(plain, run.end, after.start)) for run, after in pairwise(runs)
        ]
        problems = _word_problems(plain)
        index = 0
        while index < len(runs):
            size = self._longest_name_at(plain, runs, joins, index)
            is_of_story = size == 1 and _is_of_story(plain, runs[index], problems)
            if size and not is_of_story:
                yield runs[index].start, runs[index + size - 1].end, _TAG
            index += max(size, 1)

    def _longest_name_at(self, plain: str, runs: list[_Run], joins: list[bool], index: int) -> int:
        """Return the number of runs of the longest name that begins with the run at `index`, or 0."""
        longest = 0
        letters = ""
        for size in range(1, _MOST_RUNS + 1):
            letters += runs[index + size - 1].letters
            found = runs[index : index + size]
            is_whole = letters in self._whole and _is_whole_name(plain, found, letters)
            is_part = self._is_part(letters) if size == 1 else letters in self._divided
            if is_whole or (is_part and _is_part_of_name(plain, found, letters)):
                longest = size
            ends_here = index + size == len(runs) or not joins[index + size - 1]
            if ends_here or len(letters) > _LONGEST_NAME:
                break
        return longest

    def _is_part(self, letters: str) -> bool:
        if letters in self._parts:
            return True
        if not self._stems or not _CYRILLIC.match(letters):
            return False
        return letters in self._stems or _CYRILLIC_ENDING.sub("", letters) in self._stems


_UNSPACED_CHARACTER_ALONE = re.compile(f"[{UNSPACED}]+")


def _is_addressed(plain: str, start: int, end: int, surname: str) -> bool:
    """Return whether a surname names a person: 张老师, 欧阳同学, 诸葛. It names nobody in 谢谢老师 and 任何老师."""
    if ADDRESSED.match(plain, end):
        return surname not in _NO_TITLED_SURNAMES and begins_name(plain, start)
    is_compound = surname in COMPOUND_SURNAMES and surname not in SURNAMES_THAT_ARE_WORDS
    return is_compound and not re.match(IN_HISTORY, plain[start : start + 4])


def _is_unspaced_name(plain: str, start: int, end: int, proof: _Proof) -> bool:
    # The vowel and the last consonant continue a Korean syllable, so the name ends inside a syllable.
    if _KOREAN_VOWEL_OR_FINAL.match(plain, end):
        return False
    if proof is _Proof.NONE:
        return True
    before = plain[max(0, start - _CHARACTERS_BEFORE) : start]
    if _TITLE_IN_HAN_BEFORE.search(before) or _TITLE_IN_HAN_BEHIND.match(plain, end):
        return True
    has_name_before = _HAN_BEFORE.search(before) is not None
    if proof is _Proof.NEIGHBOURS:
        return has_name_before and _HAN_AFTER.match(plain, end) is not None
    if _HAN_LISTED.search(before):
        return True
    if _GIVEN_TO.search(before) and _HAN_AFTER.match(plain, end):
        return True
    return has_name_before and _HAN_AFTER_WORD.match(plain, end) is not None


def _word_problems(plain: str) -> list[tuple[int, int]]:
    """Return start and end of each paragraph that is a word problem, in order.

    An example is "Mia has 3 apples and eats 2. How many are left?".
    """
    if not _ASKS_FOR_QUANTITY.search(plain):
        return []
    problems = []
    for found in _PARAGRAPH.finditer(plain):
        paragraph = found[0]
        asks = _ASKS_FOR_QUANTITY.search(paragraph) is not None
        has_quantities = len(_QUANTITIES.findall(paragraph)) >= _FEWEST_QUANTITIES
        if asks and has_quantities and not _OF_A_LESSON.search(paragraph):
            problems.append(found.span())
    return problems


def _is_of_story(plain: str, run: _Run, problems: list[tuple[int, int]]) -> bool:
    """Return whether a first name is that of a person in a word problem.

    A name beside a comma, colon or bracket may be the name of the person who is addressed or who speaks.
    """
    if run.letters not in _FIRST_NAMES or not plain[run.start].isupper():
        return False
    problems_begun = bisect_right(problems, run.start, key=itemgetter(0))
    if problems_begun == 0:
        return False
    _, problem_end = problems[problems_begun - 1]
    if run.start >= problem_end:
        return False
    has_mark_before = _MARK_BEFORE.search(plain[max(0, run.start - 3) : run.start]) is not None
    has_mark_behind = _MARK_BEHIND.match(plain, run.end) is not None
    return not has_mark_before and not has_mark_behind


def _is_whole_name(plain: str, runs: list[_Run], letters: str) -> bool:
    """Return whether several parts of a name beside each other are the name. Words need capitals: he ran."""
    are_words = letters in WORDS or all(run.letters in WORDS for run in runs)
    if not are_words:
        return True
    return all(plain[run.start].isupper() for run in runs)


def _is_part_of_name(plain: str, runs: list[_Run], letters: str) -> bool:
    """Return whether letters that are one part of a name are used as a name.

    A capital at the beginning of a sentence proves nothing, and a word that is also a name needs more evidence.
    """
    start = runs[0].start
    end = runs[-1].end
    before = plain[max(0, start - 16) : start]
    if _TITLE_BEFORE.search(before):
        return True
    if letters in _IN_LESSONS:
        return False
    is_word = letters in WORDS or all(run.letters in WORDS for run in runs)
    first = plain[start]
    if not first.isupper():
        has_no_case = first.lower() == first.upper()
        return (has_no_case or not is_word) and len(letters) >= _SHORTEST_WITHOUT_CAPITAL
    if not is_word:
        return True
    if _SPOKEN_TO.search(before) and _ENDS.match(plain, end):
        return True
    has_comma_behind = plain[end : end + 1] == ","
    is_month_or_more = letters in _MONTHS_AND_MORE
    if has_comma_behind and not is_month_or_more and _ALL_BEGINS.search(before):
        return True
    is_in_capitals = len(letters) > 1 and plain[start:end].isupper()
    capital_proves_nothing = (
        is_in_capitals or is_month_or_more or _SENTENCE_BEGINS.search(before) is not None
    )
    if capital_proves_nothing:
        return _NAME_BEFORE_VERB.match(plain, end) is not None
    return True
