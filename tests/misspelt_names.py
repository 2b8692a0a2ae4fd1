"""Made questions that name a person in a wrong way, or a person on no list: how many of these names would leave.

The course has 300 people with made names. Each question is judged by what the analyzer does before it asks a model.
"""

import re
from collections.abc import Iterator, Sequence
from random import Random

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.name_forms import GIVEN_CHARACTERS, pinyin_of, words_in
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.wording.usual_words import has_word_near_a_name, only_usual_words

PEOPLE = 150
QUESTIONS = {
    "en": (
        "How is {} doing?",
        "{} needs help, what next?",
        "Show me all records of {}",
        "What should {} learn next?",
        "did {} improve since monday",
    ),
    "zh": (
        "{}的学习情况如何？",
        "给我看{}的所有作答",
        "{}要学会勾股定理，接下来该学什么？",
        "{}最近一周表现怎么样？",
        "为什么{}老是做错分数题？",
        "请问{}需要帮助吗",
    ),
}
_SURNAMES = [
    "Smith",
    "Johnson",
    "Williams",
    "Garcia",
    "Miller",
    "Davis",
    "Rodriguez",
    "Wilson",
    "Anderson",
    "Taylor",
    "Moore",
    "Jackson",
    "Thompson",
    "Walker",
    "Scott",
    "Nguyen",
    "Campbell",
    "Keller",
    "Fischer",
    "Weber",
    "Okonkwo",
    "Adeyemi",
    "Kowalski",
    "Novak",
    "Ivanov",
    "Hansen",
    "Dubois",
    "Rossi",
    "Yilmaz",
    "Singh",
    "Patel",
]
_UNLISTED_SURNAMES = ("Brzezinski", "Abernathy", "Quist", "Lindqvist", "Sutherland", "Okafor")
_HAN_SURNAMES = (
    "王李张刘陈杨赵吴周徐孙马朱胡郭林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余杜叶程魏苏吕丁"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def leaving(language: str) -> tuple[int, int]:
    """Return how many of the made names of a language would leave, and how many there are."""
    random = Random(language)
    first_names = sorted(words_in("first.txt"))
    latin = [
        f"{random.choice(first_names).title()} {random.choice(_SURNAMES)}" for _ in range(PEOPLE)
    ]
    han = [_han_name(random) for _ in range(PEOPLE)]
    course = [CourseNames([*latin, *han])]
    if language == "en":
        names = list(_wrong_in_letters(random, latin, first_names))
    else:
        names = list(_wrong_in_han(random, han))
    number = 0
    left = 0
    for name in names:
        for question in QUESTIONS[language]:
            number += 1
            if _leaves(question, name, course):
                left += 1
    return left, number


def _leaves(question: str, name: str, course: Sequence[CourseNames]) -> bool:
    if question[0].islower():
        name = name.lower()
    redactor = Redactor((), course)
    redacted = redactor.redact(question.format(name))
    if redactor.originals or has_word_near_a_name(redacted, course):
        return False
    sent = only_usual_words(redacted)
    return any(re.search(rf"(?<![a-z]){part}(?![a-z])", sent) for part in name.split())


def _wrong_in_letters(
    random: Random, people: Sequence[str], first_names: Sequence[str]
) -> Iterator[str]:
    """Yield a part of each name with one edit, then first names alone, and with a surname."""
    for name in people:
        part = random.choice(name.split())
        place = random.randrange(1, len(part))
        behind = random.choice((part[place + 1 :], part[place:]))
        yield part[:place] + random.choice((random.choice(_LETTERS), "")) + behind
    for _ in range(PEOPLE):
        first = random.choice(first_names).title()
        yield first
        yield f"{first} {random.choice(_UNLISTED_SURNAMES)}"


def _wrong_in_han(random: Random, people: Sequence[str]) -> Iterator[str]:
    """Yield each name with another character, and with one that sounds alike, and names on no list."""
    alike: dict[str, list[str]] = {}
    for character in GIVEN_CHARACTERS:
        for _, (syllable,) in pinyin_of(f"王{character}"):
            alike.setdefault(syllable, []).append(character)
    for name in people:
        last = name[-1]
        if len(name) > len("王伟"):
            yield name[:-1] + random.choice(GIVEN_CHARACTERS)
        _, (syllable,) = pinyin_of(f"王{last}")[0]
        others = [each for each in alike[syllable] if each != last]
        if others:
            written = name[:-1] + random.choice(others)
            yield written
            if len(name) > len("王伟"):
                yield written[1:]
        yield _han_name(random)


def _han_name(random: Random) -> str:
    given = [random.choice(GIVEN_CHARACTERS) for _ in range(random.choice((1, 2, 2)))]
    return random.choice(_HAN_SURNAMES) + "".join(given)
