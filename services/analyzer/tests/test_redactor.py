"""How private spans become placeholders and come back, whatever finds them: here they are given."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer import redaction
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.private_forms import FORMS, MOST_DIGITS, Needs
from edugraph_analyzer.private_names import INTRODUCTIONS
from edugraph_analyzer.redaction import TAGS, Redactor, holds_placeholder

Span = tuple[int, int, str]


class Found:
    """A form of private words that finds these spans in any text."""

    def __init__(self, *spans: Span) -> None:
        self._spans = list(spans)

    def spans(self, *_text: str) -> list[Span]:
        return self._spans


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch):
    def set_forms(*spans: Span) -> None:
        monkeypatch.setattr(
            redaction, "_forms_that_may_match", lambda _: tuple(Found(span) for span in spans)
        )

    return set_forms


def test_spans_are_replaced_in_their_order_and_numbered_as_they_appear(finds) -> None:
    finds((6, 8, "PHONE"), (0, 2, "PHONE"), (3, 5, "EMAIL"))
    redactor = Redactor(())
    assert redactor.redact("ab cd ef gh") == "[PHONE_1] [EMAIL_1] [PHONE_2] gh"
    assert redactor.originals == {"[PHONE_1]": "ab", "[EMAIL_1]": "cd", "[PHONE_2]": "ef"}
    assert redactor.restore("[PHONE_2], [PHONE_1] and [PHONE_3]") == "ef, ab and [PHONE_3]"


def test_spans_that_touch_are_two_and_those_that_overlap_are_one_under_the_first_tag(finds) -> None:
    finds((0, 2, "PHONE"), (2, 4, "PHONE"))
    assert Redactor(()).redact("abcd") == "[PHONE_1][PHONE_2]"
    for spans in (((0, 3, "PHONE"), (2, 4, "EMAIL")), ((0, 3, "EMAIL"), (2, 4, "PHONE"))):
        finds(*spans)
        redactor = Redactor(())
        assert redactor.redact("abcde") == "[EMAIL_1]e"
        assert redactor.originals == {"[EMAIL_1]": "abcd"}


def test_a_span_within_another_leaves_no_rest_of_it(finds) -> None:
    finds((0, 5, "URL"), (1, 2, "PERSON"), (2, 3, "PHONE"), (4, 6, "CARD"))
    assert Redactor(()).redact("abcdefg") == "[URL_1]g"


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4), st.sampled_from(TAGS)), max_size=6),
    st.text("abc", min_size=12, max_size=12),
)
def test_no_character_of_any_span_is_left_and_all_come_back(drawn: list[Span], text: str) -> None:
    spans = [(start, min(start + length, 12), tag) for start, length, tag in drawn]
    redactor = Redactor(())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_forms_that_may_match", lambda _: (Found(*spans),))
        redacted = redactor.redact(text)
    private = {place for start, end, _ in spans for place in range(start, end)}
    rest = redaction._PLACEHOLDER.sub("", redacted)
    assert rest == "".join(char for place, char in enumerate(text) if place not in private)
    assert redactor.restore(redacted) == text


def test_the_names_of_a_course_are_private_too(finds) -> None:
    finds()
    assert (
        Redactor((), [cast("CourseNames", Found((0, 2, "PERSON")))]).redact("ab cd")
        == "[PERSON_1] cd"
    )
    assert Redactor(()).redact("ab cd") == "ab cd"


def test_the_same_words_of_one_kind_have_one_placeholder(finds) -> None:
    finds((0, 2, "PHONE"), (3, 5, "PHONE"), (6, 8, "CARD"))
    redactor = Redactor(())
    assert redactor.redact("ab ab ab") == "[PHONE_1] [PHONE_1] [CARD_1]"
    assert redactor.redact("ab ab ab") == "[PHONE_1] [PHONE_1] [CARD_1]"


def test_numbers_that_the_text_uses_itself_are_passed_over(finds) -> None:
    text = "ab cd said [PHONE_1] and phone_3"
    finds((0, 2, "PHONE"), (3, 5, "PHONE"))
    redactor = Redactor(())
    assert redactor.redact(text) == "[PHONE_2] [PHONE_4] said [PHONE_1] and phone_3"
    assert redactor.restore(redactor.redact(text)) == text


def test_one_character_that_reads_as_several_is_replaced_once(finds) -> None:
    finds((0, 1, "CARD"), (1, 2, "PHONE"))  # "㎏" reads as "kg"
    redactor = Redactor(())
    assert redactor.redact("㎏!") == "[CARD_1]!"
    assert redactor.restore("[CARD_1]!") == "㎏!"


def test_what_comes_after_such_a_character_is_replaced_all_the_same(finds) -> None:
    finds((0, 1, "CARD"), (1, 2, "PHONE"), (3, 5, "EMAIL"))
    assert Redactor(()).redact("㎏ ab") == "[CARD_1] [EMAIL_1]"


@pytest.mark.parametrize("tag", TAGS)
def test_a_placeholder_of_each_kind_is_known_in_every_bracket(finds, tag: str) -> None:
    finds((0, 2, tag))
    redactor = Redactor(())
    assert redactor.redact("ab") == f"[{tag}_1]"
    for written in (
        f"[{tag}_1]",
        f"【{tag} 1】",
        f"({tag.lower()}_1)",
        f"（ {tag}_1 ）",
        f"<{tag}_1>",
        f"{tag}_1",
    ):
        assert redactor.restore(f"x {written} y") == "x ab y"
        assert holds_placeholder(f"x {written} y")
    assert not holds_placeholder(f"{tag} alone, {tag}_x")


def test_a_placeholder_is_a_word_of_its_own() -> None:
    assert not holds_placeholder("MYSTUDENT_1")
    assert not holds_placeholder("STUDENT_123456")
    assert holds_placeholder("STUDENT_12345")
    assert holds_placeholder("STUDENTID_7")


def test_the_kinds_come_in_the_order_in_which_one_wins_over_another() -> None:
    """Prompts, docs and answers that are kept name them: docs/privacy.md says what each is."""
    assert TAGS == (
        "URL",
        "EMAIL",
        "ADDRESS",
        "STUDENT",
        "TEACHER",
        "IDNUMBER",
        "CARD",
        "PHONE",
        "ACCOUNT",
        "IP",
        "PLATE",
        "BIRTHDATE",
        "STUDENTID",
        "PERSON",
    )


def test_a_form_is_tried_on_each_text_that_has_what_it_needs_and_on_no_other() -> None:
    """Most texts have few digits, and most forms are numbers: to try all of them took most of the time."""
    for form in (*INTRODUCTIONS, *FORMS):
        digits, in_a_row, beyond_ascii = form.needs
        assert form in redaction._forms_that_may_match(form.needs)
        assert form in redaction._forms_that_may_match(
            Needs(MOST_DIGITS, MOST_DIGITS, beyond_ascii=True)
        )
        lacking = [Needs(digits - 1, MOST_DIGITS, True), Needs(MOST_DIGITS, in_a_row - 1, True)]
        lacking += [Needs(MOST_DIGITS, MOST_DIGITS, False)] if beyond_ascii else []
        assert not any(form in redaction._forms_that_may_match(each) for each in lacking)


def test_a_text_meets_what_its_digits_and_characters_meet() -> None:
    assert Redactor(()).redact("ring 13812345678, mail a@b.cn") == "ring [PHONE_1], mail [EMAIL_1]"
    assert Redactor(()).redact("no number and no name") == "no number and no name"


def test_nothing_private_is_nothing_changed(finds) -> None:
    finds()
    assert Redactor(()).redact("") == ""
    assert Redactor(()).redact("ab") == "ab"


# --- escapes of programs, and names that are spelt out -------------------------------------------------------------

ESCAPES: dict[str, Callable[[str], str]] = {
    "decimal": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "hexadecimal": lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    "twice": lambda text: "".join(f"&amp;#{ord(each)};" for each in text),
    "one of them": lambda text: f"{text[:-1]}&#{ord(text[-1])};",
    "an address": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
}
PRIVATE = {
    "王小明": Redactor((Person("STUDENT", "王小明", is_name=True),)),
    "Kowalczyk": Redactor((Person("STUDENT", "Ada Kowalczyk", is_name=True),)),
    "欧阳思齐": Redactor((), members=(CourseNames(["欧阳思齐"]),)),
    "Zephyrine": Redactor((), members=(CourseNames(["Zephyrine Quill"]),)),
    "13812345678": Redactor(()),
    "mia.berg@example.org": Redactor(()),
}


@pytest.mark.parametrize("way", ESCAPES)
@pytest.mark.parametrize("private", PRIVATE)
@pytest.mark.parametrize("around", ["{}", "昨天和{}一起", "I met {} & co.", "100%, {}; 5 %"])
def test_no_escape_hides_what_is_private(private: str, way: str, around: str) -> None:
    """Out: `escapes_in` in `readings_of`, or the places that `_without` gives."""
    escaped = ESCAPES[way](private)
    text = around.format(escaped)
    redactor = replace(PRIVATE[private], originals={}, _placeholders={}, _counts={})
    redacted = redactor.redact(text)
    assert escaped not in redacted
    [placeholder] = redactor.originals
    assert redacted == around.format(placeholder)
    assert redactor.restore(redacted) == text


@pytest.mark.parametrize("private", ["Kowalczyk", "Zephyrine"])
@pytest.mark.parametrize("sign", ["-", ".", "_", "*", "·", " "])
@pytest.mark.parametrize("around", ["{}", "and {} said", "和{}一起", "({})"])
def test_a_name_that_is_spelt_out_is_private(private: str, sign: str, around: str) -> None:
    """Out: `spelt_out_in` in `readings_of`."""
    text = around.format(sign.join(private))
    redactor = replace(PRIVATE[private], originals={}, _placeholders={}, _counts={})
    redacted = redactor.redact(text)
    assert sign.join(private[1:]) not in redacted
    assert redactor.restore(redacted) == text


IN_ADDRESSES = {
    "Ada Kowalczyk": Redactor((Person("STUDENT", "Ada Kowalczyk", is_name=True),)),
    "Will Park": Redactor((Person("STUDENT", "Will Park", is_name=True),)),
    "王小明": Redactor((Person("STUDENT", "王小明", is_name=True),)),
    "Wang Xiaoming": Redactor((Person("STUDENT", "王小明", is_name=True),)),
    "May Hill": Redactor((), members=(CourseNames(["May Hill"]),)),
    "欧阳思齐": Redactor((), members=(CourseNames(["欧阳思齐"]),)),
    "Ouyang Siqi": Redactor((), members=(CourseNames(["欧阳思齐"]),)),
}


@pytest.mark.parametrize("name", IN_ADDRESSES)
@pytest.mark.parametrize("address", ["/hand-in?name={}&week=3", "essays/{}.docx"])
def test_a_name_in_the_address_of_a_form_is_private(name: str, address: str) -> None:
    """A form sends a plus sign in place of a space. Out: the plus sign in `_JOINT`, `_GAP` or `_latin_patterns`."""
    parts = name.split() if " " in name else list(name)
    for written in ("+".join(parts), quote_plus(" ".join(parts))):
        redactor = replace(IN_ADDRESSES[name], originals={}, _placeholders={}, _counts={})
        redacted = redactor.redact(address.format(written))
        [placeholder] = redactor.originals
        assert redacted == address.format(placeholder), redacted
        assert redactor.restore(redacted) == address.format(written)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("王小明", "王+小+明"),
        ("王小明", "wang+xiao+ming"),
        ("Ada Kowalczyk", "Ada+K."),
        ("Jan van der Berg", "van+der+berg"),
    ],
)
def test_a_form_of_the_student_s_name_in_an_address_is_the_student(name: str, written: str) -> None:
    """Out: the plus sign in `_GAP`, in `_BETWEEN_SYLLABLES`, before an initial, or in a surname with particles."""
    redactor = Redactor((Person("STUDENT", name, is_name=True),))
    assert redactor.redact(f"/hand-in?name={written}&week=3") == "/hand-in?name=[STUDENT_1]&week=3"


@pytest.mark.parametrize("text", ["100%13812345678", "a&13812345678", "50%\u002013812345678"])
def test_what_only_looks_like_an_escape_hides_nothing(text: str) -> None:
    """Out: the first reading of `readings_of`."""
    assert "13812345678" not in Redactor(()).redact(text)


@pytest.mark.parametrize(
    "text", ["x &lt; y &amp; z", "100%20", "i.e. a-b-c", "R&D &c.", "\\u0041bc"]
)
def test_escapes_without_anything_private_stay(text: str) -> None:
    assert Redactor(()).redact(text) == text
