"""Tables of marks without a mapping: which columns are items, what their cells mean, and what a person must say.

A table is recognised by its layout (see `gradebook_layouts`), or else by a column of students and at least two
columns of marks. Nothing is guessed about points: they come from the file, or a person must state them.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from statistics import median
from typing import Literal, NamedTuple

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import shorten
from edugraph_common.sources.gradebook_layouts import (
    Layout,
    has_student_ids,
    layout_of,
    person_name,
    plain,
    stem_of,
    words,
)
from edugraph_common.sources.mapping import UNKNOWN, may_be_a_first_name, one_line
from edugraph_common.sources.marks import PERCENT_SIGNS, Mark, decimal_of, read_mark, without_unit
from edugraph_common.sources.row_numbers import are_row_numbers

_FEWEST_ITEMS = 2
_SHOWN_STUDENTS = 3
_FEWEST_ROWS = 3  # from which the usual number of filled cells is known
_ROUNDING = 0.005  # sums of marks with two decimals
_LONGEST_NAME_IN_ID = 80  # characters; an id has at most 128 and begins with the course
_ZERO_ONE = ("0", "1")
# The plain name in `ids` that ranks as high as a name that is not listed there.
_ANY_STUDENT_ID = "studentid"
# Names of columns that state their points: "Q. 1 /2.00", "Essay (max 20)", "第3题（5分）", "Quiz [Total Pts: 10] |7".
# A number alone in brackets may be an id, and "Homework 3/4" a chapter or a date, so they do not count as points.
_POINTS = r"(?P<points>\d{1,3}(?:,\d{3})+|\d+(?:[.,]\d+)?)"
_MAXIMUM = (
    r"(?:\bmax(?:imum)?\.?(?:\s*(?:points|pts|score|marks))?|\bout of|\btotal (?:pts|points)|\bpoints possible|满分|"
    r"分值)"
)
_UNIT = r"\s*(?:分|points?|pts?\.?|marks?|score|punkte|p)?\s*"
_STATES_POINTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d)/\s*{_POINTS}{_UNIT}[)）\]]?\s*$",
        rf"{_MAXIMUM}\s*[:：]?\s*{_POINTS}{_UNIT}(?:[)）\]|]|$)",
        rf"[(（\[]\s*{_POINTS}\s*(?:分|points?|pts?\.?|marks?|punkte|p)\s*[)）\]]",
        rf"{_POINTS}\s*分\s*$",
    )
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
# How Moodle shows a grade, at the end of a column's name.
_PERCENTAGE = re.compile(
    r"\s*[(（](?:percentage|prozentsatz|pourcentage|porcentaje|百分比)[)）]$", re.IGNORECASE
)
_OTHER_DISPLAY = re.compile(
    r"\s*[(（](?:real|punkte|brut|实际分数|实际|letter|noten?|lettre|letra|字母|等级)[)）]$",
    re.IGNORECASE,
)
# The end of an item's name: its points, or how its grade is shown.
_SUFFIX = re.compile(
    r"\s*[(（\[][^()（）\[\]]*(?:\d|real|percentage|letter|punkte|prozentsatz|noten?|brut|pourcentage|lettre|porcentaje|letra|实际|百分比|字母|等级|分)"
    r"[^()（）\[\]]*[)）\]].*$|\s*/\s*\d+(?:[.,]\d+)?\s*$",
    re.IGNORECASE,
)
_AVERAGE = re.compile(r".*[(（]\s*(?:avg|average|mean|平均分?|均分)\.?\s*[)）]", re.IGNORECASE)
_ENDS_AS_TOTAL = re.compile(
    r".*\b(?:total|subtotal|average|gesamt|durchschnitt)|.*(?:总计|合计|小计|总分|总成绩|总评|平均分|均分|排名|名次|位次|班次|校次|级次|等级)",
    re.IGNORECASE,
)
# Moodle writes the kind of an activity before its name, and nothing before the name of a total.
_ACTIVITY = re.compile(
    r"(?:quiz|assignment|test|aufgabe|lektion|lesson|forum|workshop|survey|glossary|database|h5p|scorm|lernpaket|"
    r"external tool|devoir|leçon|atelier|base de données|glossaire|enquête|cuestionario|tarea|lección|foro|taller|"
    r"glosario|base de datos|paquete scorm|测验|作业|程序教学|讨论区|互动评价|互动课件|外部工具|课时)\s*[:：]",
    re.IGNORECASE,
)
# The end of the name of a column that has the points of another one.
_POINTS_COLUMN = re.compile(
    r"[\s_-]*[(（]?\s*(?:满分|分值|总分值|possible|points possible|max(?:imum)?(?: points| score)?|out of)\s*[)）]?$",
    re.IGNORECASE,
)
# "Quiz 1 (%)", "Quiz 1 %", and "Quiz 1 [Total Pts: 10 Percentage] |345" of Blackboard.
_IS_PERCENT = re.compile(
    r"[(（\[]\s*[%％]\s*[)）\]]$|\s[%％]$|\s(?:percentage|prozentsatz|百分比)\](?:\s*\|\d+)?$",
    re.IGNORECASE,
)
# Labels of rows that begin with the name of a class or course.
_LABEL = re.compile(
    r".*(?:平均分?|均分|最高分?|最低分?|及格率|优秀率|满分|合计|总计|标准差|中位数|人数)|"
    r"(?:class|overall|group|course|grade|section|year|school|total)\b.*\b(?:average|mean|median|total)",
    re.IGNORECASE,
)
# Other ids and numbers of students, such as 身份证号. A name such as 题1 or Q1 has its number at the end.
_IS_AN_ID = re.compile(
    r".*(?:号|号码|编码|电话|手机)|.*(?:student|user|pupil|person|login)id|.*phone(?!tic|m).*"
)
_HAN = re.compile(r"[\u3400-\u9fff]")
_NUMBERED = re.compile(r"(\D+)\d+")
# "Needs Grading(7)" of Blackboard, and "-- / 3" of Google Forms.
_AFTER_NOT_TRIED = re.compile(r"\s*(?:\(\d+\)|/\s*\d+(?:[.,]\d+)?)$")
_LETTERS = re.compile(
    r"[A-F][+-]?|pass|fail|优|优秀|良|良好|中|中等|及格|合格|不及格|不合格|差|甲|乙|丙|丁",
    re.IGNORECASE,
)
# The first words of `not_students` in every suggestion. Labels that the file has are added.
_NOT_STUDENTS = (
    *("average", "mean", "median", "total", "max", "min", "points possible", "max points"),
    *("平均", "平均分", "均分", "合计", "总计", "最高分", "最低分", "满分", "分值"),
)

StatedBy = Literal["name", "row", "column", "layout", "cells", "percent", "zero_one"]


class ItemPoints(ContractModel):
    """The points of a right answer to the item of a column.

    `points` are the points that the file states, or None if a person must state them. `stated_by` is the part of the
    file that states them: the name of the column, a row, a column beside it, the layout, fractions or percent signs
    in the cells, or cells that are all 0 or 1. `largest` is the largest mark in the first rows that is not a
    percentage. `marks` are the marks of the first students.
    """

    column: str
    points: float | None
    stated_by: StatedBy | None = None
    largest: float | None = None
    marks: tuple[str, ...] = ()


class SuggestedItems(NamedTuple):
    """The suggested items of a table of marks.

    - `names`: the columns that are items.
    - `fields`: column -> field of a record.
    - `items`: that part of a mapping.
    - `correct`: word -> whether it means right.
    - `shares`: letter -> the share that it is worth, which a person must state.
    - `decimal`: the sign before decimals, or None if no mark has one.
    - `students`: the rows of students.
    """

    layout: Layout | None
    names: list[str]
    fields: dict[str, str]
    items: dict[str, object]
    correct: dict[str, str]
    open_points: list[str]
    points: list[ItemPoints]
    decimal: str | None
    students: list[Sequence[str]]
    shares: dict[str, str] = {}


class _Column(NamedTuple):
    """A column that may be an item. `cells` are those of students, without blank ones and words for "not tried".

    `decimal` is the sign before decimals in the marks of the table, or None if they do not tell it.
    """

    place: int
    name: str
    cells: list[str]
    decimal: str | None = None

    @property
    def marks(self) -> list[Mark]:
        found = [read_mark(cell, self.decimal) for cell in self.cells]
        return [mark for mark in found if mark]

    @property
    def largest(self) -> float:
        return max(mark.value for mark in self.marks)

    @property
    def has_marks(self) -> bool:
        """Whether at least half of the cells are marks. The import rejects the others one by one."""
        return bool(self.cells) and 2 * len(self.marks) >= len(self.cells)


class Gradebook:
    """A table without a mapping, which may be a table of marks.

    - `known`: names of columns, in plain form, that are fields of records.
    - `right_words`: word -> whether it means right.
    - `file_name`: the name of the file, which may be the title of its only item.
    """

    def __init__(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        known: AbstractSet[str],
        right_words: Mapping[str, str],
        file_name: str | None = None,
    ) -> None:
        self.header = header
        self.layout = layout_of(header, rows)
        self._known = known
        self._right_words = right_words
        self._file_name = file_name
        self._words = words()
        self._open_points: list[str] = []
        plain_names = [person_name(column) for column in header]
        self._id_places = [place for place, column in enumerate(header) if has_student_ids(column)]
        self._name_places = _places_of_any(self._words.names, plain_names)
        for place in set(self._id_places) & set(self._name_places):
            cells = [_cell(row, place) for row in rows if _cell(row, place)]
            with_digits = [cell for cell in cells if re.search(r"\d", cell)]
            have_digits = 2 * len(with_digits) > len(cells)
            if have_digits:
                self._name_places.remove(place)
            else:
                self._id_places.remove(place)
        first_names = _places_of_any(self._words.first_names, plain_names)
        family_names = _places_of_any(self._words.family_names, plain_names)
        # 名字 is a whole name, but a first name beside 姓氏.
        if family_names:
            self._name_places = [place for place in self._name_places if place not in first_names]
        else:
            first_names = [place for place in first_names if place not in self._name_places]
        is_chinese = any(_HAN.search(header[place]) for place in family_names)
        self._part_places = first_names + family_names
        if is_chinese:
            self._part_places = family_names + first_names
        self.students: list[Sequence[str]] = []
        self._label_rows: list[Sequence[str]] = []
        for row in rows:
            if self._labels_of(row):
                self._label_rows.append(row)
            elif sum(bool(cell.strip()) for cell in row) > 1:
                self.students.append(row)
        # A row without any id is not about a student, if other rows have ids.
        with_ids = [row for row in self.students if any(self._ids_in(row))]
        if 2 * len(with_ids) > len(self.students):
            self.students = with_ids
        self.students = _without_remarks(self.students)
        self._points_row = self._row_of_points()

    def suggestion(self) -> SuggestedItems | None:
        """Return the suggested items, or None if this is not a table of marks."""
        id_place = self._id_place()
        if id_place is None:
            return None
        fields = self._fields(id_place)
        candidates = [column for column in self._candidates() if column.name not in fields]
        if self.layout is None or not self.layout.marks_totals:
            candidates = self._without_totals(self._one_display(candidates))

        candidates = self._without_zero_points(candidates)
        points = {column.name: self._points_of(column) for column in candidates if column.has_marks}
        columns = self._items_among(candidates, points)
        if not columns:
            found = self._of_one_mark_in_a_row(id_place, fields)
            return found or self._of_letters(candidates, fields)
        self._note_left_out(candidates, columns)
        names = shorten(", ".join(column.name for column in columns))
        self._open_points.insert(0, f"each cell of {names} becomes an attempt at that item")

        items: dict[str, object] = {"columns": self._names_in_mapping(columns)}
        if self.layout is not None:
            items["item_id"] = "{course}/{column}"
            ids = self._ids_in_mapping(columns)
            if ids:
                items["ids"] = ids
        asked = [points[column.name] for column in columns if column.name in points]
        is_scored = len(asked) == len(columns) and not all(
            self._is_marked(column, points) for column in columns
        )
        if not is_scored:
            correct = self._words_for_right(columns)
            asked = [
                each.model_copy(update={"points": 1.0, "stated_by": "zero_one"}) for each in asked
            ]
            return self._suggested(columns, fields, items, correct, asked)
        in_rows = self._points_in_rows(columns)
        if in_rows:
            items["points_in"] = in_rows
        asked = [each for each in asked if each.column not in in_rows]
        if asked:
            items["scale"] = {each.column: _in_mapping(each.points) for each in asked}
        return self._suggested(columns, fields, items, {}, asked)

    def _words_for_right(self, columns: Sequence[_Column]) -> dict[str, str]:
        """Return the cells that say right or wrong in words, and whether they mean right."""
        correct = {}
        for column in columns:
            for cell in column.cells:
                if cell in self._right_words:
                    correct[cell] = self._right_words[cell]
        return correct

    def _items_among(
        self, candidates: Sequence[_Column], points: Mapping[str, ItemPoints]
    ) -> list[_Column]:
        """Return the columns that are items: those with marks, or else those whose cells say right or wrong."""
        scored = [column for column in candidates if column.name in points]
        marked = [column for column in candidates if self._is_marked(column, points)]
        columns = marked
        if len(scored) > len(marked):
            columns = scored
        is_certain = self.layout is not None and self.layout.is_of_platform
        states_points = self.layout is not None and any(
            each.points is not None for each in points.values()
        )
        fewest = _FEWEST_ITEMS
        if is_certain or states_points:
            fewest = 1
        if len(columns) >= fewest:
            return columns
        return []

    def _is_marked(self, column: _Column, points: Mapping[str, ItemPoints]) -> bool:
        """Return whether the cells of a column say right or wrong, and it has no points."""
        states_points = column.name in points and points[column.name].points is not None
        is_in_words = all(cell in self._right_words or cell in _ZERO_ONE for cell in column.cells)
        return bool(column.cells) and is_in_words and not states_points

    def _suggested(
        self,
        columns: Sequence[_Column],
        fields: dict[str, str],
        items: dict[str, object],
        correct: dict[str, str],
        asked: list[ItemPoints],
    ) -> SuggestedItems:
        """Return the suggestion with the words for rows and cells without attempts."""
        absent: set[str] = set()
        cells: list[str] = []
        for column in columns:
            absent.update(filter(self._is_not_tried, self._cells_of(column.place)))
            cells += column.cells
        if absent:
            items["not_tried"] = sorted(absent)
        absent_rows = self._absent_rows()
        if absent_rows:
            items["not_tried_if"] = absent_rows
        items["not_students"] = self._not_students(fields)
        if (
            self.layout is not None
            and self.layout.one_attempt
            and "timestamp" not in fields.values()
        ):
            items["one_attempt"] = True
        return SuggestedItems(
            layout=self.layout,
            names=[column.name for column in columns],
            fields=fields,
            items=items,
            correct=dict(sorted(correct.items())),
            open_points=self._open_points,
            points=asked,
            decimal=decimal_of(cells),
            students=self.students,
        )

    # Rows and people

    def _labels_of(self, row: Sequence[str]) -> list[str]:
        """Return the labels of a row that is not about a student, such as "Class average", or an empty list.

        A label stands in the place of an id or a name, or in any cell of a row without an id.
        """
        ids = self._ids_in(row)
        has_id = any(cell and not self._is_not_tried(cell) for cell in ids)
        if not has_id:
            return [cell.strip() for cell in row if self._is_label(cell.strip())]
        labels = [cell for cell in ids if self._is_label(cell)]
        for place in (*self._name_places, *self._part_places):
            name = _cell(row, place)
            if plain(name) in self._words.labels and not may_be_a_first_name(name):
                labels.append(name)
        return labels

    def _ids_in(self, row: Sequence[str]) -> list[str]:
        return [_cell(row, place) for place in self._id_places]

    def _is_label(self, cell: str) -> bool:
        return plain(cell) in self._words.labels or _LABEL.fullmatch(cell) is not None

    def _row_of_points(self) -> Sequence[str] | None:
        """Return the first row that states the points of columns, or None."""
        for row in self._label_rows:
            states_points = any(
                plain(label) in self._words.points_rows for label in self._labels_of(row)
            )
            if states_points and any(map(read_mark, row)):
                return row
        return None

    def _id_place(self) -> int | None:
        """Return the place of the column with the ids of students, or None if no column names students.

        The best column is the first of the preferred ones in which each student has a value.
        """
        trusted: list[str] = []
        if self.layout is not None:
            trusted = [plain(name) for name in self.layout.ids]
        preferred = [*trusted, *self._words.ids]
        places = sorted(
            self._id_places, key=lambda place: _rank_of_ids(self.header[place], preferred)
        )
        usable = []
        numberings = []
        for place in places:
            column = self.header[place]
            cells = self._cells_of(place)
            # A school's own column of ids is trusted whatever its values.
            is_numbering = (
                plain(column) == "id" and "id" not in trusted and are_row_numbers(column, cells)
            )
            if cells and is_numbering:
                numberings.append(place)
            elif cells:
                usable.append(place)
        complete = [place for place in usable if self._is_complete(place)]
        if complete:
            column = self.header[complete[0]]
            is_trusted = person_name(column) in trusted
            if not is_trusted and are_row_numbers(column, self._cells_of(complete[0])):
                self._note_numbering(column)
            self._note_two_rows(complete[0])
            passed_over = [self.header[place] for place in usable[: usable.index(complete[0])]]
            if passed_over:
                self._open_points.append(
                    f"{', '.join(passed_over)} is blank in some rows, so {column} is the id"
                )
            return complete[0]
        if usable:
            self._open_points.append(
                f"{self.header[usable[0]]} is blank in some rows, which are set aside"
            )
            return usable[0]
        name_place = self._name_as_id()
        if name_place is None and numberings:
            self._note_numbering(self.header[numberings[0]])
            return numberings[0]
        return name_place

    def _note_numbering(self, column: str) -> None:
        self._open_points.append(
            f"{column} counts the students: if other classes have the same numbers, choose another column, "
            "or students of different classes become one"
        )

    def _note_two_rows(self, id_place: int) -> None:
        """Ask about students with more than one row in a table that has one row for each student."""
        often = Counter(self._cells_of(id_place))
        twice = [student for student, rows in often.items() if rows > 1]
        has_rows_of_items = bool(
            self._places_of((*self._words.items, *self._words.courses, *self._words.times))
        )
        if twice and not has_rows_of_items:
            self._open_points.append(
                f"{len(twice)} students have more than one row: the last one counts"
            )

    def _name_as_id(self) -> int | None:
        """Return the place of the column with names, if the table has no ids and each name is there once."""
        for place in self._name_places:
            cells = self._cells_of(place)
            has_rows_of_items = bool(self._places_of((*self._words.items, *self._words.courses)))
            is_unique = has_rows_of_items or len(set(cells)) == len(cells)
            if not cells or not is_unique:
                continue
            self._open_points.append(
                f"no column has ids of students, so {self.header[place]} is used as the id: check that no two "
                "students have one name, and that other files use the same names as ids"
            )
            return place
        return None

    def _fields(self, id_place: int) -> dict[str, str]:
        """Return column -> field of the columns about the whole row."""
        fields: dict[str, str] = {}
        id_column = self.header[id_place]
        name_places = [place for place in self._name_places if self.header[place] != id_column]
        if name_places:
            fields[self.header[name_places[0]]] = "student_name"
        course_places = self._places_of(self._words.courses)
        time_places = self._places_of(tuple(self._words.times))
        for places, field in ((course_places, "course_id"), (time_places, "timestamp")):
            complete = [place for place in places if self._is_complete(place)]
            if complete:
                fields[self.header[complete[0]]] = field
        fields[id_column] = "student_id"
        if not name_places:
            fields |= dict.fromkeys(
                (self.header[place] for place in self._part_places), "student_name"
            )
        return fields

    def _is_complete(self, place: int) -> bool:
        """Return whether each student has a value in a column."""
        return len(self._cells_of(place)) == len(self.students)

    def _places_of(self, names: Sequence[str]) -> list[int]:
        """Return the places of the columns with one of these names, in the order of the names."""
        found = []
        for name in names:
            found += [place for place, column in enumerate(self.header) if plain(column) == name]
        return found

    def _cells_of(self, place: int) -> list[str]:
        """Return the cells of students in a column that are not blank."""
        cells = [_cell(row, place) for row in self.students]
        return [cell for cell in cells if cell]

    # Columns

    def _candidates(self) -> list[_Column]:
        """Return the columns that may be items."""
        people = {*self._id_places, *self._name_places, *self._part_places}
        often = Counter(self.header)
        found = []
        for place, column in enumerate(self.header):
            if not column or place in people:
                continue
            if not self._may_be_an_item(column):
                continue
            cells = [cell for cell in self._cells_of(place) if not self._is_not_tried(cell)]
            if often[column] > 1:
                if any(map(read_mark, cells)):
                    self._open_points.append(
                        f"the header has {column} more than once: both are left out; rename one"
                    )
                continue
            found.append(_Column(place, column, cells))
        marks = []
        for each in found:
            if each.has_marks:
                marks += each.cells
        decimal = decimal_of(marks)
        return [each._replace(decimal=decimal) for each in found]

    def _may_be_an_item(self, column: str) -> bool:
        """Return whether the name of a column may be that of an item."""
        if self.layout is not None and self.layout.items is not None:
            return _matches(self.layout.items, column)
        if self.layout is not None and self.layout.totals is not None:
            if _matches(self.layout.totals, column):
                return False
        name = plain(column)
        other_columns = (
            self._words.others,
            self._words.times,
            self._words.absent,
            self._words.points,
        )
        if any(name in names for names in other_columns) or name in self._words.courses:
            return False
        if not name or self._item_with_points_in(column) is not None:
            return False
        if _IS_AN_ID.fullmatch(name):
            return False
        is_of_platform = self.layout is not None and self.layout.is_of_platform
        return is_of_platform or (name not in self._known and name not in self._words.marks)

    def _one_display(self, candidates: list[_Column]) -> list[_Column]:
        """Leave out the other columns of an item that also stands there as a percentage, which needs no points."""
        percentages = {
            _PERCENTAGE.sub("", column.name)
            for column in candidates
            if _PERCENTAGE.search(column.name)
        }
        return [
            column
            for column in candidates
            if not _OTHER_DISPLAY.search(column.name)
            or _OTHER_DISPLAY.sub("", column.name) not in percentages
        ]

    def _without_totals(self, candidates: list[_Column]) -> list[_Column]:
        """Leave out columns that are totals or means by their names or by their numbers."""
        totals: list[_Column] = []
        left: list[_Column] = []
        for column in candidates:
            if _is_total(column.name, self._words.totals):
                totals.append(column)
            else:
                left.append(column)
        names = {column.name for column in totals}
        names |= {column.name for column in left if self._is_sum(column, left)}
        numbers = []
        for column in candidates:
            if column.name in names and column.has_marks:
                numbers.append(column.name)
        if numbers:
            self._open_points.append(
                f"{shorten(', '.join(numbers))} are totals, means or ranks, and not items"
            )
        return [column for column in candidates if column.name not in names]

    def _without_zero_points(self, candidates: list[_Column]) -> list[_Column]:
        """Leave out columns that have 0 points in the row of points, because no share of them can be right."""
        without = [column.name for column in candidates if self._stated(column) == (0, "row")]
        if without:
            self._open_points.append(
                f"{shorten(', '.join(without))} have 0 points, so they are left out"
            )
        return [column for column in candidates if column.name not in without]

    def _is_sum(self, column: _Column, candidates: Sequence[_Column]) -> bool:
        """Return whether the column is the sum of all other columns with marks, for at least three students."""
        others = [each for each in candidates if each.place != column.place and each.has_marks]
        if len(others) < _FEWEST_ITEMS or not column.has_marks:
            return False
        # Marks of 0 and 1 may be sums of each other by chance, but they are not larger than each other.
        largest_of_others = max(each.largest for each in others)
        if column.largest <= largest_of_others:
            return False
        compared = 0
        for row in self.students:
            mark = read_mark(_cell(row, column.place), column.decimal)
            marks = [read_mark(_cell(row, each.place), each.decimal) for each in others]
            values = [each.value for each in marks if each]
            if mark is None or len(values) < _FEWEST_ITEMS:
                continue
            if abs(mark.value - sum(values)) > _ROUNDING:
                return False
            compared += 1
        return compared >= _SHOWN_STUDENTS

    def _note_left_out(self, candidates: Sequence[_Column], columns: Sequence[_Column]) -> None:
        """Ask about columns that may be items and have letters or words in place of marks."""
        used = {column.name for column in columns}
        for column in candidates:
            if column.name in used or not column.cells:
                continue
            is_of_platform = self.layout is not None and self.layout.is_of_platform
            if is_of_platform or _are_letters(column.cells):
                shown = shorten(", ".join(sorted(set(column.cells))))
                self._open_points.append(
                    f"{column.name} has {shown}, and the file does not say what they are "
                    "worth: it is left out; to read it, name it under items, and give each word a share, as in "
                    "`values: {score: {A: 0.95}}`"
                )

    # Points

    def _points_of(self, column: _Column) -> ItemPoints:
        """Return the points of an item with marks."""
        marks = column.marks
        largest = max((mark.value for mark in marks if mark.points is None), default=None)
        points, stated_by = self._stated(column)
        # A mark above the points shows that the number means something else, or that extra points are possible.
        is_likely = points is not None and points > 0 and (largest is None or largest <= points)
        first = tuple(cell for cell in column.cells if read_mark(cell))[:_SHOWN_STUDENTS]
        if not is_likely:
            return ItemPoints(column=column.name, points=None, largest=largest, marks=first)
        return ItemPoints(
            column=column.name, points=points, stated_by=stated_by, largest=largest, marks=first
        )

    def _stated(self, column: _Column) -> tuple[float | None, StatedBy | None]:
        """Return the points that the file states, and what states them. A row takes precedence over other places."""
        in_row = read_mark(_cell(self._points_row or (), column.place), column.decimal)
        if in_row is not None:
            return in_row.value, "row"
        beside = self._points_beside(column)
        if len(beside) == 1:
            return beside.pop(), "column"
        by_name = points_in_name(column.name)
        if by_name is not None:
            return by_name, "name"
        if self.layout is not None and self.layout.scale is not None:
            return self.layout.scale, "layout"
        stated = {mark.points for mark in column.marks}
        if stated == {100.0} and all(
            without_unit(cell).endswith(PERCENT_SIGNS) for cell in column.cells if read_mark(cell)
        ):
            return 100.0, "percent"
        if stated and None not in stated:
            return max(each for each in stated if each is not None), "cells"
        return None, None

    def _points_beside(self, column: _Column) -> set[float]:
        """Return the points in the column beside this one."""
        place = self._place_beside(column)
        if place is None:
            return set()
        marks = [read_mark(cell, column.decimal) for cell in self._cells_of(place)]
        return {mark.value for mark in marks if mark}

    def _place_beside(self, column: _Column) -> int | None:
        """Return the place of the column that has the points of this one, or None."""
        for place, name in enumerate(self.header):
            if self._item_with_points_in(name) == column.name:
                return place
        if self.layout is None:
            return None
        names = {plain(name) for name in self.layout.beside}
        after = column.place + 1
        is_beside = after < len(self.header) and plain(self.header[after]) in names
        if not is_beside:
            return None
        return after

    def _item_with_points_in(self, column: str) -> str | None:
        """Return the item whose points a column has by its name, such as "数学" for "数学满分", or None."""
        column = one_line(column)
        ending = _POINTS_COLUMN.search(column)
        if ending is None:
            return None
        item = column[: ending.start()].strip().casefold()
        for name in self.header:
            if one_line(name).casefold() in (item, f"{item} (earned)"):
                return name
        return None

    def _points_in_rows(self, columns: Sequence[_Column]) -> dict[str, str]:
        """Return item -> column with its points, for items whose points differ between rows."""
        found = {}
        for column in columns:
            place = self._place_beside(column)
            if place is not None and len(self._points_beside(column)) > 1:
                is_unique = list(self.header).count(self.header[place]) == 1
                if is_unique:
                    found[column.name] = self.header[place]
        return found

    # One mark in a row

    def _of_one_mark_in_a_row(self, id_place: int, fields: dict[str, str]) -> SuggestedItems | None:
        """Return the suggestion for a table with one mark in each row, or None if it is not one."""
        mark_places = [place for place in self._places_of(self._words.marks) if place != id_place]
        points_places = _places_of_any(self._words.points, map(plain, self.header))
        if mark_places and not points_places:
            points_places = self._totals_with_points(mark_places[0])
        if not mark_places or (self.layout is None and not points_places):
            return None
        place = mark_places[0]
        cells = [cell for cell in self._cells_of(place) if not self._is_not_tried(cell)]
        column = _Column(place, self.header[place], cells, decimal_of(cells))
        if not column.has_marks:
            return None

        item_places = [
            each for each in self._places_of(self._words.items) if self.header[each] not in fields
        ]
        items: dict[str, object] = {"columns": [column.name], "item_id": "{course}/{column}"}
        if item_places:
            fields[self.header[item_places[0]]] = "item_id"
        else:
            items["ids"] = {column.name: self._title_of_file()}
        asked = []
        if points_places:
            items["points_in"] = {column.name: self.header[points_places[0]]}
        else:
            asked = [self._points_of(column)]
            items["scale"] = {each.column: _in_mapping(each.points) for each in asked}
        if self.layout is None and "timestamp" not in fields.values():
            items["one_attempt"] = True
        self._open_points.insert(0, f"{column.name} becomes an attempt at the item of its row")
        return self._suggested([column], fields, items, {}, asked)

    def _totals_with_points(self, mark_place: int) -> list[int]:
        """Return the columns of totals, such as 总分, that have the points of the item of each row.

        Such a column has one number for all rows of an item, no mark is larger, and some item has several rows.
        """
        item_places = self._places_of(self._words.items)
        if not item_places:
            return []
        found = []
        for place in _places_of_any(self._words.totals, map(plain, self.header)):
            points_of: dict[str, set[float]] = defaultdict(set)
            rows_with_marks = 0
            is_largest = True
            for row in self.students:
                points = read_mark(_cell(row, place))
                mark = read_mark(_cell(row, mark_place))
                if points is not None:
                    points_of[_cell(row, item_places[0])].add(points.value)
                if points is not None and mark is not None:
                    rows_with_marks += 1
                    is_largest = is_largest and mark.value <= points.value
            has_one_number = all(len(points) == 1 for points in points_of.values())
            if has_one_number and is_largest and rows_with_marks > len(points_of) > 0:
                found.append(place)
        return found

    def _of_letters(
        self, candidates: Sequence[_Column], fields: dict[str, str]
    ) -> SuggestedItems | None:
        """Return the suggestion for a table whose only marks are letters, or None if it is not one."""
        columns = [column for column in candidates if column.cells and _are_letters(column.cells)]
        if len(columns) < _FEWEST_ITEMS:
            return None
        items: dict[str, object] = {"columns": self._names_in_mapping(columns)}
        if self.layout is not None:
            items["item_id"] = "{course}/{column}"
        items["scale"] = dict.fromkeys((column.name for column in columns), 1)
        found_letters: set[str] = set()
        for column in columns:
            found_letters.update(filter(_LETTERS.fullmatch, column.cells))
        letters = sorted(found_letters)
        self._open_points.insert(
            0,
            f"the marks are letters: write the share that each is worth, such as 0.95 ({', '.join(letters)})",
        )
        found = self._suggested(columns, fields, items, {}, [])
        return found._replace(shares=dict.fromkeys(letters, UNKNOWN))

    def _title_of_file(self) -> str:
        """Return the id of the only item of a file. Without the file's name, a person must complete it."""
        stem = stem_of(self._file_name or "")
        title = re.sub(
            r"\s*[(（](?:responses|回复|antworten)[)）].*$", "", stem, flags=re.IGNORECASE
        )
        self._open_points.append(
            "the item is named after the file: write another name under ids if that is wrong"
        )
        return "{course}/" + (title[:_LONGEST_NAME_IN_ID] or UNKNOWN)

    # Words

    def _is_not_tried(self, cell: str) -> bool:
        """Return whether a cell says that there is no mark."""
        return _AFTER_NOT_TRIED.sub("", cell.strip()).casefold() in self._words.not_tried

    def _absent_rows(self) -> dict[str, list[str]]:
        """Return column -> the words in it that say that a student was absent."""
        found = {}
        for column in self.header:
            if column and plain(column) in self._words.absent:
                place = list(self.header).index(column)
                cells = {
                    cell
                    for cell in self._cells_of(place)
                    if cell.casefold() in self._words.absent_words
                }
                if cells:
                    found[column] = sorted(cells)
        return found

    def _not_students(self, fields: Mapping[str, str]) -> list[str]:
        """Return the labels of rows that are not about students: the usual ones, and those that the file has."""
        seen = []
        for row in self._label_rows:
            seen += self._labels_of(row)
        labels = list(dict.fromkeys((*_NOT_STUDENTS, *seen)))
        [id_column] = [column for column, field in fields.items() if field == "student_id"]
        if person_name(id_column) in self._words.names:
            labels = [label for label in labels if not may_be_a_first_name(label) or label in seen]
        return labels

    def _ids_in_mapping(self, columns: Sequence[_Column]) -> dict[str, str]:
        """Return column -> id, where the name of the column is not a good id."""
        if self.layout is not None and self.layout.one_item:
            return {column.name: self._title_of_file() for column in columns}
        ids = {}
        # The same item has the same id in exports that show grades in another way.
        bases = Counter(_without_display(column.name) for column in columns)
        for column in columns:
            base = _without_display(column.name)
            if len(column.name) > _LONGEST_NAME_IN_ID:
                ids[column.name] = _short_id(column.name)
            elif base != column.name and bases[base] == 1:
                ids[column.name] = f"{{course}}/{base}"
        return ids

    def _names_in_mapping(self, columns: Sequence[_Column]) -> list[str]:
        """Return the names of the columns, or one pattern if they are numbered and no other column matches it."""
        names = [column.name for column in columns]
        beginnings = set()
        for name in names:
            numbered = _NUMBERED.fullmatch(name)
            if not numbered:
                return names
            beginnings.add(numbered[1])
        beginning = beginnings.pop()
        if beginnings or not beginning or set("*?[]") & set(beginning):
            return names
        others = [
            column for column in self.header if column.startswith(beginning) and column not in names
        ]
        if others:
            return names
        return [f"{beginning}*"]


