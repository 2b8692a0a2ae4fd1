"""Layouts of gradebooks, which the names of their columns identify, and the words that gradebooks use.

`gradebook_layouts.yaml` has them. A new layout needs an entry there and no code.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any, NamedTuple

import yaml

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import RecordType

# The number of a question, and words before what it asks for.
_QUESTION = re.compile(
    r"\s*(?:Q?\d+\s*[、.．:：)）]\s*)?(?:请(?:输入|填写))?(?:您的|你的|your\b)?", re.IGNORECASE
)
# The plain name of a column of ids: a word for students, and a word for an id. As in "Pupil ref" and "Schülernummer".
_STUDENT_ID = re.compile(
    r"(?:students?|pupils?|learners?|candidates?|participants?|trainees?|schüler(?:innen)?|teilnehmer(?:innen)?|"
    r"studierenden?|学生|学员|考生)"
    r"(?:ids?|identifier|no|nr|num|number|nummer|ref|reference|code|key|uid|kennung|编号|编码|代码|号|号码)"
)


class Layout(ContractModel):
    """A layout of a gradebook. `gradebook_layouts.yaml` describes the fields."""

    name: str
    has: tuple[tuple[str, ...], ...] = ()
    column: str | None = None
    rows: tuple[str, ...] = ()
    items: str | None = None
    totals: str | None = None
    scale: float | None = None
    course: str | None = None
    ids: tuple[str, ...] = ()
    one_attempt: bool = True
    one_item: bool = False
    marks_totals: bool = False
    beside: tuple[str, ...] = ()
    is_of_platform: bool = True

    def course_of(self, file_name: str | None) -> str | None:
        """Return the course that the name of an export states, or None."""
        if self.course is None or file_name is None:
            return None
        found = re.fullmatch(self.course, stem_of(file_name))
        if not found:
            return None
        return found["course"]


class RecordsLayout(ContractModel):
    """A table whose columns have a known meaning. `mark` is the column with the points of an attempt.

    `absent`: column -> words in it for a row without an attempt.
    """

    name: str
    has: tuple[str, ...]
    type: RecordType
    columns: dict[str, str]
    values: dict[str, dict[str, str]] = {}
    mark: str | None = None
    absent: dict[str, tuple[str, ...]] = {}


class Words:
    """The words of gradebooks. Names of columns and labels of rows are in plain form."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.ids = tuple(map(plain, _flat(found["ids"])))
        self.names = _plain_set(found["names"])
        self.first_names = _plain_set(found["first_names"])
        self.family_names = _plain_set(found["family_names"])
        self.courses = tuple(map(plain, found["courses"]))
        self.times = _plain_set(found["times"])
        self.marks = tuple(map(plain, found["marks"]))
        self.items = tuple(map(plain, found["items"]))
        self.points = _plain_set(found["points"])
        self.absent = _plain_set(found["absent"])
        self.totals = _plain_set(_flat(found["totals"]))
        self.others = _plain_set(_flat(found["others"]))
        self.written_at = _plain_set(found["written_at"])
        self.points_rows = _plain_set(found["points_rows"])
        self.labels = self.points_rows | _plain_set(_flat(found["other_rows"]))
        # These two are compared without case, because a lone "-" has no plain form.
        self.not_tried = frozenset(_flat(found["not_tried"]))
        self.absent_words = frozenset(found["absent_words"])


def layout_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Layout | None:
    """Return the first layout that fits the names of the columns and the labels of the rows, or None."""
    names = set(map(plain, header))
    names.update(map(person_name, header))
    labels = set[str]()
    for row in rows:
        labels.update(map(plain, row))
    for layout in _found().layouts:
        has_all = all(names & _plain_set(choices) for choices in layout.has)
        has_column = layout.column is None or any(
            re.search(layout.column, column, re.IGNORECASE) for column in header
        )
        has_row = not layout.rows or bool(labels & _plain_set(layout.rows))
        if has_all and has_column and has_row:
            return layout
    return None


def records_layout_of(header: Sequence[str]) -> RecordsLayout | None:
    """Return the layout of a table whose columns have a known meaning, or None."""
    names = {plain(column) for column in header}
    for layout in _found().records:
        if names >= set(layout.has):
            return layout
    return None


def words() -> Words:
    """Return the words of gradebooks."""
    return _found().words


def plain(name: str) -> str:
    """Return a name without differences in case, width, spaces and punctuation between exports."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    if folded.isalnum():
        return folded
    return "".join(char for char in folded if char.isalnum())


def person_name(column: str) -> str:
    """Return the plain name of a column that may be about a person, such as "2、您的学号：" of a form."""
    asked = _QUESTION.sub("", column)
    return plain(asked)


def has_student_ids(column: str) -> bool:
    """Return whether the name of a column is that of a column with ids of students."""
    name = person_name(column)
    if name in words().ids:
        return True
    found = _STUDENT_ID.fullmatch(name)
    return found is not None


def stem_of(file_name: str) -> str:
    """Return the name of a file without folders and endings, and without the number of a second download."""
    name = re.split(r"[/\\]", file_name)[-1]
    stem = re.sub(
        r"(?:\.(?:csv|tsv|txt|xlsx?|ods|parquet|gz|zst))+$", "", name, flags=re.IGNORECASE
    )
    return re.sub(r" ?\(\d+\)$", "", stem).strip()


def _flat(lists: Sequence[Sequence[str]]) -> list[str]:
    """Return the words of several lists, which only break the lines of the file."""
    return list(chain.from_iterable(lists))


def _plain_set(names: Sequence[str]) -> frozenset[str]:
    return frozenset(plain(name) for name in names)


class _Found(NamedTuple):
    layouts: tuple[Layout, ...]
    records: tuple[RecordsLayout, ...]
    words: Words


@cache
def _found() -> _Found:
    text = (
        resources.files("edugraph_common.sources")
        .joinpath("gradebook_layouts.yaml")
        .read_text("utf-8")
    )
    found = yaml.load(text, yaml.CSafeLoader)
    layouts = found.pop("layouts")
    records = found.pop("records")
    return _Found(
        layouts=tuple(Layout.model_validate(each) for each in layouts),
        records=tuple(RecordsLayout.model_validate(each) for each in records),
        words=Words(found),
    )
