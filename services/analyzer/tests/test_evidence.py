import pytest

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
def test_punctuation_may_differ_but_no_word_number_or_operator(quote: str, original: str | None) -> None:
    assert locate(quote, SOLUTION) == original


def test_a_tab_of_the_text_is_a_space() -> None:
    assert locate("name\tage", "Name\tAge") == "Name\tAge"


def test_a_quote_with_a_gap_counts_by_its_parts() -> None:
    assert found_in(("移项要变号 … x = 12", "never said"), TEXT) == ("移项要变号", "x = 12")
