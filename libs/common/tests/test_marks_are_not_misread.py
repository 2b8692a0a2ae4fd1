"""A mark of a gradebook is read as it stands there, or set aside; a wrong cell takes no neighbour with it.

The reference is written here from the documented forms of a mark, and not from the code. EDUGRAPH_EXAMPLES sets the
number of examples; `make fuzz-reading` tries 10,000.
"""

import csv
import io
import os
import re
import unicodedata
from fractions import Fraction

from gradebook_figures import records_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.records import AttemptRecord

EXAMPLES = int(os.environ.get("EDUGRAPH_EXAMPLES", "100"))
POINTS = 20
MAPPING = (
    "{type: attempt_record, columns: {id: student_id}, constants: {timestamp: '2026-06-01'}, "
    "items: {columns: [Quiz, Lab], scale: 20, not_tried: [absent, '-']}}"
)
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
FORMS = re.compile(
    rf"(?P<mark>{NUMBER})\s*(?:(?:/|of|out of|von)\s*(?P<points>{NUMBER})|(?P<percent>%))?"
    r"\s*(?:分|points?|pts?\.?|punkte)?\s*[(\[]?\s*(?:late|迟交|补交|逾期|晚交|verspätet)?\s*[)\]]?",
    re.IGNORECASE,
)
SIGNS = st.sampled_from(list("0123456789.,%/+-_eE ()*?½²①٣７（）％late迟交分of'\u00a0"))
CELLS = st.one_of(
    st.sampled_from(
        [
            "7",
            "7.5",
            "7/20",
            "85 %",
            "8 (late)",
            "９",
            "1_0",
            "1e1",
            "nan",
            "inf",
            "0x1",
            "½",
            "7 of 0",
            "1,250/2,000",
            "1.250/2",
            "1 250/2'000",
            "1/1.250",
            "1.250,5/2.000",
            "12,500/12.750",
        ]
    ),
    st.decimals(0, 30, places=2).map(str),
    st.builds("{:,}/{:,}".format, st.integers(0, 3_000), st.integers(0, 3_000)),
    st.builds("{:.3f}/{:,}".format, st.integers(0, 3_000), st.integers(0, 3_000)),
    st.text(SIGNS, min_size=1, max_size=8),
    st.text(min_size=1, max_size=12),
)


def shares_of(cell: str) -> set[Fraction]:
    """Return the shares that a cell may state: one for each sign that may stand between thousands, and for none."""
    wide = {sign: sign - 0xFEE0 for sign in range(0xFF01, 0xFF5F)}
    usual = "".join(str(unicodedata.decimal(sign, sign)) for sign in cell.translate(wide)).strip()
    texts = [usual]
    signs = [",", r"[ \u00a0\u2009\u202f'’]"]
    # A mark with a comma and three digits behind it has no decimals if the points are a thousand or more.
    if not re.search(r"[0-9]{4,}\D*$", usual):
        signs.append(r"\.")
    for sign in signs:
        without = re.sub(rf"(?<=[0-9]){sign}(?=[0-9]{{3}}(?![0-9]))", "", usual)
        # With points between thousands, a comma stands before decimals.
        texts.append(without.replace(",", ".") if sign == r"\." else without)
    found = {share_of(text) for text in texts}
    return {each for each in found if each is not None and each <= 1}


def share_of(text: str) -> Fraction | None:
    """Return the share that a text without signs between thousands states, or None for another form."""
    found = FORMS.fullmatch(text)
    if found is None:
        return None
    points = Fraction(POINTS)
    if found["percent"]:
        points = Fraction(100)
    if found["points"]:
        points = Fraction(found["points"])
    if points == 0:
        return None
    # A penalty counts as no points.
    return max(Fraction(0), Fraction(found["mark"]) / points)


@given(st.lists(CELLS, min_size=1, max_size=6))
@example(["1_0", "0%%", "0_1%"])
@example(["7\n8", '"', "5"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EDUGRAPH_EXAMPLES" not in os.environ,  # a gate has the same examples each time
    suppress_health_check=list(HealthCheck),
)
def test_a_mark_is_read_as_it_stands_there_or_set_aside(cells: list[str]) -> None:
    """Out: the form of a number in `_number` of `table_rows`; the bounds of `_share`."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["id", "Quiz", "Lab"])
    for number, cell in enumerate(cells):
        writer.writerow([f"wrong{number}", cell, "5"])
        writer.writerow([f"good{number}", "7", "11"])
    data = table.getvalue().encode(errors="surrogatepass")
    found: dict[tuple[str, str], float] = {}
    for record in records_of("a.csv", data, MAPPING):
        attempt = record.data
        assert isinstance(attempt, AttemptRecord)
        assert attempt.score is not None
        found[attempt.student_id, attempt.item_id] = attempt.score
    for number, cell in enumerate(cells):
        assert found.pop((f"good{number}", "Quiz")) == 0.35
        assert found.pop((f"good{number}", "Lab")) == 0.55
        share = found.pop((f"wrong{number}", "Quiz"), None)
        found.pop((f"wrong{number}", "Lab"), None)
        if share is None:
            continue
        expected = shares_of(cell)
        assert len(expected) == 1, cell
        assert abs(Fraction(share) - expected.pop()) < Fraction(1, 10**6), cell
    assert not found
