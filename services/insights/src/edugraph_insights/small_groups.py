"""Remove from an exact answer everything that would show an analyst what a few students did.

- A published number is about no student, or about 10 or more. The same holds for the students who are in one
  published group of an answer and not in another.
- A share is shown as 0.05 at least and 0.95 at most. A count is rounded to 5.
- Fields about one person and quotes of records are not shown.
- Students who join a course count when ten have joined (`entered`). So the answers of two days are about the same
  students, or differ by ten or more.

Groups are checked in a fixed order, the largest first, so that the same graph always publishes the same rows.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import groupby

from edugraph_insights.answers import Found, Mark, Measured, R

SMALLEST_GROUP_STUDENTS = 10
ROUNDED_TO = 5
LOWEST_SHARE = 0.05
HIGHEST_SHARE = 0.95
LARGEST_DIFFERENCE = HIGHEST_SHARE - LOWEST_SHARE
DECIMALS = 2


def publish(found: Found[R]) -> Found[R]:
    """Return the part of an exact answer that may be published. Its `left_out` counts the rows and totals removed."""
    published: list[frozenset[str]] = []
    totals: dict[str, frozenset[str] | int] = {}
    withheld_totals = 0
    for name, total in sorted(found.of_how_many.items(), key=_largest_group_first):
        if isinstance(total, int):
            totals[name] = rounded(total)
        elif fit([total], published):
            published.append(total)
            totals[name] = rounded(len(total))
        else:
            withheld_totals += 1
    rows: list[Measured[R]] = []
    largest_first = sorted(
        found.rows, key=lambda each: (-len(each.students), each.row.model_dump_json())
    )
    for each in largest_first:
        groups = [each.students, *each.parts]
        if fit(groups, published):
            published += groups
            rows.append(Measured(without_detail(each.row), each.students, each.parts))
    left_out = {name: rounded(number) for name, number in found.left_out.items()}
    left_out["rows of small groups"] = len(found.rows) - len(rows)
    left_out["totals of small groups"] = withheld_totals
    return Found(tuple(rows), totals, {name: number for name, number in left_out.items() if number})


def _largest_group_first(total: tuple[str, frozenset[str] | int]) -> tuple[int, str]:
    """Return the place of a total in the order: groups from the largest to the smallest, then plain numbers."""
    name, value = total
    if isinstance(value, frozenset):
        return -len(value), name
    return 1, name


def entered(joined: Mapping[str, date], today: date) -> tuple[str, ...]:
    """Return the students who count in the cells of a course. `joined` has the day on which each one joined.

    New students wait until ten or more wait at the end of a day; then they enter together. So between any two days
    ten or more students entered, or nobody. Students of today wait, since others may still join today.
    """
    inside: list[str] = []
    waiting: list[str] = []
    by_day = sorted(joined.items(), key=lambda each: each[1])
    for day, students in groupby(by_day, key=lambda each: each[1]):
        if day < today:
            waiting += [student for student, _ in students]
        if not is_small(len(waiting)):
            inside += waiting
            waiting = []
    return tuple(sorted(inside))


def fit(groups: Iterable[frozenset[str]], published: Iterable[frozenset[str]]) -> bool:
    """Return whether these groups may be published beside the groups that are published already.

    Each group must be large enough, and so must each difference between it and another group, also one of `groups`.
    """
    others = list(published)
    for group in groups:
        if is_small(len(group)):
            return False
        for other in others:
            if is_small(len(group - other)) or is_small(len(other - group)):
                return False
        others.append(group)
    return True


def is_small(students: int) -> bool:
    """Return whether a number of students is too small to be published. Zero may be published."""
    return 0 < students < SMALLEST_GROUP_STUDENTS


def rounded(number: int) -> int:
    return ROUNDED_TO * round(number / ROUNDED_TO)


def without_detail(row: R) -> R:
    """Return the row with each field made as coarse as its mark demands."""
    coarse: dict[str, object] = {}
    for name in type(row).model_fields:
        value = getattr(row, name)
        mark = type(row).mark_of(name)
        if mark is Mark.PERSONAL:
            coarse[name] = () if isinstance(value, tuple) else None
        elif mark is Mark.COUNT:
            coarse[name] = rounded(value)
        elif mark is Mark.SHARE and value is not None:
            coarse[name] = _within(value, LOWEST_SHARE, HIGHEST_SHARE)
        elif mark is Mark.DIFFERENCE and value is not None:
            coarse[name] = _within(value, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
    return row.model_copy(update=coarse)


def _within(value: float, lowest: float, highest: float) -> float:
    return round(min(max(value, lowest), highest), DECIMALS)
