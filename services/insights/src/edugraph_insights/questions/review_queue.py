"""The queue of reviews: which findings of an analyser should a person look at?"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from edugraph_insights.answers import Found, Mark, Measured, Row, as_sent
from edugraph_insights.calibration import (
    NOT_CALIBRATED,
    Calibration,
    Source,
    State,
    calibrations,
    source_of,
)
from edugraph_insights.facts import Facts
from edugraph_insights.graph import Row as GraphRow
from edugraph_insights.questions.question import OfSeveral, OfToday, Question
from edugraph_insights.reviewing import (
    UNSURE_BELOW,
    Claim,
    claims_of,
    effective,
    is_drawn,
    key_of,
    proposed_topics_of,
)

Text = Annotated[str, Mark.PERSONAL]
Perhaps = Annotated[str | None, Mark.PERSONAL]
Flag = Annotated[bool, Mark.PERSONAL]
Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
VERDICTS = ("accepted", "rejected")  # a withdrawn verdict does not count


class Queue(OfSeveral, OfToday):
    """Parameters of the question: a course or a group, and limits."""

    unsure_below: float = Field(
        default=UNSURE_BELOW,
        ge=0,
        le=1,
        description="findings with a smaller confidence are unsure",
    )
    limit: int = Field(
        default=500, ge=1, le=5_000, description="the largest number of rows, the most unsure first"
    )


class ToReview(Row):
    """One claim to review. `kind` is finding (about a text) or tests (that an item tests a point), as in a review.

    The review of a finding has `record`, `text_hash`, `aspect` and `target`, the review of an item has `item` and
    `target`. `record` is a key, and `sent_id` the id that the source of the record gives it. `confidence` is stated
    by the analyser, or it is the share of wrong answers to the item that name the point. A topic and a sentence
    about a mistake have the confidence of the whole finding. `known` says whether the course teaches the point. It
    is false for a type of mistake that the list of the school does not have and for a topic, and null for all
    others. `instead` are the targets that reviewers accepted and the analyser did not find.

    `calibration` of a finding is *measured* or *not calibrated*. `judged` is the number of verdicts about findings of
    the same `model`, `prompt_version` and aspect. If it is measured, `measured` is the share accepted of those with a
    like stated confidence, whose number is `judged_alike`, and its 95 % interval is from `measured_at_least` to
    `measured_at_most`.
    """

    key: Text
    kind: Text
    aspect: Text
    target: Text
    name: Text
    confidence: Annotated[float, Mark.PERSONAL]
    calibration: Annotated[State | None, Mark.PERSONAL] = None
    measured: Annotated[float | None, Mark.PERSONAL] = None
    measured_at_least: Annotated[float | None, Mark.PERSONAL] = None
    measured_at_most: Annotated[float | None, Mark.PERSONAL] = None
    judged_alike: Annotated[int | None, Mark.PERSONAL] = None
    judged: Annotated[int | None, Mark.PERSONAL] = None
    model: Perhaps = None
    prompt_version: Perhaps = None
    unsure: Flag
    drawn: Flag
    verdict: Perhaps = None
    instead: Texts = ()
    known: Annotated[bool | None, Mark.PERSONAL] = None
    record: Perhaps = None
    source_name: Perhaps = None
    sent_id: Perhaps = None
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
    mistakes = facts.findings(asked.course)
    claims = {row["record"]: list(claims_of(row)) for row in mistakes}
    all_claims: list[Claim] = []
    wanted: list[tuple[GraphRow, Claim]] = []
    for row in mistakes:
        for claim in claims[row["record"]]:
            if claim.proposed:
                wanted.append((row, claim))
                continue
            all_claims.append(claim)
            if claim.drawn or claim.confidence < asked.unsure_below:
                wanted.append((row, claim))
    points = {claim.target for _, claim in wanted if claim.aspect == "knowledge_point"}
    for claims_of_record in claims.values():
        points |= effective(claims_of_record, "knowledge_point")
    canonical = facts.canonical_points(points)
    taught = facts.points_of(asked.course)
    known = {point for point in points if canonical.get(point) in taught}

    calibrated = calibrations(all_claims)
    rows: list[Measured[ToReview]] = []
    for row, claim in wanted:
        of_text = _calibrated(_of_text(row, claim, asked, known), claim, calibrated)
        rows.append(Measured(of_text, frozenset({row["student"]})))
    rows += _of_items(facts, mistakes, claims, canonical, known)
    topics = list(_of_messages(facts, asked.course))
    rows += topics
    rows.sort(key=lambda each: order(each.row))
    shown_claims = sum(not claim.proposed for _, claim in wanted)
    drawn = [claim for claim in all_claims if claim.drawn]
    judged = [claim for claim in drawn if claim.verdict]
    return Found(
        tuple(rows[: asked.limit]),
        of_how_many={
            "students": frozenset(facts.students),
            "findings": len(all_claims),
            "unsure findings": sum(claim.confidence < asked.unsure_below for claim in all_claims),
            "findings drawn": len(drawn),
            "drawn and judged": len(judged),
            "drawn and accepted": sum(claim.verdict == "accepted" for claim in judged),
            "proposed types": sum(claim.proposed for _, claim in wanted),
            "proposed topics": len(topics),
            "to review": len(rows),
            "judged of them": sum(each.row.verdict is not None for each in rows),
        },
        left_out={
            "findings that are sure and not drawn": len(all_claims) - shown_claims,
            "more to review: raise `limit`": len(rows[asked.limit :]),
        },
    )


def _of_text(row: GraphRow, claim: Claim, asked: Queue, known: set[str]) -> ToReview:
    is_known: bool | None = None
    if claim.aspect == "knowledge_point":
        is_known = claim.target in known
    elif claim.proposed:
        is_known = False
    unsure = claim.confidence < asked.unsure_below
    text = row["error_text"] or row["response"]
    return _of_claim(row, claim, unsure=unsure, known=is_known, title=row["title"], text=text)


def _of_messages(facts: Facts, course: str) -> Iterator[Measured[ToReview]]:
    """Yield the topics of messages, posts and answers without an outcome that no list has."""
    for row in facts.proposed_topics(course):
        title = row["title"] or row["item_title"] or row["subject"]
        text = row["text"] or row["response"] or row["feedback"]
        people = frozenset(row["people"])
        for claim in proposed_topics_of(row):
            # The confidence of the finding is that of its mood, so it does not say that a topic is unsure.
            proposed = _of_claim(row, claim, unsure=False, known=False, title=title, text=text)
            yield Measured(_calibrated(proposed, claim, {}), people)


def _calibrated(row: ToReview, claim: Claim, by_source: Mapping[Source, Calibration]) -> ToReview:
    """Return the row of a claim with its measured confidence, or with the words that it is not calibrated."""
    values: dict[str, object] = {"calibration": "not calibrated"}
    if claim.origin is not None:
        values["model"] = claim.origin.model
        values["prompt_version"] = claim.origin.prompt_version
    source = source_of(claim)
    if source is not None:
        calibration = by_source.get(source, NOT_CALIBRATED)
        values["judged"] = calibration.judged
        step = calibration.step_at(claim.confidence)
        if step is not None:
            values["calibration"] = "measured"
            values["measured"] = step.share
            values["measured_at_least"], values["measured_at_most"] = step.interval
            values["judged_alike"] = step.judged
    return row.model_copy(update=values)


def _of_claim(
    row: GraphRow,
    claim: Claim,
    *,
    unsure: bool,
    known: bool | None,
    title: str | None,
    text: str | None,
) -> ToReview:
    as_it_was_sent = as_sent(claim.record)
    evidence = row["evidence"] or ()
    return ToReview(
        key=claim.key,
        kind="finding",
        aspect=claim.aspect,
        target=claim.target,
        name=claim.name,
        confidence=claim.confidence,
        unsure=unsure,
        drawn=claim.drawn,
        verdict=claim.verdict,
        instead=claim.instead,
        known=known,
        record=claim.record,
        **as_it_was_sent,
        text_hash=claim.text_hash,
        student=row["student"],
        at=row["at"],
        item=row["item"],
        title=title,
        question=row["question"],
        text=text,
        evidence=evidence,
    )


def _of_items(
    facts: Facts,
    mistakes: list[GraphRow],
    claims: Mapping[str, list[Claim]],
    canonical: Mapping[str, str],
    known: set[str],
) -> Iterator[Measured[ToReview]]:
    """Yield the points that items may test: wrong answers to the item name them, and no record says so."""
    titles: dict[str, str] = {}
    questions: dict[str, str | None] = {}
    wrong_answers: Counter[str] = Counter()
    names: dict[str, str] = {}
    # (item, point) -> record -> student
    named_by: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in mistakes:
        claims_of_record = claims[row["record"]]
        names.update({claim.target: claim.name for claim in claims_of_record})
        item = row["item"]
        if item is None:
            continue
        titles[item] = row["title"]
        questions[item] = row["item_question"] or row["question"]
        wrong_answers[item] += 1
        for point in effective(claims_of_record, "knowledge_point"):
            named_by[item, point][row["record"]] = row["student"]

    tested: set[tuple[str, str]] = set()  # (item, canonical point)
    verdicts: dict[tuple[str, str], str] = {}  # (item, point) -> the last verdict
    for said in facts.said_of_items(titles):
        if said["type"] == "TESTS":
            tested.add((said["item"], said["canonical"]))
        if said["verdict"] in VERDICTS:
            verdicts[said["item"], said["point"]] = said["verdict"]
    for (item, point), records in named_by.items():
        verdict = verdicts.get((item, point))
        is_tested = (item, canonical.get(point)) in tested
        if verdict is None and is_tested:
            continue
        key = key_of("tests", item, point)
        proposed = ToReview(
            key=key,
            kind="tests",
            aspect="knowledge_point",
            target=point,
            name=names.get(point, point),
            confidence=len(records) / wrong_answers[item],
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
    """Sort unsure findings first, then points of items and new types of mistakes, then drawn findings, then topics.

    Equal topics stand together. A verdict does not move a row.
    """
    if row.aspect == "topic":
        return 3, 0.0, f"{row.target} {row.key}"
    if row.unsure:
        return 0, row.confidence, row.key
    is_new_type = row.aspect == "error_type" and row.known is False
    if is_new_type:
        return 1, -row.mistakes, row.key
    if row.kind == "tests":
        return 1, -row.mistakes, row.key
    return 2, row.confidence, row.key


QUESTION = Question(
    name="review-queue",
    title="What should a person look at, of what an analyser found?",
    computed_by="Points, types and sentences about what went wrong that an analyser found in the mistakes of the "
    "course: those below the confidence, "
    "and a tenth of all, drawn by a hash, however sure. Types of mistakes that the school's list does not have, and "
    "topics of messages that are not points of the course, count only when a person accepts them. An item may test "
    "a point that its wrong answers name and no record does. "
    "The agreement is the share accepted of those drawn and judged. The confidence is what the analyser states. "
    "The measured one is the share accepted of the judged findings of the same model, prompt and aspect with a like "
    "stated confidence: isotonic regression, steps of at least 20, Wilson's 95 % interval, equal texts once. "
    "A confidence is not calibrated until 50 are judged.",
    parameters=Queue,
    row=ToReview,
    find=find,
    order=order,
    quotes=True,
)
