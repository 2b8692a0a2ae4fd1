"""One point: how each student did there, with the kind of mistake and the words behind it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.runtime.service.problems import Problem
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row, as_sent
from edugraph_insights.facts import Facts, MistakeAtPoint, Point
from edugraph_insights.questions.question import Parameters, PointId, Question, RecordsAtPoints
from edugraph_insights.tries import NO_CELL, Cell
from edugraph_insights.usefulness import Hidden, hidden_findings

STATES = ("wrong", "right", "not tried")
Number = Annotated[int, Mark.PERSONAL]


class OfPoint(Parameters):
    """Parameters of a question about one point."""

    point: PointId = Field(description="the point: its id or its name")


class WentWrong(NamedTuple):
    """A group of mistakes with one sentence about what went wrong."""

    id: str
    name: str
    mistakes: int


class AtPoint(Row):
    """One student at the point. The state is `wrong` or `right` by the mean outcome of the first attempts.

    `what_went_wrong` has a sentence of a model for each group of the mistakes, and `kinds` are their types, the most
    frequent first. Sentences with the same words, and those that a reviewer judged the same, are one group.
    `misconceptions` has the ids of these groups, and `misconception_mistakes` the numbers of mistakes in them.
    `quote` are words of the latest mistake that has any, and `quote_record` is the key of this mistake. `sent_id` is
    the id that its source gives it.
    """

    student: Annotated[str, Mark.PERSONAL]
    student_name: Annotated[str | None, Mark.PERSONAL]
    state: Annotated[str, Mark.PERSONAL]
    tries: Number
    first_attempts: Number
    right: Number
    share: Annotated[float | None, Mark.PERSONAL]
    last_outcome: Annotated[float | None, Mark.PERSONAL]
    last: Annotated[datetime | None, Mark.PERSONAL]
    mistakes: Number
    what_went_wrong: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    misconceptions: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    misconception_mistakes: Annotated[tuple[int, ...], Mark.PERSONAL] = ()
    kinds: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    quote: Annotated[str | None, Mark.PERSONAL] = None
    quote_record: Annotated[str | None, Mark.PERSONAL] = None
    source_name: Annotated[str | None, Mark.PERSONAL] = None
    sent_id: Annotated[str | None, Mark.PERSONAL] = None
    evidence: Evidence = None


def point_named(facts: Facts, point: str) -> Point:
    """Return the point with this id or name. Raises Problem 404 if there is none."""
    found = facts.point_called((point, canonical_name(point)))
    if found is None:
        raise Problem(
            404, "not-found", "There is no knowledge point with this id or name; check `point`."
        )
    return found


def find(facts: Facts, asked: OfPoint) -> Found[AtPoint]:
    point = point_named(facts, asked.point)
    names = facts.names()
    cells = facts.cells_at_point(asked.course, point.id)
    at_point = facts.mistakes_at_point(asked.course, point.id)
    hidden = hidden_findings(facts, asked.course, _with_findings(at_point))
    mistakes: dict[str, list[MistakeAtPoint]] = defaultdict(list)
    for mistake in at_point:
        if _is_at_point(mistake, hidden):
            mistakes[mistake.student].append(mistake)

    records = RecordsAtPoints(asked)
    rows = []
    for student in facts.students:
        cell = cells.get(student, NO_CELL)
        made = mistakes[student]
        last_outcome = None
        last_at = None
        if cell.tries:
            last_outcome = cell.last_outcome / 1000
            last_at = cell.last
        quote = None
        quote_record = None
        quoted = _latest_with_words(made)
        if quoted is not None:
            quote = quoted.quote
            quote_record = quoted.record
        as_it_was_sent = as_sent(quote_record)
        went_wrong = _what_went_wrong(made, hidden)
        sentences = tuple(each.name for each in went_wrong)
        groups = tuple(each.id for each in went_wrong)
        numbers = tuple(each.mistakes for each in went_wrong)
        row = AtPoint(
            student=student,
            student_name=names.get(student),
            state=_state(cell),
            tries=cell.tries,
            first_attempts=cell.first_attempts,
            right=cell.right,
            share=cell.share,
            last_outcome=last_outcome,
            last=last_at,
            mistakes=len(made),
            what_went_wrong=sentences,
            misconceptions=groups,
            misconception_mistakes=numbers,
            kinds=_kinds(made, hidden),
            quote=quote,
            quote_record=quote_record,
            **as_it_was_sent,
            evidence=records.of(student, point.id),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(cells),
            "mistakes": sum(map(len, mistakes.values())),
        },
        left_out=hidden.left_out,
    )


def _state(cell: Cell) -> str:
    if cell.share is None:
        return "not tried"
    if cell.is_wrong:
        return "wrong"
    return "right"


def _with_findings(mistakes: Iterable[MistakeAtPoint]) -> set[str]:
    """Return the students in whose mistakes an analyser found a type, this point or what went wrong."""
    students: set[str] = set()
    for mistake in mistakes:
        found_types = [type_id for type_id, _, stated in mistake.types if type_id and not stated]
        if mistake.named or mistake.went_wrong or found_types:
            students.add(mistake.student)
    return students


def _is_at_point(mistake: MistakeAtPoint, hidden: Hidden) -> bool:
    """Return whether the item of a mistake tests the point, or a finding that is shown names it."""
    if mistake.tested:
        return True
    shown = hidden.shown(mistake.record, "knowledge_point", mistake.named)
    return bool(shown)


def _what_went_wrong(mistakes: Iterable[MistakeAtPoint], hidden: Hidden) -> list[WentWrong]:
    """Return the groups of these mistakes by what went wrong, the largest first.

    Sentences that are not shown are left out.
    """
    times: Counter[tuple[str, str]] = Counter()
    for mistake in mistakes:
        shown: set[tuple[str, str]] = set()
        for sentence_id, canonical_id, name in mistake.went_wrong:
            if not hidden.has(mistake.record, "misconception", sentence_id):
                shown.add((canonical_id, name))
        times.update(shown)
    groups = []
    for (sentence_id, name), number in times.items():
        group = WentWrong(sentence_id, name, number)
        groups.append(group)
    groups.sort(key=lambda group: (-group.mistakes, group))
    return groups


def _kinds(mistakes: Iterable[MistakeAtPoint], hidden: Hidden) -> tuple[str, ...]:
    """Return the types of these mistakes, the most frequent first, without findings that are not shown."""
    times: Counter[str] = Counter()
    for mistake in mistakes:
        names: set[str] = set()
        for type_id, name, stated in mistake.types:
            if type_id is None or name is None:
                continue
            if stated or not hidden.has(mistake.record, "error_type", type_id):
                names.add(name)
        times.update(names)
    return tuple(sorted(times, key=lambda kind: (-times[kind], kind)))


def _latest_with_words(mistakes: Iterable[MistakeAtPoint]) -> MistakeAtPoint | None:
    with_words = [each for each in mistakes if each.quote is not None]
    return max(with_words, key=lambda each: (each.at, each.record), default=None)


QUESTION = Question(
    name="point",
    title="Who got this point wrong, and with which idea?",
    computed_by="For each student: the tries of the period at the items of the point, and the first attempts among "
    "them. Wrong: the mean outcome of the first attempts is below 0.5. Mistakes are those at an item of"
    " the point and those whose finding names it. What went wrong is a sentence of the model about each"
    " mistake; sentences are one if they differ only in case, width, spaces and punctuation, or if a "
    "reviewer judged them the same. The quote is from the latest mistake with words: those that the "
    "analyser found to be the reason, or else the answer or the text of the mistake. Types and points "
    "that an analyser found are hidden if reviewers accepted under 40 % of those like them, and types "
    "that it named without a model until they are measured.",
    parameters=OfPoint,
    row=AtPoint,
    find=find,
    order=lambda row: (STATES.index(row.state), row.share or 0.0, -row.mistakes, row.student),
    quotes=True,
)
