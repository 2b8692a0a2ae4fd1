"""How many marks of gradebooks the first import reads right, and how many it reads wrongly without a question.

`make gradebooks` prints a table by layout and one by change, and ends with 1 if a goal is missed. Each file
of `libs/common/tests/gradebooks` is read as it is and in other forms: other encodings, signs and orders, titles and remarks around the
table, words in place of marks. The truth of each file was written by hand, and each change says what it does to it.
Nothing of the suggested mapping is edited. Only questions are answered: the course, and points that no file states.
"""

import csv
import io
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from edugraph_common.contracts.records import AttemptRecord, Record
from edugraph_common.sources import open_text, parse_mapping, read_rows
from edugraph_common.sources.mapping import UNKNOWN, with_points
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.preview import preview
from edugraph_common.sources.rows import cut_rows

LATEST = datetime(2026, 6, 20, tzinfo=UTC)
FOLDER = Path(__file__).parents[1] / "libs/common/tests/gradebooks"
NAMES = sorted(path.name.removesuffix(".truth.yaml") for path in FOLDER.glob("*.truth.yaml"))
LEAST_RIGHT = 0.98
_COURSE = "C1"
_OTHER_POINTS = 77.0  # the answer to a question about a column that has no marks
_DECIMAL = re.compile(r"-?\d+\.\d+( ?%)?")

Table = list[list[str]]
Truth = dict[str, Any]
Attempts = dict[tuple[str, ...], float]


class ChangedFile(NamedTuple):
    """A gradebook in another form. `truth` has the marks that are left."""

    data: bytes
    truth: Truth


Change = Callable[[Table, Truth], ChangedFile | None]
"""Returns None for a table that cannot have the form."""


@dataclass
class Figures:
    """Cells with marks by the truth, those that were read right, and marks that were read and are not the truth."""

    cells: int = 0
    right: int = 0
    wrong: int = 0
    asked: int = 0
    files: int = 0
    misses: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        self.cells += other.cells
        self.right += other.right
        self.wrong += other.wrong
        self.asked += other.asked
        self.files += other.files
        self.misses += other.misses

    @property
    def meets_the_goal(self) -> bool:
        return self.wrong == 0 and self.right >= LEAST_RIGHT * self.cells


def truth_of(name: str) -> Truth:
    text = (FOLDER / f"{name}.truth.yaml").read_text("utf-8")
    found: Truth = yaml.load(text, yaml.CSafeLoader)
    return found


