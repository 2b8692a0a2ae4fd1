import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edugraph_analyzer.findings.evidence import found_in, locate

TEXT = "老师：“移项要变号”。\nSo 3x − 2x = 5 + 7;  x = 12"


@pytest.mark.parametrize(
    ("quote", "original"),
    [
        ("移项要变号", "移项要变号"),
        ('老师:"移项要变号"', "老师：“移项要变号”"),
        ("so 3x - 2x = 5 + 7; x = 12", "So 3x − 2x = 5 + 7;  x = 12"),
        ("移项要变号”。\nSo", "移项要变号”。\nSo"),
        ("移项不变号", None),
        ("x", None),
        ("", None),
    ],
)
def test_quotes_are_found_in_the_spelling_of_the_text(quote: str, original: str | None) -> None:
    assert locate(quote, TEXT) == original


FORMULA = r"所以 $$0.025\times 0.04=\frac{1}{1000}$$"


@pytest.mark.parametrize(
    "quote",
    [
        r"0.025\times 0.04=\frac{1}{1000}",
        r"0.025\\times 0.04=\\frac{1}{1000}",  # escaped twice
        "0.025\times 0.04=\frac{1}{1000}",  # not escaped: read as a tab and a form feed
    ],
)
def test_formulas_are_found_however_their_backslashes_came_back(quote: str) -> None:
    assert locate(quote, FORMULA) == r"0.025\times 0.04=\frac{1}{1000}"


SOLUTION = "We have x + 5 = 9\nSubtracting 5: x = 4,\nso $$ x:y = 1.5:2 $$ and -3 < x"


@pytest.mark.parametrize(
    ("quote", "original"),
    [
        ("We have x + 5 = 9. Subtracting 5: x = 4.", "We have x + 5 = 9\nSubtracting 5: x = 4"),
        ("so $x:y = 1.5:2$", "so $$ x:y = 1.5:2"),
        ("We have x - 5 = 9", None),  # another operator
        ("x:y = 15:2", None),  # another number
        ("3 < y", None),
        ("4.", None),
    ],
)
def test_punctuation_may_differ_but_no_word_number_or_operator(
    quote: str, original: str | None
) -> None:
    assert locate(quote, SOLUTION) == original


def test_a_tab_of_the_text_is_a_space() -> None:
    assert locate("name\tage", "Name\tAge") == "Name\tAge"


def test_a_quote_with_a_gap_counts_by_its_parts() -> None:
    assert found_in(("移项要变号 … x = 12", "never said"), TEXT) == ("移项要变号", "x = 12")


@pytest.mark.parametrize("mark", "“”„«»「」")
def test_every_kind_of_quotation_mark_is_a_quotation_mark(mark: str) -> None:
    assert locate('"ab"', f"{mark}ab{mark}") == f"{mark}ab{mark}"
    assert locate("'ab'", f"{mark}ab{mark}") == "ab"  # but no apostrophe


@pytest.mark.parametrize("mark", "‘’`")
def test_every_kind_of_apostrophe_is_an_apostrophe(mark: str) -> None:
    assert locate("'ab'", f"{mark}ab{mark}") == f"{mark}ab{mark}"


@pytest.mark.parametrize(
    ("mark", "plain"), [("。", "."), ("、", ","), ("，", ","), ("：", ":"), ("？", "?")]
)
def test_chinese_punctuation_is_punctuation(mark: str, plain: str) -> None:
    assert locate(f"ab{plain}", f"ab{mark}") == f"ab{mark}"


@pytest.mark.parametrize("dash", "–—−-")
def test_every_kind_of_dash_is_a_minus_and_none_is_no_minus(dash: str) -> None:
    assert locate("5 - 3", f"5{dash}3") == f"5{dash}3"
    assert locate("53", f"5{dash}3") is None


@pytest.mark.parametrize("sign", "-/*%+=<>")
def test_an_operator_is_never_left_out(sign: str) -> None:
    assert locate("a b.", f"a{sign}b") is None
    assert locate(f"a{sign}b!", f"a {sign} b") == f"a {sign} b"


