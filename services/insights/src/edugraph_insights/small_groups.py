"""Turn exact rows about sets of students into what an analyst may see: numbers with noise (docs/adr/0130).

- A row is shown if it is about no student, or about 10 or more; a share, if 25 or more students add to it.
- Counts and shares have noise that depends on a secret, on the students and on the statistic (cell_noise.py).
- A number without a figure, a field about one person and a quote of a record are not shown.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from math import ceil
from typing import Any

from edugraph_insights.answers import Amount, Contrast, Mark, Measured, R, Ratio, Total, statistic
from edugraph_insights.cell_noise import NOISE_SPREAD, CellNoise

SMALLEST_GROUP_STUDENTS = 10
SMALLEST_SHARE_STUDENTS = 25
DECIMALS = 2
_HUNDREDTHS = 100
# Numbers of the whole graph, which are about no course, are rounded to this (whole_graph.py).
ROUNDED_TO = 5
# Totals that say nothing of students.
_OF_THE_CATALOGUE = frozenset({"points that the course teaches"})
_UNCHANGED = frozenset({Mark.NAME, Mark.CATALOGUE})


def published_row(
    measured: Measured[R],
    roster: Collection[str],
    noise: CellNoise,
    derived: Callable[[R], R] | None,
) -> R | None:
    """Return a row as an analyst sees it, or None if it is about one to nine students.

    `roster` are the students of the course. `derived` fills in the fields that are computed from published ones.
    """
    if is_small(len(measured.students)):
        return None
    row = measured.row
    if not measured.students:
        return row.model_copy(update=_blanked(row, with_numbers=False))
    values = _blanked(row, with_numbers=True)
    errors = []
    for name, figure in measured.figures.items():
        if isinstance(figure, Amount):
            values[name] = published_amount(figure, roster, noise)
            continue
        values[name] = published_share(figure, noise)
        if values[name] is not None:
            errors.append(typical_error(figure))
    if errors:
        values["noise"] = max(errors)
    published = row.model_copy(update=values)
    if derived is not None:
        published = derived(published)
    return published


def _blanked(row: R, *, with_numbers: bool) -> dict[str, Any]:
    """Return empty values for the fields about persons, and for all numbers about students if `with_numbers`."""
    blank: dict[str, Any] = {}
    for name in type(row).model_fields:
        mark = type(row).mark_of(name)
        is_number = mark not in _UNCHANGED and mark is not Mark.PERSONAL
        if mark is Mark.PERSONAL or (is_number and with_numbers):
            blank[name] = () if isinstance(getattr(row, name), tuple) else None
    return blank


def published_amount(amount: Amount, roster: Collection[str], noise: CellNoise) -> int:
    """Return a number of students, or of their records, with noise. It is never below 0.

    The noise of records is as many times larger as the student with most records has records.
    """
    exact = sum(amount.by_student.values())
    largest = max(amount.by_student.values(), default=1)
    if largest <= 1:
        return max(0, exact + noise.of_count(roster, amount.statistic))
    return max(0, round(exact + largest * noise.of_sum(roster, amount.statistic)))


def published_share(figure: Ratio | Contrast, noise: CellNoise) -> float | None:
    """Return a share or a difference of two with noise. None if too few students add to it, or to one of the two."""
    if isinstance(figure, Ratio):
        return published_ratio(figure, noise)
    share = published_ratio(figure.of, noise)
    other = published_ratio(figure.less, noise)
    if share is None or other is None:
        return None
    return round(share - other, DECIMALS)


def published_ratio(ratio: Ratio, noise: CellNoise) -> float | None:
    """Return a share with noise, to hundredths, or None if fewer than 25 students add to it."""
    if len(ratio.wholes) < SMALLEST_SHARE_STUDENTS:
        return None
    drawn = noise.of_sum(ratio.wholes, ratio.statistic)
    if ratio.is_mirrored:
        drawn = -drawn
    range_of_student = max(ratio.wholes.values()) * (1 - ratio.lowest)
    # The order of the students is fixed, so that the sum is the same each time.
    exact = sum(ratio.parts[student] for student in sorted(ratio.parts))
    share = (exact + drawn * range_of_student) / sum(ratio.wholes.values())
    return round(min(max(share, ratio.lowest), 1.0), DECIMALS)


def typical_error(figure: Ratio | Contrast) -> float:
    """Return the standard deviation of the noise of a share, up to the next hundredth; of a difference, of both."""
    if isinstance(figure, Contrast):
        return round(typical_error(figure.of) + typical_error(figure.less), DECIMALS)
    ratio = figure
    range_of_student = max(ratio.wholes.values()) * (1 - ratio.lowest)
    error = NOISE_SPREAD * range_of_student / sum(ratio.wholes.values())
    return ceil(error * _HUNDREDTHS) / _HUNDREDTHS


def published_total(
    named: tuple[str, str], total: Total, roster: Collection[str], noise: CellNoise
) -> int | None:
    """Return a total with noise. `named` are the course and the name of the total.

    None if it is about one to nine students, or if it is a number without its students.
    """
    course, name = named
    if isinstance(total, int):
        return total if name in _OF_THE_CATALOGUE else None
    by_student = amounts_of(total)
    if is_small(len(by_student)):
        return None
    if not by_student:
        return 0
    return published_amount(Amount(statistic("total", course, name), by_student), roster, noise)


def amounts_of(total: frozenset[str] | Counter[str]) -> Mapping[str, int]:
    """Return what each student adds to a total."""
    if isinstance(total, Counter):
        return total
    return dict.fromkeys(total, 1)


def is_small(students: int) -> bool:
    """Return whether a number of students is too small to be published. Zero may be published."""
    return 0 < students < SMALLEST_GROUP_STUDENTS


def rounded(number: int) -> int:
    return ROUNDED_TO * round(number / ROUNDED_TO)
