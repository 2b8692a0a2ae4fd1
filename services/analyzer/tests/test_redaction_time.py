"""No text is so hostile that its redaction takes more than time in proportion to its length."""

import time
from collections.abc import Callable
from functools import cache

import pytest

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.plain_text import folded
from edugraph_analyzer.private_forms import FORMS
from edugraph_analyzer.private_names import INTRODUCTIONS, own_names
from edugraph_analyzer.redaction import Redactor
from edugraph_common.runtime.shared_state.course_members import MOST_MEMBERS

CHARACTERS = 50_000
MOST_SECONDS = 1.0  # of CPU; patterns without bounds take a minute, the present ones at most 0.1 s on a slow machine
# A whole redaction beside 3,100 members takes at most 0.3 s on a slow machine, and 0.75 s on a busy one. Without the
# lengths by first character it takes 2.6 s there.
MOST_SECONDS_OF_ALL = 1.5
UNITS_OF_NAMES = (
    "王·",
    "王小明说",
    "和王小明",
    "王王明",
    "老师王",
    "爸爸王小",
    "王小明老师",
    "，王明",
    "王",
    "김",
    "김민",
    "क ",
    "ア",
    "а",
    "a'",
    "Ms. Aa-",
    "Aa Aa ",
    "aA",
    "Will ",
)
UNITS = (
    *UNITS_OF_NAMES,
    "a",
    "a-",
    "a.",
    "a a ",
    "1",
    "1 ",
    "1-",
    "1.",
    "+1",
    "(1",
    "://",
    "www.a.",
    "::",
    "1:",
    "A1 ",
    "Ab ",
    "GB00 ",
    "微信",
    "学号",
    "南路",
    "南路1号",
    "一",
    "护照a",
    "出生a",
    "born a",
    "1月",
    "2010-1-",
    "Calle a ",
    "1 A ",
    "京A",
    "1 234 ",
    "12 3",
    "Flat 1, A ",
    "1 Aaa ",
    "1 rue ",
    "路1-",
    "里1",
    "王",
    "王 ",
    "欧阳",
    "妈妈",
    "my friend A",
    "Alice ",
    "电话 ",
    "reg A",
    "[STUDENT_1",
    "艾特",
    "点",
)
HOSTILE = [(unit * (CHARACTERS // len(unit) + 1))[: CHARACTERS - 1] + "@" for unit in UNITS]
PEOPLE = (
    Person("STUDENT", "王小明", is_name=True),
    Person("STUDENT", "Alice van der Berg-Smith", is_name=True),
    Person("STUDENT", "S-4110653-11", is_name=False),
    Person("STUDENT", "12", is_name=False),
)
ALL_FORMS = (*FORMS, *INTRODUCTIONS)


@cache
def large_course() -> CourseNames:
    names = [f"王{chr(0x4E00 + number)}{chr(0x5E00 + number)}" for number in range(MOST_MEMBERS)]
    return CourseNames(names)


folded_once = cache(folded)  # as a redactor does for all forms of one text


def slowest(redact: Callable[[str], object]) -> tuple[float, str]:
    found = (0.0, "")
    for text in HOSTILE:
        began = time.process_time()
        redact(text)
        found = max(found, (time.process_time() - began, text[:12]))
        assert found[0] < MOST_SECONDS, found
    return found


@pytest.mark.parametrize(
    "form", ALL_FORMS, ids=[f"{n}-{each.tag}" for n, each in enumerate(ALL_FORMS)]
)
def test_each_form_takes_time_in_proportion_to_the_text(form) -> None:
    slowest(lambda text: list(form.spans(text, folded_once(text))))


def test_names_take_time_in_proportion_to_the_text() -> None:
    course = large_course()
    slowest(lambda text: [*own_names(text, folded(text), PEOPLE), *course.spans(text)])


def hostile_members() -> list[str]:
    """Return names of 3,100 people: many begin alike and have each length, so that most places of a text may begin one."""
    of_each_length = [f"王{chr(0x4E00 + number) * (number % 40 + 1)}" for number in range(1_200)]
    of_one_character = ["王" * (2 + number) for number in range(39)]
    in_letters = [
        f"A{'ab'[number % 2] * (number % 9 + 1)} B{number % 7 * 'a'} {chr(97 + number % 26)}"
        for number in range(900)
    ]
    in_cyrillic = [
        f"А{chr(0x430 + number % 30)}{chr(0x430 + number // 30)} Иванов" for number in range(500)
    ]
    in_korean = [f"김{chr(0xAC00 + number)}민" for number in range(461)]
    return [*of_each_length, *of_one_character, *in_letters, *in_cyrillic, *in_korean]


def test_a_whole_redaction_beside_many_members_ends_in_time() -> None:
    """Out: the lengths by first character, or a bound of a repetition."""
    course = CourseNames(hostile_members())
    for text in HOSTILE[: len(UNITS_OF_NAMES)]:
        redactor = Redactor(PEOPLE, [course])
        began = time.process_time()
        redactor.redact(text)
        assert time.process_time() - began < MOST_SECONDS_OF_ALL, text[:12]


def test_placeholders_are_put_in_and_taken_out_in_time() -> None:
    text = " ".join(f"[PHONE_{number}] a{number}@b.com" for number in range(CHARACTERS // 24))
    redactor = Redactor(PEOPLE, [large_course()])
    began = time.process_time()
    assert redactor.restore(redactor.redact(text)) == text
    assert time.process_time() - began < MOST_SECONDS


def test_a_course_has_no_more_names_than_it_may() -> None:
    with pytest.raises(ValueError, match="may have 5000"):
        CourseNames(map(str, range(MOST_MEMBERS + 1)))