@pytest.mark.parametrize("sign", "$^~")
def test_signs_around_formulas_may_be_left_out(sign: str) -> None:
    assert locate("a b", f"a{sign}b") == f"a{sign}b"


@pytest.mark.parametrize(
    ("written", "number"), [("15", "1.5"), ("15", "1,5"), ("1.5", "15"), ("1,500", "1.500")]
)
def test_what_stands_within_a_number_is_part_of_it(written: str, number: str) -> None:
    assert locate(f"x {written}!", f"x {number}") is None
    assert locate(f"x {number}!", f"x {number}") == f"x {number}"


@pytest.mark.parametrize("formula", [r"2\beta", r"2\rho", r"2\times", r"2\frac12"])
def test_a_formula_is_found_that_was_written_into_json_as_it_stands(formula: str) -> None:
    read = formula.encode().decode("unicode_escape")
    assert "\\" not in read
    assert locate(read, formula) == formula
    loose = formula.replace("\\", ", ")
    assert locate(f"{read} + 12", f"{loose} + 12 or {formula} + 12") == f"{formula} + 12"


@pytest.mark.parametrize("mark", " \"'“”「」")
def test_marks_around_a_whole_quote_are_not_part_of_it(mark: str) -> None:
    assert found_in((f"{mark}ab{mark}",), f"so {mark}ab{mark}.") == ("ab",)
    assert found_in((f"{mark}~ab~{mark}",), "so ~ab~.") == ("~ab~",)  # another sign is


@pytest.mark.parametrize("gap", ["…", "……", "...", ".....", " … ", " ... "])
def test_a_gap_is_told_in_many_ways_and_two_full_stops_are_none(gap: str) -> None:
    text = "we multiply, and then we subtract"
    assert found_in((f"we multiply{gap}we subtract",), text) == ("we multiply", "we subtract")
    assert found_in(("we multiply..we subtract",), text) == ()


def test_each_quote_comes_once_in_the_order_asked_for() -> None:
    text = "we multiply, and then we subtract"
    assert found_in(("we subtract", "we multiply", "WE SUBTRACT", "…"), text) == (
        "we subtract",
        "we multiply",
    )
    assert found_in((), "ab") == ()


def test_two_characters_are_the_shortest_quote() -> None:
    assert locate("ab", "ab") == "ab"
    assert locate("b", "ab") is None
    assert locate("b.", "ab") is None  # a full stop makes it no longer


def test_invisible_characters_and_spaces_do_not_count() -> None:
    assert locate("ab", "a\u200bb") == "a\u200bb"
    assert locate("a b", "a\u3000\u00a0b") == "a\u3000\u00a0b"
    assert locate("ＡＢ", "ab") == "ab"


def test_the_first_place_is_taken_and_an_exact_one_before_a_loose_one() -> None:
    assert locate("fractions.of", "fractions of, fractions.of") == "fractions.of"
    assert locate("fractions", "xfractions FRACTIONS") == "fractions"


LONG = "the sum of the angles of a triangle is 180 degrees, 因为三角形的内角和是一百八十度, so x = 12 and y = 3, विद्या"


@pytest.mark.parametrize(
    ("quote", "proves"),
    [
        ("the", False),
        ("is", False),
        ("degrees", False),
        ("triangle", True),
        ("the sum of", True),
        ("内角", False),
        ("内角和", True),
        ("12", False),
        ("x = 12", True),
        ("= 12", False),
        ("विद्या", False),  # three letters and three marks
        (", so", False),
    ],
)
def test_a_quote_that_any_text_could_hold_proves_nothing(quote: str, proves: bool) -> None:
    """Out: the least weight. Then "the" is evidence."""
    assert (locate(quote, LONG) is not None) == proves


@given(st.text(st.characters(categories=("L", "N", "Zs")), min_size=2, max_size=12))
def test_the_half_of_a_short_text_always_proves_that_it_was_read(text: str) -> None:
    comparable = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    assume(len(comparable) >= 2 and comparable.isalnum())
    assert locate(text, text) is not None
