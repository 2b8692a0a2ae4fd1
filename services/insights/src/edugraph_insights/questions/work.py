"""The work of a course in a stretch of time, such as a week or a term: first attempts and mistakes."""

from dataclasses import dataclass
from typing import Any

from edugraph_insights.answers import Amount, Figure, mean_of, number_of, statistic
from edugraph_insights.tries import Mistakes, Tries


@dataclass(frozen=True)
class Work:
    """First attempts and mistakes."""

    tries: Tries
    mistakes: Mistakes

    @property
    def is_empty(self) -> bool:
        return self.tries.size == 0 and self.mistakes.number == 0

    def numbers(self) -> dict[str, Any]:
        """Return the exact numbers of a row by its fields."""
        return {
            "first_attempts": self.tries.total,
            "students": self.tries.size,
            "right": self.tries.mean_right,
            "mistakes": self.mistakes.number,
            "unresolved": self.mistakes.unresolved,
        }

    def students(self) -> frozenset[str]:
        """Return the students with first attempts or mistakes, for an answer in cells."""
        return frozenset(self.tries.numbers) | frozenset(self.mistakes.by_student)

    def figures(self, kind: str, *about: str) -> dict[str, Figure]:
        """Return the figures of a row by its fields. `kind` is the kind of stretch, and `about` says which one.

        No record says when a mistake was resolved, so that the unresolved ones of a closed week may change by one.
        They have no figure.
        """
        numbers = self.tries.numbers
        mistakes_name = statistic(f"mistakes of {kind}", *about)
        first_attempts_name = statistic(f"first attempts of {kind}", *about)
        return {
            "first_attempts": Amount(first_attempts_name, numbers),
            "students": number_of(statistic(f"tried in {kind}", *about), numbers),
            "right": mean_of(statistic(f"right in {kind}", *about), self.tries.right),
            "mistakes": Amount(mistakes_name, self.mistakes.by_student),
        }
