"""The bootstrap over students (Efron 1979): how far a number of a group would vary with other students of its kind.

Students are drawn and not attempts, because the attempts of one student resemble each other.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 1_000
LOW_PERCENT = 2.5
HIGH_PERCENT = 97.5


class Resamples:
    """Random groups of the same size, drawn with replacement. All numbers are computed over the same groups."""

    def __init__(self, students: Sequence[str], random: np.random.Generator) -> None:
        self._column = {student: number for number, student in enumerate(students)}
        size = len(students)
        # The number of times that each student was drawn.
        self._times = np.zeros((RESAMPLES, size), dtype=np.int16)
        if size == 0:
            return
        chances = np.full(size, 1 / size)
        for number in range(RESAMPLES):
            self._times[number] = random.multinomial(size, chances)

    def means(self, values: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Return, for each resample, the mean over the students with a value. NaN if no such student was drawn."""
        columns = [self._column[student] for student in values]
        times = self._times[:, columns].astype(np.float64)
        sums = times @ np.array(list(values.values()))
        with np.errstate(invalid="ignore"):
            means: npt.NDArray[np.float64] = sums / times.sum(axis=1)
        return means


def difference_interval(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of two groups by percentiles, or None if no resample has both."""
    differences = one - other
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        return None
    low, high = np.percentile(differences, [LOW_PERCENT, HIGH_PERCENT])
    return float(low), float(high)
