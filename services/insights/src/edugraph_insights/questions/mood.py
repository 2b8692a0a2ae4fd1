"""Question 10: how does the mood move, and over what?"""

from collections import Counter, defaultdict
from datetime import date, datetime
from itertools import product
from typing import Annotated, ClassVar, NamedTuple

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
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import monday

ALL = ""


class Mood(Row):
    """A week, named by its Monday, and a topic.

    `week` is empty in rows about the whole period, `topic` in rows about all texts. `school_week` is the number of
    the week in the term of the question.
    """

    identity: ClassVar[tuple[str, ...]] = ("week", "topic")

    week: Name
    school_week: Annotated[int | None, Mark.NAME]
    topic: Name
    name: Name
    negative: Share
    texts: Count
    students: Count
    evidence: Evidence = None
    noise: Noise = None


class Cell(NamedTuple):
    week: str
    school_week: int | None
    topic: str
    name: str


def find(facts: Facts, asked: Parameters) -> Found[Mood]:
    told = facts.moods(asked.course)
    with_mood = [row for row in told if row["mood"] is not None]
    topics: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(lambda: {(ALL, ALL)})
    # (record, student) -> when, and whether negative
    texts: dict[tuple[str, str], tuple[datetime, bool]] = {}
    for row in with_mood:
        text = (row["record"], row["student"])
        is_negative = row["mood"] == "negative"
        texts[text] = (row["at"], is_negative)
        if row["topic"] is not None:
            topic = (row["topic"], row["name"])
            topics[text] = topics[text] | {topic}
    cells: dict[Cell, list[tuple[str, bool]]] = defaultdict(list)
    for text, (at, is_negative) in texts.items():
        _, student = text
        number_in_term = None
        if facts.term:
            number_in_term = facts.term.week_of(at, facts.zone)
        week_of_text = monday(at, facts.zone).isoformat()
        weeks = ((ALL, None), (week_of_text, number_in_term))
        for week, topic in product(weeks, topics[text]):
            cell = Cell(*week, *topic)
            cells[cell].append((student, is_negative))
    rows = []
    for cell, written in cells.items():
        students = frozenset(student for student, _ in written)
        number_negative = sum(is_negative for _, is_negative in written)
        share = number_negative / len(written)
        asked_of = asked
        if cell.week:
            begins = date.fromisoformat(cell.week)
            asked_of = asked.in_week(begins, facts.zone)
        behind = asked_of.records(kind="messages")
        measured = Mood(
            **cell._asdict(),
            negative=share,
            texts=len(written),
            students=len(students),
            evidence=behind,
        )
        about = (asked.course, cell.week, cell.topic)
        figures = _figures(about, written)
        rows.append(Measured(measured, students, figures))
    of_record = {row["record"]: row["student"] for row in with_mood}
    without_mood = {row["record"] for row in told if row["mood"] is None}
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with a mood": frozenset(row["student"] for row in with_mood),
            "texts with a mood": Counter(of_record.values()),
        },
        left_out={"texts without a mood": len(without_mood)},
    )


def _figures(about: tuple[str, str, str], written: list[tuple[str, bool]]) -> dict[str, Figure]:
    """Return the figures of texts: their students, and whether each is negative."""
    texts_of: Counter[str] = Counter()
    negative_of: Counter[str] = Counter()
    for student, negative in written:
        texts_of[student] += 1
        negative_of[student] += int(negative)

    figures: dict[str, Figure] = {}
    negative_name = statistic("negative", *about)
    figures["negative"] = Ratio(negative_name, negative_of, texts_of)
    texts_name = statistic("texts", *about)
    figures["texts"] = Amount(texts_name, texts_of)
    students_name = statistic("wrote", *about)
    figures["students"] = number_of(students_name, texts_of)
    return figures


QUESTION = Question(
    name="mood",
    title="How does the mood move, and over what?",
    computed_by="Of the messages, posts and answers without an outcome that students wrote, and of the messages "
    "between a teacher and a student, in which an analyser found a mood: the share that is negative, by week and by "
    "topic. A text over two topics stands at both.",
    parameters=Parameters,
    row=Mood,
    find=find,
    order=lambda row: (row.week, row.topic != ALL, -(row.negative or 0.0), row.topic),
)
