"""redaction_cases.ndjson: one hundred hard cases written for this project (every name and number is made up): who the
record names, its text, the words of it that must not leave, and words that must stay. redaction_kept.ndjson: what looks
like private words and is not.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_analyzer import private_names, redaction
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.plain_text import folded, plain_reading
from edugraph_analyzer.private_forms import FORMS, Form, Needs
from edugraph_analyzer.prompting import injection
from edugraph_analyzer.redaction import Redactor, holds_placeholder


def cases(name: str) -> list[dict]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def people_of(case: dict) -> tuple[Person, ...]:
    return tuple(Person(role, value, what == "name") for role, value, what in case["people"])


def student(name: str) -> Person:
    return Person("STUDENT", name, is_name=True)


HARD = cases("redaction_cases.ndjson")


def test_there_are_a_hundred_hard_cases() -> None:
    assert len({json.dumps(case) for case in HARD}) == 100


@pytest.mark.parametrize("case", HARD, ids=[str(number) for number in range(1, len(HARD) + 1)])
def test_private_words_do_not_leave_and_come_back(case: dict) -> None:
    redactor = Redactor(people_of(case))
    redacted = redactor.redact(case["text"])
    assert not [words for words in case["private"] if words in redacted], redacted
    assert not [words for words in case["kept"] if words not in redacted], redacted
    assert redactor.restore(redacted) == case["text"]


@pytest.mark.parametrize("case", cases("redaction_kept.ndjson"))
def test_what_is_not_private_stays(case: dict) -> None:
    assert Redactor(people_of(case)).redact(case["text"]) == case["text"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Three groups of digits, with area codes that are not assigned.
        ("I am at (154)360-8360 now", "(154)360-8360"),
        ("so 168-381-4344 it is", "168-381-4344"),
        ("or 198.281.1027x86 then", "198.281.1027x86"),
        # A number with its leading 0 and without separators.
        ("try 02079460018 later", "02079460018"),
        ("0612345678 is mine", "0612345678"),
        # A field whose value is on the next line.
        ("Phone:\n4155550", "4155550"),
        ("手机：\n4155550", "4155550"),
        # Words before a number, and behind it.
        ("You can reach me on 1928 374 6551", "1928 374 6551"),
        ("He never answers at 19283746551", "19283746551"),
        ("Ann, 19283 74655 mobile", "19283 74655"),
        ("8237 4655 (fax), 3 pages", "8237 4655"),
    ],
)
def test_telephone_numbers_are_found_by_their_form_and_by_words(text: str, found: str) -> None:
    """Out: the form of three groups, of a leading 0, of words behind, the line break, or the words."""
    assert Redactor(()).redact(text) == text.replace(found, "[PHONE_1]")


@pytest.mark.parametrize(
    "text",
    [
        "so 300-200-1000 = -900",
        "3*300-200-1000 is negative",
        "the ISBN 0306406152",
        "0.0123456789 and 0123456789%",
        "0000000000 and 0101010101",
        "1234567 people have a mobile plan",
        "We reach 1000000 of them, then contact 2000000 more",
        "12345678 is a large number",
    ],
)
def test_numbers_of_exercises_are_not_telephone_numbers(text: str) -> None:
    """Out: the look at calculations, at books, or at the end of a line."""
    assert Redactor(()).redact(text) == text


@pytest.mark.parametrize(
    "text", ["Date of birth: {}", "DOB {}", "birth date {}", "出生日期：{}", "D.O.B. {}"]
)
@pytest.mark.parametrize("date", ["1913-04-09", "09/04/1913", "9 April 1913"])
def test_a_date_in_a_form_is_a_birth_date_in_any_year(text: str, date: str) -> None:
    """Out: the form of `_BIRTH_FIELD`."""
    assert Redactor(()).redact(text.format(date)) == text.format("[BIRTHDATE_1]")


def test_birth_dates_of_history_stay() -> None:
    for text in ("Emmy Noether was born on 23 March 1882.", "Date of birth: 23 March 1882"):
        assert Redactor(()).redact(text) == text


def test_the_same_text_of_two_students_is_one_text() -> None:
    texts = [Redactor((student(name),)).redact(f"{name} 不会通分") for name in ("王小明", "赵一诺")]
    assert texts[0] == texts[1] == "[STUDENT_1] 不会通分"


def test_a_placeholder_that_the_text_writes_itself_is_not_taken_for_ours() -> None:
    redactor = Redactor((student("Alice"),))
    redacted = redactor.redact("[STUDENT_1] said hi to Alice")
    assert redacted == "[STUDENT_1] said hi to [STUDENT_2]"
    assert redactor.restore(redacted) == "[STUDENT_1] said hi to Alice"


@pytest.mark.parametrize("written", ["[student_1]", "【STUDENT_1】", "STUDENT_1", "(Student 1)"])
def test_placeholders_are_known_however_a_model_writes_them(written: str) -> None:
    redactor = Redactor((student("Alice"),))
    redactor.redact("Alice")
    assert redactor.restore(f"{written} is stuck") == "Alice is stuck"
    assert holds_placeholder(written)


def test_the_same_words_get_the_same_placeholder_in_all_sections() -> None:
    redactor = Redactor((student("Alice"),))
    assert (
        redactor.redact("Alice?") + redactor.redact("Yes, Alice") == "[STUDENT_1]?Yes, [STUDENT_1]"
    )


KINDS_OF_PARTS = (
    ("Emin", "Sam", "Anne-Marie", "Li", "O'Neil", "x"),
    ("王", "小明", "欧阳静", "Sam", "Ёлкин"),
    ("S", "S0104", "517", "20260131", "12345678"),
)
BETWEEN = ("", " ", "-", ".", ", ")
SPELLINGS = (str.swapcase, str.lower, lambda part: part.replace("i", "ı"), lambda part: part)


@st.composite
def people_and_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A name or an id, and a text that holds some of its parts in another order, case and spelling."""
    parts = draw(
        st.lists(st.sampled_from(draw(st.sampled_from(KINDS_OF_PARTS))), min_size=1, max_size=3)
    )
    told = draw(st.lists(st.sampled_from((*parts, "学号", "Student No", "id")), max_size=3))
    spelled = [draw(st.sampled_from(SPELLINGS))(part) for part in told]
    return draw(st.sampled_from(BETWEEN)).join(parts), draw(st.sampled_from(BETWEEN)).join(spelled)


