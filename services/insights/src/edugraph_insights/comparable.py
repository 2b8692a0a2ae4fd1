"""The difference between students with a contact and comparable students, with an interval.

Teachers speak with students who did badly lately. Such students do better afterwards in any case, by chance alone. So
each student is compared with others of the same day who did as badly before, and who had no contact. Teachers speak
with some of these soon afterwards. To leave them out would leave out those who did worst, so they stay, and the
difference is divided by how much more of the weeks afterwards lay behind a contact.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edugraph_insights.statistics import NORMAL_95

# The first columns of a matrix explain the other two: `share_with_contact` and `right_after`.
_EXPLAINING = 3
# If comparable students had nearly as much contact, there is nothing to compare.
_LEAST_MORE_CONTACT = 0.5
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


class Observation(NamedTuple):
    """One student on one day. The shares are mean outcomes from 0 to 1.

    `right_before` is of first attempts in some weeks before the day, and `right_after` in some weeks after it.
    `before` is of all attempts in the weeks before the day, and `earlier` of all attempts before these weeks.
    Second attempts count in both, because a teacher who chooses whom to speak with sees them. `share_with_contact` is
    the share of the first attempts after the day that the student made after a contact. It is 1 if the contact was on
    the day.
    """

    student: str
    day: int
    has_contact: bool
    before: float
    earlier: float
    share_with_contact: float
    right_before: float
    right_after: float


class Difference(NamedTuple):
    """A difference of two shares, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference_of_comparable(observations: Sequence[Observation]) -> Difference | None:
    """Return how much higher `right_after` is with a contact, for the same day, `before` and `earlier`.

    Return None if comparable students had nearly as much contact afterwards.
    In a linear regression in which each day has a level of its own, this is the coefficient of `has_contact` for
    `right_after`, divided by that for `share_with_contact`. The interval is that of the jackknife over students,
    since one student is observed on several days. At least one day must have students with and without a contact,
    also when any one student is left out.
    """
    rows = []
    for each in observations:
        explaining = (each.has_contact, each.before, each.earlier)
        rows.append((*explaining, each.share_with_contact, each.right_after))
    matrix = np.array(rows, float)
    _, day = np.unique([each.day for each in observations], return_inverse=True)
    _, student = np.unique([each.student for each in observations], return_inverse=True)
    # Sums over each day. With them, the products within a day are known without any one of its observations.
    number = np.bincount(day).astype(float)
    sums = _added_up(matrix, day)
    each_product = matrix[:, :, None] * matrix[:, None, :]
    products = _added_up(each_product, day)
    within = _within(products, sums, number)

    number_without = number[day] - 1
    sums_without = sums[day] - matrix
    products_without = products[day] - each_product
    within_without = _within(products_without, sums_without, np.maximum(number_without, 1))
    change = _added_up(within_without - within[day], student)

    total = within.sum(axis=0)
    more_contact, more_right = _coefficients(total)
    if more_contact < _LEAST_MORE_CONTACT:
        return None
    value = float(more_right / more_contact)
    of_contact, of_right = np.moveaxis(_coefficients(total + change), -1, 0)
    without_student = of_right / of_contact
    students = len(without_student)
    spread = float(((without_student - without_student.mean()) ** 2).sum())
    half_width = NORMAL_95 * sqrt(spread * (students - 1) / students)
    return Difference(value, value - half_width, value + half_width)


def _added_up(values: Floats, group: Integers) -> Floats:
    """Return the sum of the values of each group."""
    sums = np.zeros((group.max() + 1, *values.shape[1:]))
    np.add.at(sums, group, values)
    return sums


def _within(products: Floats, sums: Floats, number: Floats) -> Floats:
    """Return the sums of products of deviations from the mean of a group."""
    within: Floats = products - sums[:, :, None] * sums[:, None, :] / number[:, None, None]
    return within


def _coefficients(within: Floats) -> Floats:
    """Return the coefficients of the first column for the last two. A column that does not vary explains nothing."""
    explaining = within[..., :_EXPLAINING, :_EXPLAINING]
    explained = within[..., :_EXPLAINING, _EXPLAINING:]
    coefficients: Floats = np.linalg.pinv(explaining, rcond=1e-9, hermitian=True) @ explained
    of_first_column: Floats = coefficients[..., 0, :]
    return of_first_column
