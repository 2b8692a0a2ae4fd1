"""A name or an id is found beside every kind of neighbour, and not inside of a longer word."""

import time
import unicodedata
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.words import as_searched, is_in, standing_alone

# A few characters of each kind. A digit is a kind of its own, and so are the letters of each script.
DIGITS = "0179"
LATIN = "aZéßđ"
OTHER_LETTERS = "жЖ" + "λ" + "ب" + "ש" + "क"
WITHOUT_SPACES = "和的欧" + "アの" + "한" + "ก"
NEITHER = " _-.,·'/\n()：，“"

IDS = st.from_regex(r"[A-Z]{1,3}[0-9]{2,6}", fullmatch=True)
LATIN_NAMES = st.from_regex(r"[A-Z][a-zé]{2,8}( [A-Z][a-z]{2,8})?", fullmatch=True)
HAN_NAMES = st.text("欧阳思齐王小明阿依古丽", min_size=2, max_size=5)


def found(word: str, text: str) -> bool:
    pattern = standing_alone([word])
    assert pattern is not None
    return pattern.search(as_searched(text)) is not None


def kind_of(character: str) -> str:
    """Return the kind by the lists above, which know nothing of the code under test."""
    for name, characters in (("digit", DIGITS), ("Latin", LATIN)):
        if character in characters:
            return name
    if character.isascii() and character.isalpha():
        return "Latin"
    return "digit" if character.isdigit() else f"other {character}"


NEIGHBOURS = st.sampled_from(["", *DIGITS, *LATIN, *OTHER_LETTERS, *WITHOUT_SPACES, *NEITHER])


@given(word=IDS | LATIN_NAMES, before=NEIGHBOURS, behind=NEIGHBOURS)
def test_a_word_ends_where_the_kind_of_character_changes(
    word: str, before: str, behind: str
) -> None:
    r"""Guard: with `\w` in place of the kinds, a Chinese neighbour or a `_` hides the word."""
    is_continued = (before and kind_of(before) == kind_of(word[0])) or (
        behind and kind_of(behind) == kind_of(word[-1])
    )
    assert found(word, f"{before}{word}{behind}") is not bool(is_continued)


@given(word=HAN_NAMES, before=NEIGHBOURS, behind=NEIGHBOURS)
def test_a_chinese_name_stands_wherever_its_characters_do(
    word: str, before: str, behind: str
) -> None:
    assert found(word, f"{before}{word}{behind}")


SPELLINGS = (
    (
        "Quillon Zephyr",
        "Quillon{}Zephyr",
        ["  ", "\n", "\t", "\u00a0", "\u3000", "_", "-", ".", ". ", " - ", "+", "++"],
    ),
    ("Quillon\u00a0 Zephyr", "Quillon{}Zephyr", [" ", "_", "+"]),
    ("阿依古丽·买买提", "阿依古丽{}买买提", ["", " ", "•", "・", "‧", ".", "_", "-", "．", "+"]),
    ("O'Brien", "O{}Brien", ["’", "‘", "ʼ", "`", "´"]),
    ("O’Brien", "O{}Brien", ["'"]),
)


@pytest.mark.parametrize(("name", "form", "between"), SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "{}.csv", "作业_{}的", "S1-{} 2"])
def test_a_name_is_found_as_people_write_its_inside(
    name: str, form: str, between: list[str], around: str
) -> None:
    """Out: any entry of _OTHER_SPELLINGS, or `split` in `_spelled`."""
    for each in between:
        assert found(name, around.format(form.format(each))), each
    assert not found(name, around.format(form.format("x")))


WIDE = str.maketrans(
    {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)} | {" ": "\u3000"}
)
BOLD = str.maketrans({chr(ord("A") + each): chr(0x1D400 + each) for each in range(26)})
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u202e\u2060\ufeff\ufe0f\U000e0041"
MARKS = "\u034f\u0332\u0337\u0488\u05b8\u0640\u064e\u1ab0\u1dc0\u20de\ufe20"
FILLERS = "\u115f\u1160\u17b4\u180b\u3164\uffa0"


@given(word=IDS | LATIN_NAMES | HAN_NAMES, behind=st.sampled_from(["", " ", "的", "_", ".csv"]))
def test_a_word_is_found_in_each_form_of_its_characters(word: str, behind: str) -> None:
    """Out: NFC, NFKC, `_MARKS`, `_FILLERS` or the category Cf in `as_searched`."""
    forms = [word.translate(WIDE), word.translate(BOLD), unicodedata.normalize("NFD", word)]
    forms += [each.join(word) for each in INVISIBLE + MARKS + FILLERS]
    for form in forms:
        assert found(word, f"和{form}{behind}"), ascii(form)
        assert found(form, f"和{word}{behind}"), ascii(form)


