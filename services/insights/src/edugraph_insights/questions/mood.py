"""Question 10: how does the mood move, and over what?"""

from collections import defaultdict
from datetime import date, datetime
from itertools import product
from typing import Annotated, NamedTuple

from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import monday

ALL = ""


class Mood(Row):
    """A week, named by its Monday, and a topic.

    `week` is empty in rows about the whole period, `topic` in rows about all texts. `school_week` is the number of
    the week in the term of the question.
    """

    week: Name
    school_week: Annotated[int | None, Mark.NAME]
    topic: Name
    name: Name
    negative: Share
    texts: Count
    students: Count
    evidence: Evidence = None


class Cell(NamedTuple):
    week: str
    school_week: int | None
    topic: str
    name: str


def find(facts: Facts, asked: Parameters) -> Found[Mood]:
    told = facts.moods(asked.course)
    with_mood = [row for row in told if row["mood"] is not None]
    topics: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(lambda: {(ALL, ALL)})
    texts: dict[
        tuple[str, str], tuple[datetime, bool]
    ] = {}  # (record, student) -> when, and whether negative
    for row in with_mood:
        text = row["record"], row["student"]
        texts[text] = row["at"], row["mood"] == "negative"
        if row["topic"] is not None:
            topics[text] = topics[text] | {(row["topic"], row["name"])}
    cells: dict[Cell, list[tuple[str, bool]]] = defaultdict(list)
    for text, (at, negative) in texts.items():
        number_in_term = None
        if facts.term:
            number_in_term = facts.term.week_of(at, facts.zone)
        weeks = ((ALL, None), (monday(at, facts.zone).isoformat(), number_in_term))
        for week, topic in product(weeks, topics[text]):
            cells[Cell(*week, *topic)].append((text[1], negative))
    rows = []
    for cell, written in cells.items():
        students = frozenset(student for student, _ in written)
        share = sum(negative for _, negative in written) / len(written)
        asked_of = asked
        if cell.week:
            asked_of = asked.in_week(date.fromisoformat(cell.week), facts.zone)
        behind = asked_of.records(kind="messages")
        measured = Mood(
            **cell._asdict(),
            negative=share,
            texts=len(written),
            students=len(students),
            evidence=behind,
        )
        rows.append(Measured(measured, students))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with a mood": frozenset(row["student"] for row in with_mood),
            "texts with a mood": len({row["record"] for row in with_mood}),
        },
        left_out={
            "texts without a mood": len({row["record"] for row in told if row["mood"] is None})
        },
    )


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
