"""Question 11: which students work together, and who has no tie in this data?"""

from collections import defaultdict
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row, Total
from edugraph_insights.communities import communities
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import OfSeveral, Question

# If a smaller share of the students has ties, the data is too thin to say that somebody has no tie.
ENOUGH_TIED = 0.6

Number = Annotated[int, Mark.PERSONAL]


class Tied(Row):
    """One student. `community` counts from 1, the largest first. `reciprocity` is mutual ÷ ties.

    Both are null for a student without ties. `partners` are sorted by the number of messages, answers
    and likes.
    """

    student: Annotated[str, Mark.PERSONAL]
    community: Annotated[int | None, Mark.PERSONAL]
    ties: Number
    mutual: Number
    reciprocity: Annotated[float | None, Mark.PERSONAL]
    sent: Number
    received: Number
    partners: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfSeveral) -> Found[Tied]:
    sent = facts.ties(asked.course)
    weights: dict[tuple[str, str], int] = defaultdict(int)
    exchanged: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (sender, receiver), times in sent.items():
        weights[min(sender, receiver), max(sender, receiver)] += times
        exchanged[sender][receiver] += times
        exchanged[receiver][sender] += times
    mutual = {pair for pair in weights if pair in sent and pair[::-1] in sent}
    students, without = frozenset(facts.students), len(facts.students) - len(exchanged)
    of_how_many: dict[str, Total] = {
        "students": students,
        "students with a tie": frozenset(exchanged),
        "pairs with a tie": len(weights),
        "pairs with a tie both ways": len(mutual),
    }
    if len(exchanged) < ENOUGH_TIED * len(students):
        few = f"students, since under {ENOUGH_TIED:.0%} of them have a tie in this data"
        return Found((), of_how_many, {few: len(students)})
    community_of: dict[str, int] = {}
    for number, members in enumerate(communities(weights), start=1):
        community_of |= dict.fromkeys(members, number)
    rows = []
    for student in students:
        by_exchange = sorted(
            exchanged.get(student, {}).items(), key=lambda pair: (-pair[1], pair[0])
        )
        partners = tuple(partner for partner, _ in by_exchange)
        both_ways = sum((min(student, each), max(student, each)) in mutual for each in partners)
        reciprocity = None
        if partners:
            reciprocity = both_ways / len(partners)
        row = Tied(
            student=student,
            community=community_of.get(student),
            ties=len(partners),
            mutual=both_ways,
            reciprocity=reciprocity,
            sent=sum(sent.get((student, each), 0) for each in partners),
            received=sum(sent.get((each, student), 0) for each in partners),
            partners=partners,
            evidence=asked.records(kind="messages", of=student),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(tuple(rows), of_how_many | {"students without a tie": without})


QUESTION = Question(
    name="ties",
    title="Who works with whom, and who has no tie in this data?",
    computed_by="Two students have a tie if one of them wrote to the other, or liked what they wrote, in the "
    "course or without naming one, or answered a post of the other in the course; it is mutual if both did. "
    "Communities by the Leiden algorithm (modularity, weighted by the number of messages, answers and likes, fixed "
    "seed). Only where 60 % of the students have a tie.",
    parameters=OfSeveral,
    row=Tied,
    find=find,
    order=lambda row: (row.community is None, row.community or 0, -row.ties, row.student),
    quotes=True,
)
