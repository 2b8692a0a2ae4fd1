"""Question 15: how far may I trust this?"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row, Share
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


def find(facts: Facts, asked: OfToday) -> Found[Trust]:
    mistakes = facts.mistakes(asked.course)
    linked = {row["record"] for row in mistakes if row["point"] is not None}
    found = [
        _measured("mistakes", mistakes, asked.records(), linked, _agreement(facts, asked.course)),
        _measured("messages", facts.messages(asked.course), asked.records(kind="messages")),
        _measured("course texts", facts.texts_of(asked.course), asked.records(kind="texts")),
    ]
    return Found(
        tuple(each for each in found if each.row.records),
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
        verdicts.update(claim.verdict for claim in claims_of(row) if claim.drawn and claim.verdict)
    return _Agreement(verdicts.total(), verdicts["accepted"])


def _measured(
    kind: str,
    rows: Iterable[GraphRow],
    evidence: str,
    linked: set[str] | None = None,
    agreement: _Agreement | None = None,
) -> Measured[Trust]:
    """Sum up records. A record in several rows counts once, with the highest confidence of its rows."""
    records: dict[str, GraphRow] = {}
    sure: dict[str, float] = {}
    students: set[str | None] = set()
    for row in rows:
        records[row["record"]] = row
        students.add(row.get("student"))  # a message has two; a text of a course has none
        if row["confidence"] is not None:
            sure[row["record"]] = max(row["confidence"], sure.get(row["record"], 0.0))
    n = len(records) or 1
    trust = Trust(
        kind=kind,
        records=len(records),
        students=len(students - {None}),
        read=sum(row["read"] for row in records.values()) / n,
        linked=None if linked is None else len(linked & records.keys()) / n,
        unsure=sum(each < UNSURE_BELOW for each in sure.values()) / n,
        with_evidence=sum(row["evidence"] for row in records.values()) / n,
        reviewed=sum(row["reviewed"] for row in records.values()) / n,
        evidence=evidence,
    )
    if agreement is not None and agreement.share is not None:
        low, high = wilson(agreement.share, agreement.judged)
        interval = {"agreement_at_least": low, "agreement_at_most": high}
        counted = {"agreement": agreement.share, "judged": agreement.judged}
        trust = trust.model_copy(update={**counted, **interval})
    return Measured(trust, frozenset(filter(None, students)))


QUESTION = Question(
    name="trust",
    title="How far may I trust this?",
    computed_by="Of the records of the course that have a text: the share that an analyser read, that it linked"
    " to a point, whose confidence is below 0.6, that have words quoted which stand in the "
    "text, and that people reviewed. The agreement is the share accepted of the findings that were drawn for review "
    "and judged, with Wilson's 95 % interval.",
    parameters=OfToday,
    row=Trust,
    find=find,
    order=lambda row: row.kind,
)