@pytest.mark.parametrize(
    ("name", "written"),
    [("محمد", "مُحَمَّد"), ("محمد", "محـمد"), ("שלום", "שָׁלוֹם"), ("Öz", "O\u0332\u0308z")],
)
def test_vowels_and_decoration_hide_no_name(name: str, written: str) -> None:
    """Out: `_MARKS` in `as_searched`."""
    assert found(name, f"{written}_1")
    assert found(written, name)


@pytest.mark.parametrize("behind", ["\u00b2", "\u2460", "\u00bd"])
def test_a_digit_that_counts_something_is_not_a_part_of_an_id(behind: str) -> None:
    """Out: the category No in `_plain`."""
    assert found("S107", f"S107{behind}")
    assert not found("S1071", f"S107{behind}")
    assert not found("S1072", f"S107{behind}")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("Li Na", "LiNa"),
        ("Li Na", "Li, na klar"),
        ("S1-2", "S1_2"),
        ("S1.2", "S1-2"),
        ("Mia Berg", "Mia Bergmann"),
        ("Mia Berg", "Mia + Berg"),
        ("José", "Jose"),
        ("Jose", "Jose\u0301"),
    ],
)
def test_another_word_is_not_a_spelling(word: str, text: str) -> None:
    assert not found(word, text)


@given(word=IDS, digit=st.sampled_from(DIGITS))
def test_an_id_that_begins_like_another_one_is_not_that_one(word: str, digit: str) -> None:
    assert not found(word, f"{word}{digit}.csv")
    assert found(word, f"{word}{digit} and {word}_1.csv")


def test_of_two_ids_at_one_place_the_shorter_one_is_found_as_well() -> None:
    pattern = standing_alone(["S1-2", "S1"])
    assert pattern is not None
    assert pattern.search("S1-23") is not None  # S1 stands before the hyphen


@pytest.mark.parametrize("words", [[], [""]])
def test_there_is_no_pattern_for_nothing(words: list[str]) -> None:
    assert standing_alone(words) is None


# --- escapes of programs, and names that are spelt out -------------------------------------------------------------


def json_escaped(text: str) -> str:
    units = text.encode("utf-16-be").hex()
    return "".join(f"\\u{units[index : index + 4]}" for index in range(0, len(units), 4))


def percent_encoded(text: str, encoding: str = "utf-8") -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode(encoding))


ESCAPED = {
    "decimal": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "decimal without an end": lambda text: "".join(f"&#{ord(each)}" for each in text),
    "hexadecimal": lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    "twice": lambda text: "".join(f"&amp;#{ord(each)};" for each in text),
    "three times": lambda text: "".join(f"&amp;amp;#X{ord(each):X};" for each in text),
    "one of them": lambda text: f"&#{ord(text[0])};{text[1:]}",
    "an address": percent_encoded,
    "an address in an address": lambda text: percent_encoded(text).replace("%", "%25"),
    "JSON": json_escaped,
    "JSON in JSON": lambda text: json_escaped(text).replace("\\", "\\\\"),
}
BESIDE = ["", " ", "的", "_", "/", ";", "和"]
HIDDEN_WORDS = IDS | st.from_regex(r"[A-Z][a-zé]{2,8}", fullmatch=True) | HAN_NAMES


@settings(max_examples=60)
@given(HIDDEN_WORDS, st.sampled_from(sorted(ESCAPED)), *[st.sampled_from(BESIDE)] * 2)
def test_no_escape_hides_a_word(word: str, way: str, before: str, behind: str) -> None:
    """Out: any branch of `_unescaped`, or `escapes_in` in `readings_of`."""
    text = f"{before}{ESCAPED[way](word)}{behind}"
    assert is_in(standing_alone([word]), text), text
    assert not is_in(standing_alone([f"{word}9Q"]), text)


@pytest.mark.parametrize("name", ["李华", "欧阳思齐"])
def test_a_name_in_an_address_of_an_old_system_is_found(name: str) -> None:
    assert is_in(standing_alone([name]), f"/{percent_encoded(name, 'gb18030')}.doc")


NAME_PARTS = st.lists(
    st.from_regex(r"[A-ZÀ-Ý][a-zà-ý]{1,8}", fullmatch=True) | HAN_NAMES, min_size=2, max_size=3
)