@settings(max_examples=300)
@given(given_pair=people_and_texts(), is_name=st.booleans())
@example(given_pair=("王小明", "小明同学"), is_name=True)
@example(given_pair=("Sam Emin", "emın"), is_name=True)
@example(given_pair=("S-20260131", "20260131"), is_name=False)
def test_no_place_of_a_person_is_passed_over_unread(
    given_pair: tuple[str, str], is_name: bool
) -> None:
    """A text that holds no part of a person is not searched; searched all the same, it would give nothing.

    Out: `_FOLDED_BY_RE`, or any list in `_parts_of_any_match`.
    """
    value, text = given_pair
    person, plain = Person("STUDENT", value, is_name), plain_reading(text)[0]
    searched = [
        (*match.span(), person.role)
        for pattern in private_names._patterns_of(person)
        for match in pattern.finditer(plain)
        if match.end() > match.start()
    ]
    assert list(private_names.own_names(plain, folded(plain), [person])) == searched


ALL_FORMS = (*FORMS, *private_names.INTRODUCTIONS)
each_form = pytest.mark.parametrize(
    "form", ALL_FORMS, ids=[f"{n}-{each.tag}" for n, each in enumerate(ALL_FORMS)]
)


def passes_guards(form: Form, text: str) -> bool:
    hinted = form.hint.search(folded(text) if form.ignores_case else text)
    return hinted is not None and form in redaction._forms_that_may_match(Needs.met_by(text))


