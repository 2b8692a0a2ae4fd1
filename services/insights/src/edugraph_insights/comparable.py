"""The difference between students with a contact and comparable students, with an interval.

Teachers speak with students who did badly lately. Such students do better afterwards in any case, by chance alone. So
each student is compared with others of the same day who did as badly before, and who had no contact. Teachers speak
with some of these soon afterwards. To leave them out would leave out those who did worst, so they stay, and the
difference is divided by how much more of the weeks afterwards lay behind a contact.
"""

from dataclasses import dataclass, fields
from itertools import combinations_with_replacement
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edugraph_insights.statistics import NORMAL_95

# The first columns of a matrix explain the other two: `share_with_contact` and `right_after`.
_EXPLAINING = 3
_COLUMNS = 5
# If comparable students had nearly as much contact, there is nothing to compare.
_LEAST_MORE_CONTACT = 0.5
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Observations:
    """Students on days, one row each. The shares are mean outcomes from 0 to 1.

    `student` and `day` are numbers. `right_before` is of first attempts in some weeks before the day, and
    `right_after` in some weeks after it. `before` is of all attempts in the weeks before the day, and `earlier` of
    all attempts before these weeks. Second attempts count in both, because a teacher who chooses whom to speak with
    sees them. `share_with_contact` is the share of the first attempts after the day that the student made after a
    contact. It is 1 if the contact was on the day.
    """

    student: Integers
    day: Integers
    has_contact: Flags
    before: Floats
    earlier: Floats
    share_with_contact: Floats
    right_before: Floats
    right_after: Floats

    def __len__(self) -> int:
        return len(self.student)

    def where(self, is_wanted: Flags) -> "Observations":
        """Return some of the observations."""
        columns = {}
        for each in fields(self):
            column = getattr(self, each.name)
            columns[each.name] = column[is_wanted]
        return Observations(**columns)

    def of_students(self) -> set[int]:
        """Return the students."""
        return set(self.student.tolist())


def joined_observations(parts: list[Observations]) -> Observations:
    """Return the observations of at least one part as one."""
    columns = {}
    for each in fields(Observations):
        column = [getattr(part, each.name) for part in parts]
        columns[each.name] = np.concatenate(column)
    return Observations(**columns)


class Difference(NamedTuple):
    """A difference of two shares, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference_of_comparable(seen: Observations) -> Difference | None:
    """Return how much higher `right_after` is with a contact, for the same day, `before` and `earlier`.

    Return None if comparable students had nearly as much contact afterwards.
    In a linear regression in which each day has a level of its own, this is the coefficient of `has_contact` for
    `right_after`, divided by that for `share_with_contact`. The interval is that of the jackknife over students,
    since one student is observed on several days. At least one day must have students with and without a contact,
    also when any one student is left out.
    """
    explaining = (seen.has_contact, seen.before, seen.earlier)
    matrix = np.column_stack((*explaining, seen.share_with_contact, seen.right_after)).astype(float)
    _, day = np.unique(seen.day, return_inverse=True)
    _, student = np.unique(seen.student, return_inverse=True)
    number = np.bincount(day)
    from_mean = np.empty_like(matrix)
    for place in range(_COLUMNS):
        column = matrix[:, place]
        mean = np.bincount(day, column) / number
        from_mean[:, place] = column - mean[day]
    total = from_mean.T @ from_mean

    more_contact, more_right = _coefficients(total)
    if more_contact < _LEAST_MORE_CONTACT:
        return None
    value = float(more_right / more_contact)
    # Without one of n observations of a day, its mean moves, and the products are less by n / (n - 1) times its own.
    others = np.maximum(number - 1, 1)
    weight = number / others
    without = total - _products_of_students(from_mean, weight[day], student)
    of_contact, of_right = np.moveaxis(_coefficients(without), -1, 0)
    without_student = of_right / of_contact
    students = len(without_student)
    spread = float(((without_student - without_student.mean()) ** 2).sum())
    half_width = NORMAL_95 * sqrt(spread * (students - 1) / students)
    return Difference(value, value - half_width, value + half_width)


def _products_of_students(from_mean: Floats, weight: Floats, student: Integers) -> Floats:
    """Return, for each student, the weighted sum of the products of each two columns over the student's rows."""
    products = np.empty((student.max() + 1, _COLUMNS, _COLUMNS))
    for one, other in combinations_with_replacement(range(_COLUMNS), 2):
        of_rows = weight * from_mean[:, one] * from_mean[:, other]
        of_students = np.bincount(student, of_rows)
        products[:, one, other] = of_students
        products[:, other, one] = of_students
    return products


def _coefficients(within: Floats) -> Floats:
    """Return the coefficients of the first column for the last two. A column that does not vary explains nothing."""
    explaining = within[..., :_EXPLAINING, :_EXPLAINING]
    explained = within[..., :_EXPLAINING, _EXPLAINING:]
    coefficients: Floats = np.linalg.pinv(explaining, rcond=1e-9, hermitian=True) @ explained
    of_first_column: Floats = coefficients[..., 0, :]
    return of_first_column