def table_of(name: str) -> Table:
    text = (FOLDER / f"{name}.csv").read_text("utf-8")
    delimiter = ";" if text.count(";") > text.count(",") else ","
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def as_csv(table: Table, delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(table)
    return out.getvalue()


def expected_of(truth: Truth) -> Attempts:
    """Return (student, item) -> percentage, with the time or the course between them where the truth has it."""
    expected: Attempts = {}
    for *keys, percent in (*truth.get("tries", ()), *truth.get("marks_by_course", ())):
        expected[tuple(map(str, keys))] = percent
    for student, marks in truth.get("marks", {}).items():
        for item, percent in marks.items():
            expected[student, item] = percent
    return expected


def attempts_of(records: list[Record], truth: Truth) -> Attempts:
    """Return the attempts in the form of the truth, with shares in per cent."""
    found: Attempts = {}
    for record in records:
        data = record.data
        assert isinstance(data, AttemptRecord)
        assert data.outcome_thousandths is not None
        percent = data.outcome_thousandths / 10
        if "tries" in truth:
            time = record.timestamp.strftime("%Y-%m-%dT%H:%M:%S")
            found[data.student_id, time, str(data.item_title)] = percent
        elif "marks_by_course" in truth:
            found[data.student_id, str(data.course_id), data.item_id] = percent
        else:
            found[data.student_id, str(data.item_title or data.item_id)] = percent
    return found


def records_of(name: str, data: bytes, mapping: str) -> list[Record]:
    file_format: Any = "workbook" if name.endswith(".xlsx") else "csv"
    plan, text = open_text(io.BytesIO(data), file_format, None, parse_mapping(mapping))
    rows = [row for _, row in read_rows(plan.source, cut_rows(plan.source, text), LATEST)]
    return [row for row in rows if isinstance(row, Record)]


def figures_of(file_name: str, changed: ChangedFile) -> Figures:
    """Import a file with the answers to what is asked, and compare the marks with the truth."""
    expected = {_plain(keys): percent for keys, percent in expected_of(changed.truth).items()}
    figures = Figures(cells=len(expected), files=1)
    found = preview(file_name, changed.data, None, LATEST, is_whole=True)
    mapping = found.mapping
    if mapping is None:
        figures.asked += 1
        figures.misses.append(str(found.problem))
        return figures
    points = {
        _one_line(column): worth
        for column, worth in changed.truth.get("answers", {}).get("points", {}).items()
    }
    asked = [each.column for each in found.item_points if each.points is None]
    figures.asked += len(asked)
    if asked:
        given = {column: points.get(_one_line(column), _OTHER_POINTS) for column in asked}
        mapping = with_points(mapping, json.dumps(given))
    mapping = mapping.replace(f"course_id: '{UNKNOWN}'", f"course_id: {_COURSE}")
    try:
        records = records_of(file_name, changed.data, mapping)
    except MalformedFile as problem:
        figures.asked += 1
        figures.misses.append(str(problem))
        return figures
    attempts = attempts_of(records, changed.truth)
    if len(attempts) < len(records):
        figures.wrong += len(records) - len(attempts)
        figures.misses.append("a cell was read twice")
    read = {_plain(keys): percent for keys, percent in attempts.items()}
    for keys, percent in read.items():
        if expected.get(keys) == percent:
            figures.right += 1
        elif not any(_one_line(column) in keys for column in asked):
            figures.wrong += 1
            figures.misses.append(f"{keys}: {percent} in place of {expected.get(keys)}")
    for keys in expected.keys() - read.keys():
        figures.misses.append(f"{keys} was not read")
    return figures


def _plain(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_one_line, keys))


def _one_line(text: str) -> str:
    """Return a text without differences that a change makes in names: capitals, and the sort of white space."""
    return " ".join(text.split()).casefold()


# --- Changes --------------------------------------------------------------------------------------------------------


