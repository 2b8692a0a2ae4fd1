"""The work of a course in a stretch of time, such as a week or a term: first attempts and mistakes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edugraph_insights.answers import Amount, Figure, mean_of, number_of, statistic
from edugraph_insights.facts import FirstTries, numbers_of
from edugraph_insights.statistics import mean

# Record of a mistake -> its student, and whether a record says that it is resolved.
Mistakes = Mapping[str, tuple[str, bool]]


@dataclass(frozen=True)
class Work:
    """First attempts by student, and mistakes."""

    tries: Mapping[str, FirstTries]
    mistakes: Mistakes

    @property
    def students(self) -> frozenset[str]:
        """The students with first attempts or mistakes."""
        return frozenset(self.tries) | frozenset(mistakes_by_student(self.mistakes))

    def numbers(self) -> dict[str, Any]:
        """Return the exact numbers of a row by its fields."""
        unresolved = [student for student, resolved in self.mistakes.values() if not resolved]
        return {
            "first_attempts": sum(numbers_of(self.tries).values()),
            "students": len(self.tries),
            "right": mean([tries.right for tries in self.tries.values()]),
            "mistakes": len(self.mistakes),
            "unresolved": len(unresolved),
        }

    def figures(self, kind: str, *about: str) -> dict[str, Figure]:
        """Return the figures of a row by its fields. `kind` is the kind of stretch, and `about` says which one.

        No record says when a mistake was resolved, so that the unresolved ones of a closed week may change by one.
        They have no figure.
        """
        right = {student: tries.right for student, tries in self.tries.items()}
        mistakes_name = statistic(f"mistakes of {kind}", *about)
        first_attempts_name = statistic(f"first attempts of {kind}", *about)
        return {
            "first_attempts": Amount(first_attempts_name, numbers_of(self.tries)),
            "students": number_of(statistic(f"tried in {kind}", *about), self.tries),
            "right": mean_of(statistic(f"right in {kind}", *about), right),
            "mistakes": Amount(mistakes_name, mistakes_by_student(self.mistakes)),
        }


def mistakes_by_student(mistakes: Mistakes) -> Counter[str]:
    """Return the number of mistakes of each student."""
    return Counter(student for student, _ in mistakes.values())
