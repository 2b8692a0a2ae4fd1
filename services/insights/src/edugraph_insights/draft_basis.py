"""The records on which a draft is based: those of students whom the caller leads, short and numbered."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.drafts import (
    LONGEST_SHOWN_NAME,
    LONGEST_SHOWN_TEXT,
    MOST_BASIS_BYTES,
    MOST_RECORDS,
    MOST_SHOWN_NAMES,
    DraftBasis,
    DraftKind,
    DraftLanguage,
    DraftRecord,
    DraftStudent,
)
from edugraph_common.contracts.record_fields import Id
from edugraph_common.contracts.records import HALF
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.access import led_students
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row
from edugraph_insights.insights import Insights
from edugraph_insights.usefulness import shown_mistakes, shown_types

# The basis is chosen from this many of the latest answers and mistakes.
LATEST = 1_000
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_MODEL = "model"


class WantedDraft(ContractModel):
    """A draft that a caller wants: feedback to a student in a course, or a summary of the students whom they lead.

    With `days` only records of the last days are read.
    """

    course_id: Id
    student_id: Id | None = None
    days: Annotated[int, Field(ge=1, le=3_660)] | None = None
    language: DraftLanguage = "en"


def basis_of(insights: Insights, caller: Caller, wanted: WantedDraft) -> DraftBasis:
    """Return the basis of feedback to a student, or of a summary of the caller's students in a course.

    Raises Refusal 403, and Problem 404 if there is nothing to cite.
    """
    now = insights.now()
    led = led_students(insights.graph, caller, wanted.course_id, wanted.student_id, now)
    since = None
    if wanted.days is not None:
        since = now - timedelta(days=wanted.days)
    facts = Facts(insights.graph, tuple(sorted(led)), since, now, zone=insights.zone)
    rows = chosen(facts.records(wanted.course_id, None, None, LATEST))
    if not rows:
        words = "There are no answers or mistakes to write about in this time."
        raise Problem(404, "not-found", words)
    records = _records(facts, wanted.course_id, rows)
    basis = _basis(facts, wanted, records)
    while len(records) > 1 and _size(basis) > MOST_BASIS_BYTES:
        records = records[: len(records) * 3 // 4]
        basis = _basis(facts, wanted, records)
    return basis


def chosen(rows: Iterable[Row]) -> list[Row]:
    """Return the rows to show. Each student has a turn after the other, with mistakes before right answers.

    `rows` are the latest first. An answer that nobody has judged is left out.
    """
    waiting: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if is_mistake(row) or row["outcome"] is not None:
            waiting[row["student"]].append(row)
    for of_student in waiting.values():
        of_student.sort(key=lambda row: not is_mistake(row))
    turns: list[Row] = []
    for turn in range(MOST_RECORDS):
        for student in sorted(waiting):
            of_student = waiting[student]
            if turn < len(of_student):
                turns.append(of_student[turn])
    return turns[:MOST_RECORDS]


def is_mistake(row: Row) -> bool:
    if row["kind"] == "ErrorRecord":
        return True
    return row["outcome"] is not None and row["outcome"] < HALF


def _records(facts: Facts, course: str, rows: list[Row]) -> list[DraftRecord]:
    types: dict[str, list[str]] = defaultdict(list)
    points: dict[str, list[str]] = defaultdict(list)
    for row in shown_types(facts, course)[0]:
        types[row["record"]].append(row["name"])
    for row in shown_mistakes(facts, course)[0]:
        if row["name"] is not None:
            points[row["record"]].append(row["name"])
    tested = facts.tested_points(row["item"] for row in rows if row["item"])
    readable = read_by_model(facts.findings(course))
    records = []
    for number, row in enumerate(rows, start=1):
        record = row["record"]
        names = [*points[record], *(point.name for point in tested.get(row["item"], ()))]
        shown: dict[str, str | None] = {}
        if record in readable:
            shown = {"question": _cut(row["question"]), "text": _cut(row["text"])}
        made = DraftRecord(
            number=number,
            record_id=record,
            student_id=row["student"],
            at=row["at"].isoformat(),
            item=_cut(row["item"], LONGEST_SHOWN_NAME),
            outcome=row["outcome"],
            error_types=_named(types[record]),
            knowledge_points=_named(names),
            **shown,
        )
        records.append(made)
    return records


def read_by_model(findings: Iterable[Row]) -> frozenset[str]:
    """Return the records that a model has read. It reads none without consent, which the graph does not know."""
    return frozenset(
        row["record"] for row in findings if json.loads(row["finding"]).get("analyser") == _MODEL
    )


def _basis(facts: Facts, wanted: WantedDraft, records: list[DraftRecord]) -> DraftBasis:
    kind: DraftKind = "summary"
    if wanted.student_id is not None:
        kind = "feedback"
    names: Mapping[str, str] = facts.names()
    ids = dict.fromkeys(record.student_id for record in records)
    students = []
    for student_id in ids:
        name = _cut(names.get(student_id), LONGEST_SHOWN_NAME)
        students.append(DraftStudent(student_id=student_id, name=name))
    return DraftBasis(
        kind=kind,
        course_id=wanted.course_id,
        course_name=_cut(facts.course_name(wanted.course_id), LONGEST_SHOWN_NAME),
        language=wanted.language,
        students=tuple(students),
        records=tuple(records),
    )


def _size(basis: DraftBasis) -> int:
    """Return the number of bytes of a basis as JSON in ASCII."""
    return len(json.dumps(basis.model_dump(mode="json")))


def _cut(text: Any, longest: int = LONGEST_SHOWN_TEXT) -> str | None:
    if not text:
        return None
    return str(text)[:longest]


def _named(names: Iterable[str]) -> tuple[str, ...]:
    """Return these names, each once, as many as a record shows."""
    different: Iterator[str] = iter(dict.fromkeys(name[:LONGEST_SHOWN_NAME] for name in names))
    return tuple(different)[:MOST_SHOWN_NAMES]
