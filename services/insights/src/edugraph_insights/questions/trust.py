"""Question 15: how far may I trust this?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, ClassVar

from edugraph_insights.answers import (
    Amount,
    Count,
    Evidence,
    Figure,
    Found,
    Mark,
    Measured,
    Name,
    Noise,
    Ratio,
    Row,
    Share,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.questions.question import OfToday, Question
from edugraph_insights.reviewing import UNSURE_BELOW, claims_of
from edugraph_insights.statistics import wilson


class Trust(Row):
    """The records of one kind. All shares are shares of these records.

    `linked` is null except for mistakes, since only mistakes are linked to points. `agreement` is the share of
    accepted findings among those that were drawn for review and judged, and `judged` is their number. Its 95 %
    interval is from `agreement_at_least` to `agreement_at_most`, because few are judged at first. `reviewed` and
    these four may show what a few persons did.
    """

    identity: ClassVar[tuple[str, ...]] = ("kind",)

    kind: Name
    records: Count
    students: Count
    read: Share
    linked: Share
    unsure: Share
    with_evidence: Share
    reviewed: Annotated[float | None, Mark.PERSONAL] = None
    agreement: Annotated[float | None, Mark.PERSONAL] = None
    judged: Annotated[int | None, Mark.PERSONAL] = None
    agreement_at_least: Annotated[float | None, Mark.PERSONAL] = None
    agreement_at_most: Annotated[float | None, Mark.PERSONAL] = None
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: OfToday) -> Found[Trust]:
    mistakes = facts.mistakes(asked.course)
    linked = {row["record"] for row in mistakes if row["point"] is not None}
    agreement = _agreement(facts, asked.course)
    about = ("mistakes", asked.course)
    of_mistakes = _measured(about, mistakes, asked.records(), linked, agreement)
    about = ("messages", asked.course)
    messages = facts.messages(asked.course)
    of_messages = _measured(about, messages, asked.records(kind="messages"))
    about = ("course texts", asked.course)
    texts = facts.texts_of(asked.course)
    of_texts = _measured(about, texts, asked.records(kind="texts"))
    rows = []
    for each in (of_mistakes, of_messages, of_texts):
        if each.row.records:
            rows.append(each)
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students)},
        left_out={},
    )


@dataclass(frozen=True)
class _Agreement:
    """The findings of mistakes that were drawn for review and judged."""

    judged: int
    accepted: int

    @property
    def share(self) -> float | None:
        return self.accepted / self.judged if self.judged else None


def _agreement(facts: Facts, course: str) -> _Agreement:
    verdicts: Counter[str] = Counter()
    for row in facts.findings(course, reviewed=True):
        for claim in claims_of(row):
            if claim.drawn and claim.verdict:
                verdicts[claim.verdict] += 1
    return _Agreement(verdicts.total(), verdicts["accepted"])


def _measured(
    about: tuple[str, str],
    rows: Iterable[GraphRow],
    evidence: str,
    linked: set[str] | None = None,
    agreement: _Agreement | None = None,
) -> Measured[Trust]:
    """Sum up records. A record in several rows counts once, with the highest confidence of its rows.

    `about` are the kind of the records and the course.
    """
    records: dict[str, GraphRow] = {}
    sure: dict[str, float] = {}
    students: set[str | None] = set()
    for row in rows:
        record = row["record"]
        records[record] = row
        student = row.get("student")  # a message has two; a text of a course has none
        students.add(student)
        confidence = row["confidence"]
        if confidence is not None:
            sure[record] = max(confidence, sure.get(record, 0.0))
    holds: dict[str, AbstractSet[str]] = {}
    holds["read"] = {record for record, row in records.items() if row["read"]}
    holds["with_evidence"] = {record for record, row in records.items() if row["evidence"]}
    holds["unsure"] = {record for record, each in sure.items() if each < UNSURE_BELOW}
    if linked is not None:
        holds["linked"] = linked & records.keys()
    reviewed = {record for record, row in records.items() if row["reviewed"]}

    number = len(records) or 1
    shares = {name: len(some) / number for name, some in holds.items()}
    share_reviewed = len(reviewed) / number
    of_student = frozenset(filter(None, students))
    trust = Trust(
        kind=about[0],
        records=len(records),
        students=len(of_student),
        read=shares["read"],
        linked=shares.get("linked"),
        unsure=shares["unsure"],
        with_evidence=shares["with_evidence"],
        reviewed=share_reviewed,
        evidence=evidence,
    )
    if agreement is not None and agreement.share is not None:
        low, high = wilson(agreement.share, agreement.judged)
        judged: dict[str, float] = {}
        judged["agreement"] = agreement.share
        judged["judged"] = agreement.judged
        judged["agreement_at_least"] = low
        judged["agreement_at_most"] = high
        trust = trust.model_copy(update=judged)
    if not of_student:
        return Measured(trust, of_student)
    figures = _figures(about, records, of_student, holds)
    return Measured(trust, of_student, figures)


def _figures(
    about: tuple[str, str],
    records: Mapping[str, GraphRow],
    students: frozenset[str],
    holds: Mapping[str, AbstractSet[str]],
) -> dict[str, Figure]:
    """Return the figures of a row. `holds` are the records that count in a share, by the name of its field.

    A message between two students counts at one of them.
    """
    number: Counter[str] = Counter()
    for row in records.values():
        number[row["student"]] += 1

    figures: dict[str, Figure] = {}
    records_name = statistic("records", *about)
    figures["records"] = Amount(records_name, number)
    students_name = statistic("students of records", *about)
    figures["students"] = number_of(students_name, students)
    for name, some in holds.items():
        parts = dict.fromkeys(number, 0.0)
        for record in some:
            student = records[record]["student"]
            parts[student] += 1
        ratio_name = statistic(name, *about)
        figures[name] = Ratio(ratio_name, parts, number)
    return figures


QUESTION = Question(
    name="trust",
    title="How far may I trust this?",
    computed_by="Of the records of the course that have a text: the share that an analyser read, that it linked"
    " to a point, whose stated confidence is below 0.6, that have words quoted which stand in the "
    "text, and that people reviewed. The agreement is the share accepted of the findings that were drawn for review "
    "and judged, with Wilson's 95 % interval.",
    parameters=OfToday,
    row=Trust,
    find=find,
    order=lambda row: row.kind,
)