@given(
    parts=NAME_PARTS,
    address=st.sampled_from(
        ["/hand-in?name={}&week=3", "https://x.example/{}.docx", "{}", "?q={}#a"]
    ),
)
def test_a_name_in_the_address_of_a_form_is_found(parts: list[str], address: str) -> None:
    """A form sends a plus sign in place of a space. Out: the plus sign in `_OTHER_SPELLINGS`."""
    name = " ".join(parts)
    for written in (quote_plus(name), "+".join(parts)):
        assert is_in(standing_alone([name]), address.format(written)), written


@pytest.mark.parametrize("name", ["李昇", "王珺", "陈喆", "张堃明", "朱镕", "李 昇"])
@pytest.mark.parametrize("behind", ["", ".doc", "&week=3", "A", "%20A"])
def test_a_name_whose_bytes_are_letters_is_found_in_an_address_of_an_old_system(
    name: str, behind: str
) -> None:
    """Out: `_with_letter_behind`."""
    written = quote_plus(name, encoding="gb18030")
    assert is_in(standing_alone([name]), f"/search?name={written}{behind}"), written


def test_a_chinese_name_with_a_plus_sign_inside_is_found() -> None:
    """Out: the plus sign in `_BETWEEN_UNSPACED`."""
    assert is_in(standing_alone(["李明"]), "/search?name=李+明")


@pytest.mark.parametrize("behind", ["\u5149", "\u00e9", "\u0416"])
@pytest.mark.parametrize("name", ["\u674e\u660e", "Mar\u00eda"])
def test_a_name_in_an_address_that_was_cut_off_is_found(name: str, behind: str) -> None:
    """The bytes without the last one are other characters in GB 18030. Out: `is_cut_off` in `_decoded`."""
    data = f"{name} {behind}".encode()[:-1]
    written = "".join(f"%{byte:02X}" for byte in data)
    assert is_in(standing_alone([name]), f"/{written}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Tom & Li", "Tom &amp; Li"),
        ("O'Brien", "O&#39;Brien"),
        ("O'Brien", "O&rsquo;Brien"),
        ("José", "Jos&eacute;"),
        ("Mia Berg", "Mia%20Berg.csv"),
        ("Mia Berg", "Mia&nbsp;Berg"),
        ("Mia", "&quot;Mia&quot;"),
        ("Mia", "&lt;b&gt;Mia&lt;/b&gt;"),
        ("𠮷野", "\\ud842\\udfb7\\u91ce"),
        # These only look like escapes.
        ("13812345678", "100%13812345678"),
        ("20240317", "20%20240317"),
        ("AT&Tom", "AT&Tom"),
    ],
)
def test_signs_of_names_are_found_behind_escapes_and_beside_what_looks_like_one(
    name: str, text: str
) -> None:
    """Out: the first reading in `readings_of`."""
    assert is_in(standing_alone([name]), text)


@settings(max_examples=60)
@given(
    st.from_regex(r"[A-Z][a-zé]{1,8}", fullmatch=True),
    st.sampled_from("-._*·"),
    *[st.sampled_from(["", " ", "的", "(", "9", ", "])] * 2,
)
def test_a_name_that_is_spelt_out_is_found(name: str, sign: str, before: str, behind: str) -> None:
    """Out: `spelt_out_in` in `readings_of`."""
    spelt = sign.join(name)
    assert is_in(standing_alone([name]), f"{before}{spelt}{behind}")
    assert not is_in(standing_alone([name]), f"x{spelt}")
    if len(name) > 2:
        assert is_in(standing_alone([name]), f"so {' '.join(name)}!")


@settings(max_examples=40)
@given(HAN_NAMES, st.sampled_from([" ", "-", "_", ".", "*", "·", "\u3000"]))
def test_signs_between_its_characters_hide_no_chinese_name(name: str, sign: str) -> None:
    """Out: `_BETWEEN_UNSPACED` in `readings_of`."""
    assert is_in(standing_alone([name]), f"我和{sign.join(name)}一起")


@pytest.mark.parametrize(
    ("word", "text"), [("An", "a n"), ("Mia", "M-ia"), ("12", "1-2"), ("Al", "a l")]
)
def test_what_is_no_spelling_out_is_not_read_as_one(word: str, text: str) -> None:
    assert not is_in(standing_alone([word], ignore_case=True), text)


@pytest.mark.parametrize(
    "part", ["&amp;", "%25", "\\", "&#1", "a-", "李 ", "%E6", "&" + "a" * 31, "a "]
)
def test_hostile_texts_take_time_in_proportion_to_their_length(part: str) -> None:
    began = time.process_time()
    is_in(standing_alone(["Mia Berg"]), part * (200_000 // len(part)))
    assert time.process_time() - began < 5
