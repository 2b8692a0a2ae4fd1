"""What an analyst may see of an exact answer, so that nobody can tell from it what a few students did.

- A published number is about no student or about 10 or more, and so is each difference between two published numbers
  of one answer: who is in one group and not in the other.
- A share is shown as 0.05 at least and 0.95 at most, a count is rounded to 5.
- What tells of one person, or quotes a record, is not shown.
- Who joins a course counts when ten have joined (`entered`): answers of two days are about the same students, or
  about ten or more others.

Groups are looked at in a fixed order, the largest first, so that the same graph always publishes the same rows.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import groupby

from edugraph_insights.answers import Found, Mark, Measured, R

SMALLEST_GROUP_STUDENTS = 10
ROUNDED_TO = 5
LOWEST_SHARE, HIGHEST_SHARE = 0.05, 0.95
LARGEST_DIFFERENCE = HIGHEST_SHARE - LOWEST_SHARE
DECIMALS = 2


def publish(found: Found[R]) -> Found[R]:
    """Return what may be published of an exact answer. `left_out` says how many rows and totals are missing."""
    published: list[frozenset[str]] = []
    totals: dict[str, frozenset[str] | int] = {}
    withheld_totals = 0
    in_order = sorted(
        found.of_how_many.items(),
        key=lambda total: (-len(total[1]) if isinstance(total[1], frozenset) else 1, total[0]),
    )
    for name, total in in_order:
        if isinstance(total, int):
            totals[name] = rounded(total)
        elif fit([total], published):
            published.append(total)
            totals[name] = rounded(len(total))
        else:
            withheld_totals += 1
    rows: list[Measured[R]] = []
    largest_first = sorted(found.rows, key=lambda each: (-len(each.students), each.row.model_dump_json()))
    for each in largest_first:
        groups = [each.students, *each.parts]
        if fit(groups, published):
            published += groups
            rows.append(Measured(without_detail(each.row), each.students, each.parts))
    left_out = {name: rounded(number) for name, number in found.left_out.items()}
    left_out |= {"rows of small groups": len(found.rows) - len(rows), "totals of small groups": withheld_totals}
    return Found(tuple(rows), totals, {name: number for name, number in left_out.items() if number})


def entered(joined: Mapping[str, date], today: date) -> tuple[str, ...]:
    """Return who counts in cells of a course: whoever joined waits until a day is over on which ten wait.

    All who wait enter together, so between any two days ten or more entered, or nobody. A day that is not over may
    bring others.
    """
    inside: list[str] = []
    waiting: list[str] = []
    by_day = sorted(joined.items(), key=lambda each: each[1])
    for day, students in groupby(by_day, key=lambda each: each[1]):
        waiting += [student for student, _ in students] if day < today else []
        if not is_small(len(waiting)):
            inside += waiting
            waiting = []
    return tuple(sorted(inside))


def fit(groups: Iterable[frozenset[str]], published: Iterable[frozenset[str]]) -> bool:
    """Whether none of these groups, and no difference to one that is published or among them, is small."""
    beside = list(published)
    for group in groups:
        if is_small(len(group)) or any(is_small(len(group - one)) or is_small(len(one - group)) for one in beside):
            return False
        beside.append(group)
    return True


def is_small(students: int) -> bool:
    return 0 < students < SMALLEST_GROUP_STUDENTS


def rounded(number: int) -> int:
    return ROUNDED_TO * round(number / ROUNDED_TO)


def without_detail(row: R) -> R:
    """Return the row with each field as coarse as its mark says."""
    coarse: dict[str, object] = {}
    for name in type(row).model_fields:
        value, mark = getattr(row, name), type(row).mark_of(name)
        if mark is Mark.PERSONAL:
            coarse[name] = () if isinstance(value, tuple) else None
        elif mark is Mark.COUNT:
            coarse[name] = rounded(value)
        elif mark is Mark.SHARE and value is not None:
            coarse[name] = round(min(max(value, LOWEST_SHARE), HIGHEST_SHARE), DECIMALS)
        elif mark is Mark.DIFFERENCE and value is not None:
            coarse[name] = round(min(max(value, -LARGEST_DIFFERENCE), LARGEST_DIFFERENCE), DECIMALS)
    return row.model_copy(update=coarse)