def points_in_name(column: str) -> float | None:
    """Return the points that the name of a column states, or None."""
    column = one_line(column)
    if _PERCENTAGE.search(column) or _IS_PERCENT.search(column):
        return 100.0
    for pattern in _STATES_POINTS:
        found = pattern.search(column)
        if found:
            number = found["points"]
            if _THOUSANDS.fullmatch(number):
                number = number.replace(",", "")
            return float(number.replace(",", "."))
    return None


def _rank_of_ids(column: str, preferred: Sequence[str]) -> int:
    """Return the place of a column of ids among the preferred names, or that of the usual name if it has another."""
    name = person_name(column)
    if name not in preferred:
        name = _ANY_STUDENT_ID
    return preferred.index(name)


def _without_remarks(rows: list[Sequence[str]]) -> list[Sequence[str]]:
    """Return the rows without remarks at the end of a table, such as "Printed on" and a date.

    A remark fills fewer than half as many cells as the other rows.
    """
    if len(rows) < _FEWEST_ROWS:
        return rows
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    typical = median(filled)
    return [row for row, cells in zip(rows, filled, strict=True) if 2 * cells >= typical]


def _are_letters(cells: Sequence[str]) -> bool:
    """Return whether at least half of the cells are letters or words that grade."""
    letters = [cell for cell in cells if _LETTERS.fullmatch(cell)]
    return 2 * len(letters) >= len(cells)


