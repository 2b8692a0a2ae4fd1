"""What did we do about these students? Only those who lead a student see it."""

from datetime import date, datetime
from typing import Annotated

from edugraph_insights.answers import Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, TeacherAction, put_off
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import day_of

Text = Annotated[str, Mark.PERSONAL]
PersonalText = Annotated[str | None, Mark.PERSONAL]


class ActionTaken(Row):
    """An `action` of a teacher, or the last `message` of any teacher, which has no text and no author here.

    With `holds`, the student is not proposed for today before the day `not_until`.
    """

    student: Text
    student_name: PersonalText
    kind: Text
    record: PersonalText = None
    at: Annotated[datetime, Mark.PERSONAL]
    author: PersonalText = None
    author_name: PersonalText = None
    spoken: Annotated[bool, Mark.PERSONAL] = False
    text: PersonalText = None
    not_until: Annotated[date | None, Mark.PERSONAL] = None
    holds: Annotated[bool, Mark.PERSONAL] = False


def find(facts: Facts, asked: Parameters) -> Found[ActionTaken]:
    names = facts.names()
    actions = facts.actions(asked.course)
    holding = put_off(actions, day_of(facts.until, facts.zone))
    shown = actions
    if asked.student is None:
        shown = _last_of_each(actions, set(holding.values()))
    rows = []
    for action in shown:
        row = ActionTaken(
            student=action.student,
            student_name=names.get(action.student),
            kind="action",
            record=action.record,
            at=action.at,
            author=action.author,
            author_name=action.author_name,
            spoken=action.spoken,
            text=action.text,
            not_until=date.fromisoformat(action.not_until) if action.not_until else None,
            holds=holding.get(action.student) == action,
        )
        rows.append(Measured(row, frozenset({action.student})))
    for student, moments in facts.contacts(asked.course).items():
        row = ActionTaken(
            student=student, student_name=names.get(student), kind="message", at=max(moments)
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "actions": len(actions)},
        left_out={"earlier actions": len(actions) - len(shown)},
    )


def _last_of_each(actions: list[TeacherAction], holding: set[TeacherAction]) -> list[TeacherAction]:
    """Return the latest action about each student, the latest talk, and the actions that put a student off.

    `actions` begin with the latest one.
    """
    shown = []
    known: set[str] = set()
    spoken_with: set[str] = set()
    for action in actions:
        is_latest = action.student not in known
        is_latest_talk = action.spoken and action.student not in spoken_with
        known.add(action.student)
        if action.spoken:
            spoken_with.add(action.student)
        if is_latest or is_latest_talk or action in holding:
            shown.append(action)
    return shown


QUESTION = Question(
    name="actions",
    title="What did we do about these students?",
    computed_by="Of each student, what teachers who lead the student wrote down: that they spoke, a note, a day "
    "before which the student is not proposed for today; and the time of the last message of any teacher. Asked of "
    "several students, the latest action about each, the latest talk, and the one that puts the student off.",
    parameters=Parameters,
    row=ActionTaken,
    find=find,
    order=lambda row: (row.student, -row.at.timestamp(), row.record or ""),
    quotes=True,
)
