"""No text of a pupil is run by the spreadsheet in which a teacher opens an export."""

import csv
import io
import unicodedata
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.csv_cells import harmless

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
BEFORE = ("", " ", "\t", "\r", "\n", "\u00a0", "\u3000", "\ufeff", "\u200b", "\u00ad", "\x00", '"')
# A spreadsheet of another country takes these for the end of a cell.
SEPARATORS = (";", "\t", "\n", "\r")
TEXTS = st.text(st.sampled_from("".join((*BEFORE, *SEPARATORS)) + SIGNS + "a1(,'"), max_size=12)


def begins_like_a_formula(cell: str) -> bool:
    """Return whether a cell is a formula for a spreadsheet that reads it as leniently as any does."""
    visible = [each for each in cell if not is_blank(each)]
    return bool(visible) and unicodedata.normalize("NFKC", visible[0]) in "=+-@"


def is_blank(character: str) -> bool:
    return (
        character.isspace() or character == '"' or unicodedata.category(character) in ("Cc", "Cf")
    )


def cells_of(text: str) -> list[str]:
    """Return the cells of a text in a program that ends cells at each separator and ignores quotes."""
    for each in SEPARATORS:
        text = text.replace(each, "\n")
    return text.split("\n")


@pytest.mark.parametrize("sign", SIGNS)
def test_what_looks_like_a_formula_is_not_run(sign: str) -> None:
    """Out: a sign, a blank or a separator of `_FORMULA`."""
    for before in BEFORE:
        for separator in ("", *(f"a{each}" for each in SEPARATORS)):
            text = f"{separator}{before}{sign}cmd()"
            assert begins_like_a_formula(cells_of(text)[-1])
            assert not any(map(begins_like_a_formula, cells_of(harmless(text)))), ascii(text)


@given(text=TEXTS)
def test_no_text_is_run_and_nothing_is_left_out(text: str) -> None:
    made = harmless(text)
    assert not any(map(begins_like_a_formula, cells_of(made)))
    file = io.StringIO()
    csv.writer(file).writerow([made])
    assert len(made) >= len(text)
    assert made.replace("'", "") == text.replace("'", "")


def test_a_text_of_line_breaks_takes_no_time() -> None:
    """Out: the possessive repetition in `_FORMULA`."""
    text = "\n" * 100_000
    began = process_time()
    assert harmless(text) == text
    assert process_time() - began < 1.0


@pytest.mark.parametrize("text", ["", "x = 3, -3", "a-b", "3 + 4", "'=1", "mia@school", "温度：-5"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text
