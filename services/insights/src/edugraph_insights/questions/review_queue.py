"""The queue of reviews: which findings of an analyser should a person look at?"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.questions.question import OfSeveral, OfToday, Question
from edugraph_insights.reviewing import UNSURE_BELOW, Claim, claims_of, effective, is_drawn, key_of

Text = Annotated[str, Mark.PERSONAL]
Perhaps = Annotated[str | None, Mark.PERSONAL]
Flag = Annotated[bool, Mark.PERSONAL]
Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
VERDICTS = ("accepted", "rejected")  # a withdrawn verdict does not count


class Queue(OfSeveral, OfToday):
    """Parameters of the question: a course or a group, and limits."""

    unsure_below: float = Field(
        default=UNSURE_BELOW, ge=0, le=1, description="findings with a smaller confidence are unsure"
    )
    limit: int = Field(default=500, ge=1, le=5_000, description="the largest number of rows, the most unsure first")


class ToReview(Row):
    """One claim to review. `kind` is finding (about a text) or tests (that an item tests a point), as in a review.

    The review of a finding has `record`, `text_hash`, `aspect` and `target`, the review of an item has `item` and
    `target`. `confidence` is the confidence of the analyser, or the share of wrong answers to the item that name the
    point. `known` says whether the course teaches the point, and is null for a type of mistake. `instead` are the
    targets that reviewers accepted and the analyser did not find.
    """

    key: Text
    kind: Text
    aspect: Text
    target: Text
    name: Text
    confidence: Annotated[float, Mark.PERSONAL]
    unsure: Flag
    drawn: Flag
    verdict: Perhaps = None
    instead: Texts = ()
    known: Annotated[bool | None, Mark.PERSONAL] = None
    record: Perhaps = None
    text_hash: Perhaps = None
    student: Perhaps = None
    at: Annotated[datetime | None, Mark.PERSONAL] = None
    item: Perhaps = None
    title: Perhaps = None
    question: Perhaps = None
    text: Perhaps = None
    evidence: Texts = ()
    mistakes: Annotated[int, Mark.PERSONAL] = 1


def find(facts: Facts, asked: Queue) -> Found[ToReview]:
    read = facts.findings(asked.course)
    claims = {row["record"]: list(claims_of(row)) for row in read}
    every = [(row, claim) for row in read for claim in claims[row["record"]]]
    wanted = [pair for pair in every if pair[1].drawn or pair[1].confidence < asked.unsure_below]
    points = {point for of_record in claims.values() for point in effective(of_record, "knowledge_point")}
    points |= {claim.target for _, claim in wanted if claim.aspect == "knowledge_point"}
    same, taught = facts.standing_for(points), facts.points_of(asked.course)
    known = {point for point in points if same.get(point) in taught}
    of_students = [Measured(_of_text(row, claim, asked, known), frozenset({row["student"]})) for row, claim in wanted]
    of_items = _of_items(facts, read, claims, same, known)
    rows = sorted([*of_students, *of_items], key=lambda each: order(each.row))
    drawn = [claim for _, claim in every if claim.drawn]
    judged = [claim for claim in drawn if claim.verdict]
    return Found(
        tuple(rows[: asked.limit]),
        of_how_many={
            "students": frozenset(facts.students),
            "findings": len(every),
            "unsure findings": sum(claim.confidence < asked.unsure_below for _, claim in every),
            "findings drawn": len(drawn),
            "drawn and judged": len(judged),
            "drawn and accepted": sum(claim.verdict == "accepted" for claim in judged),
            "to review": len(rows),
            "judged of them": sum(each.row.verdict is not None for each in rows),
        },
        left_out={
            "findings that are sure and not drawn": len(every) - len(wanted),
            "more to review: raise `limit`": len(rows[asked.limit :]),
        },
    )


def _of_text(row: GraphRow, claim: Claim, asked: Queue, known: set[str]) -> ToReview:
    return ToReview(
        key=claim.key,
        kind="finding",
        aspect=claim.aspect,
        target=claim.target,
        name=claim.name,
        confidence=claim.confidence,
        unsure=claim.confidence < asked.unsure_below,
        drawn=claim.drawn,
        verdict=claim.verdict,
        instead=claim.instead,
        known=claim.target in known if claim.aspect == "knowledge_point" else None,
        record=claim.record,
        text_hash=claim.text_hash,
        student=row["student"],
        at=row["at"],
        item=row["item"],
        title=row["title"],
        question=row["question"],
        text=row["error_text"] or row["response"],
        evidence=row["evidence"] or (),
    )


def _of_items(
    facts: Facts,
    read: list[GraphRow],
    claims: Mapping[str, list[Claim]],
    same: Mapping[str, str],
    known: set[str],
) -> Iterator[Measured[ToReview]]:
    """Yield the points that items may test: wrong answers to the item name them, and no record says so."""
    titles: dict[str, str] = {row["item"]: row["title"] for row in read if row["item"] is not None}
    questions: dict[str, str | None] = {row["item"]: row["item_question"] or row["question"] for row in read}
    behind: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)  # (item, point) -> record -> student
    wrong = Counter(row["item"] for row in read)
    names = {claim.target: claim.name for of_record in claims.values() for claim in of_record}
    for row in read:
        for point in effective(claims[row["record"]], "knowledge_point") if row["item"] is not None else ():
            behind[row["item"], point][row["record"]] = row["student"]
    said = facts.said_of_items(titles)
    tested = {(each["item"], each["canonical"]) for each in said if each["type"] == "TESTS"}
    verdicts = {(each["item"], each["point"]): each["verdict"] for each in said if each["verdict"] in VERDICTS}
    for (item, point), records in behind.items():
        verdict, key = verdicts.get((item, point)), key_of("tests", item, point)
        if verdict is None and (item, same.get(point)) in tested:
            continue
        proposed = ToReview(
            key=key,
            kind="tests",
            aspect="knowledge_point",
            target=point,
            name=names.get(point, point),
            confidence=len(records) / wrong[item],
            unsure=False,
            drawn=is_drawn(key),
            verdict=verdict,
            known=point in known,
            item=item,
            title=titles[item],
            question=questions[item],
            mistakes=len(records),
        )
        yield Measured(proposed, frozenset(records.values()))


def order(row: ToReview) -> tuple[int, float, str]:
    """Sort unsure findings first, then points of items, then drawn findings. A verdict does not move a row."""
    place = 0 if row.unsure else 1 if row.kind == "tests" else 2
    return place, -row.mistakes if row.kind == "tests" else row.confidence, row.key


QUESTION = Question(
    name="review-queue",
    title="What should a person look at, of what an analyser found?",
    computed_by="Points and types that an analyser found in the mistakes of the course: those below the confidence, "
    "and a tenth of all, drawn by a hash, however sure. An item may test a point that its wrong answers name and no "
    "record does. The agreement is the share accepted of those drawn and judged.",
    parameters=Queue,
    row=ToReview,
    find=find,
    order=order,
    quotes=True,
)