@pytest.mark.thorough
@each_form
@settings(
    max_examples=10, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_match_of_a_form_is_passed_over_unread(form: Form, data: st.DataObject) -> None:
    """Whatever the pattern of a form matches has the form's hint and what the form needs.

    Out: `folded`, or that `Needs` clamps what a text has.
    """
    told = data.draw(st.from_regex(form.pattern).map(lambda text: plain_reading(text)[0]))
    for text in (told, told.swapcase()):
        assert form.pattern.search(text) is None or passes_guards(form, text)


# A text with the fewest digits for each form that needs any, in the order of the forms.
FEWEST_DIGITS = (
    "1.1.1.1",
    "12 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 x",
    "100000000000000",
    "A123456(A)",
    "A112345678",
    "S1234567D",
    "AB 12 34 56 C",
    "123-12-1234",
    "passport 1bbbb",
    "abcdef12g12h123i",
    "12345678z",
    "x1234567z",
    "123.123.123-12",
    "2123 1234 1234",
    "123456-1123456",
    "1 12 12 1a 123 123 12",
    "abcd123456habcdea1",
    "+1 1 1 1 1 1 1",
    "130 1234 1234",
    "1 3 1 1 1 1 1 1 1 1 1",
    "(01) 12",
    "400 123 123",
    "212-212-1234",
    "112-112-1234",
    "0123456789",
    "1 2 3 4 5 6 7 fax",
    "phone 1 1 1 1 1 1 1",
    "3123-1234-1234-1234",
    "1 234 567",
    "3412-123456-12345",
    "GB12ABCDABCD",
    "id 1ab",
    "stu12",
    "a123456",
    "2001123456",
    "1 High Street",
    "Calle Mayor 1",
    "P.O. Box 1",
    "A1 1AA",
    "dob may 1",
    "born may 1",
    "may 1 born",
    "京AA1AAA",
    "AB12 CDE",
)


COUNTED = [form for form in FORMS if form.needs.digits]


@pytest.mark.parametrize(
    ("form", "text"), list(zip(COUNTED, FEWEST_DIGITS, strict=True)), ids=FEWEST_DIGITS
)
def test_a_form_needs_no_more_digits_than_what_it_matches_has(form: Form, text: str) -> None:
    """Out: one digit more, or less, than any form needs."""
    assert form.pattern.search(text)
    assert form.needs[:2] == Needs.met_by(text)[:2]
    assert passes_guards(form, text)


@each_form
def test_each_word_that_a_form_is_found_by_is_in_its_hint(form: Form) -> None:
    """Out: any word of a hint."""
    words = re.findall(r"[\w' .-]+", re.sub(r"\\s\??", " ", form.pattern.pattern).replace("?", ""))
    for word in words:
        for rest in (" 12345678", ":ab_12345", " 1990-01-01", " Sam", "王小明"):
            for text in (f"{word}{rest}", f"1990-01-01 {word}", f"my {word} Sam", f"欧阳{word}"):
                assert form.pattern.search(text) is None or passes_guards(form, text), text


@settings(
    max_examples=50, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(told=st.from_regex(injection._SPEAKS_TO_MODEL))
def test_no_words_to_the_model_are_passed_over_unread(told: str) -> None:
    """Out: any word of `_WORDS_TO_MODEL`."""
    plain = plain_reading(told)[0]
    assert injection.speaks_to_model(told) == (injection._SPEAKS_TO_MODEL.search(plain) is not None)


@pytest.mark.parametrize(
    "text", ["谢谢赵一诺", "谢谢欧阳静", "赵一诺", "谢谢赵老师", "thanks to Noel"]
)
def test_a_text_may_end_with_the_name_of_a_member(text: str) -> None:
    """Out: that a name is no longer than the rest of the text."""
    redactor = Redactor((), [CourseNames(["赵一诺", "欧阳静", "Noel Zhao"])])
    redacted = redactor.redact(text)
    assert "PERSON_1" in redacted
    assert redactor.restore(redacted) == text


@pytest.mark.parametrize(
    "written",
    ["Quill\u043en Z\u0435phyr", "\u0395rin", "Q\u3164uillon", "Quil\u1160lon", "\u041ca\u0445"],
)
def test_letters_that_look_like_others_hide_no_name(written: str) -> None:
    """Out: `_in_one_script` or `_FILLERS`."""
    people = tuple(map(student, ("Quillon Zephyr", "Erin Max")))
    redacted = Redactor(people).redact(
        f"{written} hit me, \u0438 \u043e\u043d \u0441\u043aa\u0437a\u043b"
    )
    assert redacted.startswith("[STUDENT_1] hit me")
    assert redacted.endswith("\u0438 \u043e\u043d \u0441\u043aa\u0437a\u043b")


def test_a_word_of_another_script_is_not_read_as_a_latin_one() -> None:
    """Out: `_LATIN` in `_in_one_script`."""
    russian = "\u0420\u043e\u0445\u0430"
    assert Redactor((student("Poxa Berg"),)).redact(f"Poxa, {russian}") == f"[STUDENT_1], {russian}"


@pytest.mark.parametrize(
    "gap", ["**", "_", " ~ ", "\u2022", "\U0001f600", "\u2764\ufe0f", " - ", ". "]
)
def test_signs_between_the_groups_hide_no_mobile_number(gap: str) -> None:
    """Out: a sign of `_GAP`."""
    written = gap.join(("138", "1234", "5678"))
    assert Redactor(()).redact(f"call {written} now") == "call [PHONE_1] now"
    assert Redactor(()).redact(f"so 13{gap}8 = {gap}5") == f"so 13{gap}8 = {gap}5"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("QQ 12 34 56 78", "[ACCOUNT_1]"),
        ("QQ号:1 2 3 4 5 6 7 8", "[ACCOUNT_1]"),
        ("扣扣 2876-54321", "[ACCOUNT_1]"),
        ("student number 20 24 03 17", "[STUDENTID_1]"),
        ("学号 2 0 2 4 0 3", "[STUDENTID_1]"),
        ("座机 010 - 8888 - 7777", "[PHONE_1]"),
    ],
)
def test_a_number_in_groups_of_any_size_is_found_whole(text: str, found: str) -> None:
    """Out: the groups of one and two digits in ACCOUNT or STUDENTID, or the number of signs in PHONE."""
    redacted = Redactor(()).redact(text)
    assert redacted.endswith(found)
    assert not any(character.isdigit() for character in redacted.removesuffix(found))


@pytest.mark.parametrize("text", ["QQ 3 4", "student number 3 of 12", "call 3 - 4 times"])
def test_few_digits_in_groups_stay(text: str) -> None:
    """Out: the look ahead for five digits."""
    assert Redactor(()).redact(text) == text
