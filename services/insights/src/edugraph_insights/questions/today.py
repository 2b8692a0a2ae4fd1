"""What should a teacher of this course do today? At most three actions, each with its persons and records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, NamedTuple

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts, MistakeMade, Need, put_off, with_spoken
from edugraph_insights.practice import PointTries
from edugraph_insights.questions import needs_help
from edugraph_insights.questions.needs_help import OfHelp, Signs
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.school_days import DAY, SchoolDays, beginning_of, day_of
from edugraph_insights.tries import TriedBy
from edugraph_insights.usefulness import REASONS

Texts = Annotated[tuple[str, ...], Mark.PERSONAL]
PersonalText = Annotated[str | None, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]

# Without `from` or `term`, this many school days count, up to the day of the last record.
RECENT_SCHOOL_DAYS = 15
# A point is to be repeated if this many students, and this share of those who tried it, got it wrong.
LEAST_WRONG_STUDENTS = 3
LEAST_WRONG_SHARE = 0.25
# An earlier point is named as the gap if it went wrong for this share of them.
LEAST_GAP_SHARE = 0.5
MOST_PERSONS_TO_SPEAK_WITH = 3
# A mistake waits for an answer from this many whole school days on.
WAITING_SCHOOL_DAYS = 5
MOST_RECORDS = 50


class ForToday(OfHelp, OfSeveral):
    """Parameters of `today`. The thresholds are those of needs-help."""


class Action(Row):
    """One action for `students`. `number` and `out_of` are its figures, `records` the ids of at most 50 records.

    - `repeat`: `number` of the `out_of` students who tried the point got it wrong. `gap` is an earlier point that
      went wrong for `gap_students` of them, or null.
    - `speak`: `number` of the `out_of` students who need help. `reasons` has an entry for each of them.
    - `answer`: `number` of the `out_of` mistakes wait, the oldest for `school_days`.
    """

    rank: Number
    kind: Annotated[str, Mark.PERSONAL]
    point: PersonalText = None
    name: PersonalText = None
    students: Texts
    student_names: Texts
    reasons: Texts = ()
    number: Number
    out_of: Number
    school_days: Annotated[int | None, Mark.PERSONAL] = None
    gap: PersonalText = None
    gap_name: PersonalText = None
    gap_students: Annotated[int | None, Mark.PERSONAL] = None
    records: Texts = ()
    evidence: Evidence = None


class Period(NamedTuple):
    """The time that counts. `days` are the school days before the day after the last record."""

    since: datetime
    days: SchoolDays


def find(facts: Facts, asked: ForToday) -> Found[Action]:
    with facts.in_one_state(asked.course) as then:
        last_day = day_of(then.last_record(asked.course) or facts.until, facts.zone)
        period = _period(then, last_day)
        with replace(then, since=period.since).in_one_state(asked.course) as recent:
            return _found(then, recent, period, last_day, asked)


def _found(
    facts: Facts, recent: Facts, period: Period, last_day: date, asked: ForToday
) -> Found[Action]:
    """Return the answer. `recent` are the facts of the period, and the last record is of the last day."""
    mistakes = recent.mistakes_made(asked.course).number
    contacts = facts.contacts(asked.course)
    taken = facts.actions(asked.course)
    until_day = day_of(facts.until, facts.zone)
    held = put_off(taken, until_day)
    answers = with_spoken(contacts, taken)
    waiting = _waiting(recent.unresolved_mistakes(asked.course), answers, period.days)
    unknown_answers = 0
    # Without contacts, the school does not record what teachers write, and no mistake is known to wait.
    if not contacts:
        unknown_answers = len(waiting)
        waiting = []
    waiting = [each for each in waiting if each.student not in held]

    in_need = []
    held_with_reasons = 0
    judged = needs_help.judge(facts, asked)
    for each in judged.students:
        if not each.reasons:
            continue
        if each.student in held:
            held_with_reasons += 1
        else:
            in_need.append(each)
    # In the order of the number of students whom they help.
    actions = [
        _repeat(recent, facts, asked.course),
        _speak(in_need, recent, asked.course),
        _answer(waiting, mistakes, period.days),
    ]
    names = facts.names()
    rows: list[Measured[Action]] = []
    for action in actions:
        if action is None:
            continue
        row = action.model_copy(
            update={
                "rank": len(rows) + 1,
                "student_names": tuple(names.get(each, each) for each in action.students),
                "evidence": _address(asked, action, period.since),
            }
        )
        rows.append(Measured(row, frozenset(action.students)))
    days_until_now = SchoolDays(facts.terms(), until_day, facts.zone)
    left_out = facts.waiting_in(asked.course)
    for reason in REASONS:
        left_out[reason] = judged.left_out.get(reason, 0)
    left_out["mistakes, since no record of a teacher's answer is known"] = unknown_answers
    left_out["students who need help and are put off until a later day"] = held_with_reasons
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": recent.number_who_tried(asked.course),
            "mistakes": mistakes,
            "school days since the last record": days_until_now.since(last_day),
        },
        left_out=left_out,
    )


def _period(facts: Facts, last_day: date) -> Period:
    """Return the period in the parameters of the question, or else the last school days until the last record."""
    days = SchoolDays(facts.terms(), last_day + DAY, facts.zone)
    if facts.since is not None:
        return Period(facts.since, days)
    first_day = days.first_of_last(RECENT_SCHOOL_DAYS)
    return Period(beginning_of(first_day, facts.zone), days)


def _repeat(recent: Facts, facts: Facts, course: str) -> Action | None:
    """Return the point that most students got wrong in the recent time, or None if too few did."""
    best: tuple[int, float] = (0, 0.0)
    chosen: TriedBy | None = None
    for point in recent.tries_at_points(course).by_point():
        wrong = len(point.wrong)
        share = wrong / max(point.number, 1)
        if wrong < LEAST_WRONG_STUDENTS or share < LEAST_WRONG_SHARE:
            continue
        if (wrong, share) > best:
            best = (wrong, share)
            chosen = point
    if chosen is None:
        return None

    students = chosen.wrong
    action = Action(
        rank=0,
        kind="repeat",
        point=chosen.id,
        name=chosen.name,
        students=tuple(students),
        student_names=(),
        number=len(students),
        out_of=chosen.number,
        records=recent.latest_wrong(course, students, MOST_RECORDS, point=chosen.id),
    )
    gap = _gap(students, facts.needs_before([chosen.id]), facts.point_tries(course))
    if gap is None:
        return action
    need, gap_students = gap
    more = {"gap": need.needs.id, "gap_name": need.needs.name, "gap_students": gap_students}
    return action.model_copy(update=more)


def _gap(
    students: Sequence[str], needs: Sequence[Need], tries: PointTries
) -> tuple[Need, int] | None:
    """Return the earlier point that went wrong for most of these students, and for how many.

    None if no earlier point went wrong for enough of them.
    """
    needed = {need.needs.id for need in needs}
    wrong_at: dict[str, set[str]] = {}
    for point in tries.tried_points():
        if point.id in needed:
            wrong_at[point.id] = set(tries.ids(point.students[point.is_wrong]))
    found: list[tuple[int, float, str, Need]] = []
    for need in needs:
        wrong = len(wrong_at.get(need.needs.id, set()).intersection(students))
        if wrong >= LEAST_GAP_SHARE * len(students):
            found.append((-wrong, -need.confidence, need.needs.id, need))
    if not found:
        return None
    minus_wrong, _, _, need = min(found, key=lambda each: each[:3])
    return need, -minus_wrong


def _speak(in_need: Sequence[Signs], recent: Facts, course: str) -> Action | None:
    """Return the first students of needs-help with their reasons, or None if nobody needs help."""
    reasons_of: dict[str, tuple[str, ...]] = {}
    for signs in sorted(in_need, key=needs_help.in_order):
        reasons_of[signs.student] = signs.reasons
    students = list(reasons_of)[:MOST_PERSONS_TO_SPEAK_WITH]
    if not students:
        return None
    return Action(
        rank=0,
        kind="speak",
        students=tuple(students),
        student_names=(),
        reasons=tuple("; ".join(reasons_of[each]) for each in students),
        number=len(students),
        out_of=len(reasons_of),
        records=recent.latest_wrong(course, students, MOST_RECORDS),
    )


def _waiting(
    mistakes: Iterable[MistakeMade], contacts: Mapping[str, list[datetime]], days: SchoolDays
) -> list[MistakeMade]:
    """Return those of the unresolved mistakes that have waited long enough, the oldest first."""
    found = []
    for mistake in mistakes:
        last_contact = max(contacts.get(mistake.student, ()), default=mistake.at)
        is_answered = last_contact > mistake.at
        is_old = days.since_moment(mistake.at) >= WAITING_SCHOOL_DAYS
        if is_old and not is_answered:
            found.append(mistake)
    return sorted(found, key=lambda each: (each.at, each.record))


def _answer(waiting: Sequence[MistakeMade], mistakes: int, days: SchoolDays) -> Action | None:
    """Return the students whose mistakes wait for an answer, who waits for longest first."""
    if not waiting:
        return None
    students = dict.fromkeys(each.student for each in waiting)
    return Action(
        rank=0,
        kind="answer",
        students=tuple(students),
        student_names=(),
        number=len(waiting),
        out_of=mistakes,
        school_days=days.since_moment(waiting[0].at),
        records=tuple(each.record for each in waiting[:MOST_RECORDS]),
    )


def _address(asked: ForToday, action: Action, since: datetime) -> str:
    """Return the address of the records behind an action."""
    of_period = asked.model_copy(update={"since": since})
    if action.point is not None:
        return of_period.records(point=action.point)
    if len(action.students) == 1:
        return of_period.model_copy(update={"student": action.students[0]}).records()
    return of_period.records()


QUESTION = Question(
    name="today",
    title="What should I do today?",
    computed_by="At most one action of each kind, in this order. Repeat: the point that most students got wrong "
    "(the mean outcome of their first attempts is below 0.5), if these are at least 3 and a quarter of those who "
    "tried it, with the earlier point that went wrong for at least half of them. Speak: the first 3 students of "
    "needs-help, with their reasons, without those who are put off until a later day. Answer: unresolved mistakes "
    "after which no teacher wrote, or noted a talk, for 5 whole school days. Without a period, the last 15 school "
    "days until the last record count.",
    parameters=ForToday,
    row=Action,
    find=find,
    order=lambda row: row.rank,
    quotes=True,
)