def as_it_is(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(as_csv(table).encode(), truth)


# Fewer signs outside of ASCII do not tell an encoding, and the import asks for it.
_FEWEST_SIGNS_OF_AN_ENCODING = 12


def in_gb18030(table: Table, truth: Truth) -> ChangedFile | None:
    text = as_csv(table)
    if sum(not sign.isascii() for sign in text) < _FEWEST_SIGNS_OF_AN_ENCODING:
        return None
    return ChangedFile(text.encode("gb18030"), truth)


def in_utf_16(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(as_csv(table, "\t").encode("utf-16-le"), truth)


def with_decimal_commas(table: Table, truth: Truth) -> ChangedFile:
    rows = [
        [cell.replace(".", ",") if _DECIMAL.fullmatch(cell) else cell for cell in row]
        for row in table
    ]
    return ChangedFile(as_csv(rows, ";").encode(), truth)


def with_a_mark(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(("\ufeff" + as_csv(table)).encode(), truth)


def with_a_blank_second_row(table: Table, truth: Truth) -> ChangedFile | None:
    if truth.get("has_two_header_rows"):
        return None
    return ChangedFile(as_csv([table[0], [""] * len(table[0]), *table[1:]]).encode(), truth)


def with_rows_in_another_order(table: Table, truth: Truth) -> ChangedFile | None:
    if not items_of(table, truth):
        return None
    rows = table[1:]
    random.Random(5).shuffle(rows)
    return ChangedFile(as_csv([table[0], *rows]).encode(), truth)


def with_columns_in_another_order(table: Table, truth: Truth) -> ChangedFile | None:
    # In a file of Teams the points stand after their item, and merged cells stand above their columns.
    if truth.get("layout") == "Microsoft Teams assignments" or truth.get("has_two_header_rows"):
        return None
    order = list(range(len(table[0])))
    random.Random(7).shuffle(order)
    whole = [_padded(row, table) for row in table]
    rows = [[row[place] for place in order] for row in whole]
    return ChangedFile(as_csv(rows).encode(), truth)


def with_sep_line(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(b"sep=;\r\n" + as_csv(table, ";").encode(), truth)


def with_merged_titles(table: Table, truth: Truth) -> ChangedFile:
    titles = [["Grades of class 7A"], ["Autumn term 2026"], []]
    return _with_rows(table, truth, above=[_padded(row, table) for row in titles])


def with_a_title_line(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(f"Grades of class 7A\n\n{as_csv(table)}".encode(), truth)


def with_remarks_above(table: Table, truth: Truth) -> ChangedFile:
    remarks = [["Exported", "2026-06-01 10:15"], ["Teacher", "Ms. Gray"]]
    return _with_rows(table, truth, above=[_padded(row, table) for row in remarks])


def with_chinese_remarks_above(table: Table, truth: Truth) -> ChangedFile:
    remarks = [["班级：七1班", "任课教师：张老师", "学期：2026 春"]]
    return _with_rows(table, truth, above=[_padded(row, table) for row in remarks])


def with_remarks_below(table: Table, truth: Truth) -> ChangedFile:
    remarks = [
        [],
        ["任课教师签字：", "", "日期："],
        ["Students: 5"],
        ["Printed by a tool", "2026-06-01"],
    ]
    return _with_rows(table, truth, below=remarks)


def with_groups_above(table: Table, truth: Truth) -> ChangedFile | None:
    if truth.get("has_two_header_rows") or len(set(table[0])) < len(table[0]):
        return None
    groups = [""] * len(table[0])
    groups[len(groups) // 2] = "Unit 1"
    groups[-1] = "Unit 2"
    return _with_rows(table, truth, above=[groups])


def with_capitals(table: Table, truth: Truth) -> ChangedFile | None:
    if truth.get("has_two_header_rows"):
        return None
    return ChangedFile(as_csv([[cell.upper() for cell in table[0]], *table[1:]]).encode(), truth)


def with_spaces(table: Table, truth: Truth) -> ChangedFile:
    rows = [[f" {cell}\u00a0" if cell else cell for cell in row] for row in table]
    return ChangedFile(as_csv(rows).encode(), truth)


def with_blank_columns(table: Table, truth: Truth) -> ChangedFile:
    return ChangedFile(as_csv([[*_padded(row, table), "", ""] for row in table]).encode(), truth)


def with_line_breaks(table: Table, truth: Truth) -> ChangedFile:
    rows = [[cell.replace(" (", "\n(") for cell in row] for row in table[:1]]
    return ChangedFile(as_csv([*rows, *table[1:]]).encode(), truth)


def with_wide_digits(table: Table, truth: Truth) -> ChangedFile:
    wide = str.maketrans("0123456789.%", "０１２３４５６７８９．％")
    rows = [
        row if place == 0 else _marks_changed(row, table, truth, wide)
        for place, row in enumerate(table)
    ]
    return ChangedFile(as_csv(rows).encode(), truth)


def _marks_changed(row: list[str], table: Table, truth: Truth, wide: dict[int, int]) -> list[str]:
    items = items_of(table, truth)
    return [cell.translate(wide) if place in items else cell for place, cell in enumerate(row)]


def with_other_columns(table: Table, truth: Truth) -> ChangedFile:
    """Put remarks and telephone numbers behind the marks."""
    others = {0: ["Comment of the teacher", "Phone of parents"]}
    filled = ["fine", "13800138000"]
    last = len(table) - 1
    rows = [
        _padded(row, table) + others.get(place, filled if place == last else ["", ""])
        for place, row in enumerate(table)
    ]
    return ChangedFile(as_csv(rows).encode(), truth)


def with_a_total_between(table: Table, truth: Truth) -> ChangedFile | None:
    items = items_of(table, truth)
    if not items or truth.get("has_two_header_rows"):
        return None
    place = items[len(items) // 2]
    rng = random.Random(11)
    rows = [[*table[0][:place], "Subtotal", *table[0][place:]]]
    for row in table[1:]:
        whole = _padded(row, table)
        has_marks = any(whole[item] for item in items)
        total = str(rng.randint(10, 30)) if has_marks else ""
        rows.append([*whole[:place], total, *whole[place:]])
    return ChangedFile(as_csv(rows).encode(), truth)


def with_a_mean_between(table: Table, truth: Truth) -> ChangedFile | None:
    return _with_row_of_all(table, truth, "Class mean", "3.5", 3)


def with_weights(table: Table, truth: Truth) -> ChangedFile | None:
    return _with_row_of_all(table, truth, "Weight", "20%", 1)


def _with_row_of_all(
    table: Table, truth: Truth, label: str, cell: str, place: int
) -> ChangedFile | None:
    items = items_of(table, truth)
    if not items:
        return None
    row = [""] * len(table[0])
    row[0] = label
    for item in items:
        row[item] = cell
    return ChangedFile(as_csv([*table[:place], row, *table[place:]]).encode(), truth)


def with_words_for_marks(table: Table, truth: Truth) -> ChangedFile | None:
    """Replace marks by words for "no mark", and take these marks out of the truth."""
    if "marks" not in truth:
        return None
    words = ["EX", "缺考", "免修", "N/A", "Missing", "Late", "-", "缓考"]
    return _with_marks(
        table, truth, lambda _, number: words[number % len(words)], every=3, left=False
    )


def with_late_marks(table: Table, truth: Truth) -> ChangedFile | None:
    """Write behind some marks that the work came late. The mark itself counts."""
    endings = [" (late)", "（迟交）", " late", " 补交"]
    return _with_marks(
        table, truth, lambda cell, number: cell + endings[number % len(endings)], every=2, left=True
    )


def _with_marks(
    table: Table, truth: Truth, change: Callable[[str, int], str], every: int, *, left: bool
) -> ChangedFile | None:
    """Change one of `every` marks. `left` says whether the mark still counts."""
    if "marks" not in truth:
        return None
    marks = {student: dict(of_student) for student, of_student in truth["marks"].items()}
    rows = [list(row) for row in table]
    number = 0
    for row in rows:
        student = next((cell for cell in row if cell in marks), None)
        for place in items_of(table, truth):
            item = table[0][place]
            if student is None or item not in marks[student]:
                continue
            number += 1
            if number % every:
                continue
            row[place] = change(row[place], number)
            if not left:
                del marks[student][item]
    return ChangedFile(as_csv(rows).encode(), {**truth, "marks": marks})


def with_percentages(table: Table, truth: Truth) -> ChangedFile | None:
    """Write each mark as the percentage of the truth, which needs no points."""
    if "marks" not in truth or truth.get("layout") == "Open edX problem grade report":
        return None
    return _with_shares(table, truth, lambda percent: f"{percent:g} %")


def with_fractions(table: Table, truth: Truth) -> ChangedFile | None:
    if "marks" not in truth or truth.get("layout") == "Open edX problem grade report":
        return None
    return _with_shares(table, truth, lambda percent: f"{percent:g}/100")


def _with_shares(table: Table, truth: Truth, form: Callable[[float], str]) -> ChangedFile | None:
    rows = [list(row) for row in table]
    for row in rows:
        student = next((cell for cell in row if cell in truth["marks"]), None)
        if student is None:
            continue
        for place in items_of(table, truth):
            percent = truth["marks"][student].get(table[0][place])
            if percent is not None:
                row[place] = form(percent)
    return ChangedFile(as_csv(rows).encode(), truth)


def with_one_name(table: Table, truth: Truth) -> ChangedFile | None:
    """Give two students the same name, with a comma in it."""
    plain_names = [cell.strip().casefold() for cell in table[0]]
    names = [place for place, name in enumerate(plain_names) if name in ("name", "student", "姓名")]
    if not names or truth.get("has_two_header_rows"):
        return None
    rows = [list(row) for row in table]
    students = [row for row in rows if any(cell in truth.get("marks", {}) for cell in row)]
    for row in students[:2]:
        row[names[0]] = "Doe, Jo"
    return ChangedFile(as_csv(rows).encode(), truth)


def items_of(table: Table, truth: Truth) -> list[int]:
    """Return the places of the columns that are items by the truth."""
    names: set[str] = set()
    for marks in truth.get("marks", {}).values():
        names |= set(marks)
    names |= {item for *_, item, _ in truth.get("tries", ())}
    return [place for place, column in enumerate(table[0]) if column in names]


def _padded(row: list[str], table: Table) -> list[str]:
    width = max(map(len, table))
    return [*row, *[""] * (width - len(row))]


def _with_rows(
    table: Table, truth: Truth, *, above: Table | None = None, below: Table | None = None
) -> ChangedFile:
    return ChangedFile(as_csv([*(above or []), *table, *(below or [])]).encode(), truth)


CHANGES: tuple[Change, ...] = (
    as_it_is,
    in_gb18030,
    in_utf_16,
    with_a_mark,
    with_a_blank_second_row,
    with_rows_in_another_order,
    with_columns_in_another_order,
    with_decimal_commas,
    with_sep_line,
    with_merged_titles,
    with_a_title_line,
    with_remarks_above,
    with_chinese_remarks_above,
    with_remarks_below,
    with_groups_above,
    with_capitals,
    with_spaces,
    with_blank_columns,
    with_line_breaks,
    with_wide_digits,
    with_other_columns,
    with_a_total_between,
    with_a_mean_between,
    with_weights,
    with_words_for_marks,
    with_late_marks,
    with_percentages,
    with_fractions,
    with_one_name,
)


def measure(names: list[str] = NAMES) -> dict[tuple[str, str], Figures]:
    """Return (layout, change) -> its figures, for all changes that a file can have."""
    found = {}
    for name in names:
        truth = truth_of(name)
        table = table_of(name)
        file_name = truth.get("name", f"{name}.csv")
        for change in CHANGES:
            changed = change(table, truth)
            if changed is not None:
                found[name, change.__name__] = figures_of(file_name, changed)
    return found


def main() -> int:
    found = measure(sys.argv[1:] or NAMES)
    for place, title in ((0, "layout"), (1, "form")):
        sums: dict[str, Figures] = defaultdict(Figures)
        for key, figures in found.items():
            sums[key[place]].add(figures)
        _print(title, sums)
    whole = Figures()
    for figures in found.values():
        whole.add(figures)
    _print("all", {"all": whole})
    for (name, change), figures in found.items():
        for miss in figures.misses:
            print(f"{name}, {change}: {miss}")
    return int(not whole.meets_the_goal)


def _print(title: str, sums: dict[str, Figures]) -> None:
    print(f"{title:<28}{'files':>7}{'cells':>8}{'right':>8}{'right %':>9}{'wrong':>7}{'asked':>7}")
    for name, figures in sums.items():
        share = 100 * figures.right / figures.cells
        print(
            f"{name:<28}{figures.files:>7}{figures.cells:>8}{figures.right:>8}{share:>9.2f}"
            f"{figures.wrong:>7}{figures.asked:>7}"
        )
    print()


if __name__ == "__main__":
    sys.exit(main())
