"""Question 24: who used help?"""

from collections import defaultdict
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, HintedAttempt
from edugraph_insights.questions.question import Parameters, Question

Number = Annotated[int, Mark.PERSONAL]


class HelpUsed(Row):
    """The help that one student used at one item. `share` is the share of the attempts in which hints were used."""

    student: Annotated[str, Mark.PERSONAL]
    student_name: Annotated[str | None, Mark.PERSONAL]
    item: Annotated[str, Mark.PERSONAL]
    name: Annotated[str, Mark.PERSONAL]
    attempts: Number
    attempts_with_help: Number
    hints: Number
    share: Annotated[float, Mark.PERSONAL]
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[HelpUsed]:
    names = facts.names()
    attempts = facts.hinted_attempts(asked.course)
    known: dict[tuple[str, str], list[HintedAttempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.hints is not None:
            known[attempt.student, attempt.item].append(attempt)

    rows = []
    used_help: set[str] = set()
    for (student, item), tries in known.items():
        with_help = sum(attempt.hints is not None and attempt.hints > 0 for attempt in tries)
        if with_help:
            used_help.add(student)
        row = HelpUsed(
            student=student,
            student_name=names.get(student),
            item=item,
            name=tries[0].title,
            attempts=len(tries),
            attempts_with_help=with_help,
            hints=sum(attempt.hints or 0 for attempt in tries),
            share=with_help / len(tries),
            evidence=asked.model_copy(update={"student": student}).records(item=item),
        )
        rows.append(Measured(row, frozenset({student})))
    number_known = sum(len(tries) for tries in known.values())
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with known hints": frozenset(student for student, _ in known),
            "students who used help": frozenset(used_help),
            "attempts with known hints": number_known,
        },
        left_out={"attempts whose hints no record says": len(attempts) - number_known},
    )


QUESTION = Question(
    name="help-used",
    title="Who used help?",
    computed_by="For each student and item, over the attempts of the period whose hints a record says, also those "
    "without an outcome: the number of hints, and the share of the attempts with at least one hint.",
    parameters=Parameters,
    row=HelpUsed,
    find=find,
    order=lambda row: (-row.hints, -row.share, row.student, row.item),
    quotes=True,
)