def _without_display(column: str) -> str:
    return _OTHER_DISPLAY.sub("", _PERCENTAGE.sub("", column))


def _matches(pattern: str, column: str) -> bool:
    return re.fullmatch(pattern, one_line(column), re.IGNORECASE) is not None


def _is_total(column: str, totals: AbstractSet[str]) -> bool:
    """Return whether the name of a column is that of a total, a mean or a rank."""
    column = one_line(column)
    if _AVERAGE.fullmatch(column):
        return True
    if _ACTIVITY.match(column):
        return False
    base = _SUFFIX.sub("", column).strip()
    return (
        plain(column) in totals
        or plain(base) in totals
        or _ENDS_AS_TOTAL.fullmatch(base) is not None
    )


def _short_id(column: str) -> str:
    """Return the id of an item whose column has a long name, such as the text of a question."""
    digest = hashlib.sha256(column.encode()).hexdigest()[:8]
    return f"{{course}}/{column[:60].strip()}-{digest}"


def _in_mapping(points: float | None) -> float | str:
    """Return the points for a mapping, or a question mark if a person must state them."""
    if points is None:
        return UNKNOWN
    if points.is_integer():
        return int(points)
    return points


def _places_of_any(names: Container[str], plain_header: Iterable[str]) -> list[int]:
    """Return the places of the columns whose plain name is one of `names`."""
    return [place for place, name in enumerate(plain_header) if name in names]


def _cell(row: Sequence[str], place: int) -> str:
    """Return a cell of a row, which may be shorter than the header."""
    if place < len(row):
        return row[place].strip()
    return ""
