"""The bootstrap over students: how far a number of a group would vary, had other students of the kind been in it.

(Efron 1979.) Students are drawn, and not their attempts, since what one student does is alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 1_000
LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5


class Resamples:
    """Groups of as many students, drawn with replacement. All numbers of a group are computed over the same ones."""

    def __init__(self, students: Sequence[str], random: np.random.Generator) -> None:
        self._place = {student: number for number, student in enumerate(students)}
        size = len(students)
        chance = np.full(size, 1 / size) if size else np.zeros(0)
        self._times = np.empty((RESAMPLES, size), dtype=np.int16)  # how often each student was drawn
        for number in range(RESAMPLES):
            self._times[number] = random.multinomial(size, chance) if size else 0

    def means(self, values: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Return of each resample the mean over the students who have a value; NaN where none was drawn."""
        times = self._times[:, [self._place[student] for student in values]].astype(np.float64)
        with np.errstate(invalid="ignore"):
            means: npt.NDArray[np.float64] = times @ np.array(list(values.values())) / times.sum(axis=1)
        return means


def difference_interval(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of a difference of two groups by percentiles, None where a group has nobody."""
    differences = (one - other)[~np.isnan(one - other)]
    if not len(differences):
        return None
    low, high = np.percentile(differences, [LOW_PERCENT, HIGH_PERCENT])
    return float(low), float(high)
