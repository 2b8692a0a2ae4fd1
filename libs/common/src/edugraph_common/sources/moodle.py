"""The statements of Moodle's plugin logstore_xapi (release 5.0.1), as the plugin means them.

The plugin makes statements of the events of Moodle's log. Its activities are pages: `course/view.php?id=` is a
course, `mod/quiz/view.php?id=` a quiz, and `mod/quiz/attempt.php?attempt=…&cmid=…` one attempt at it. It sends no ids
of statements.
https://github.com/xAPI-vle/moodle-logstore_xapi
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from edugraph_common.sources.chunking import RawRow
from edugraph_common.sources.statements import (
    Agent,
    Context,
    Object,
    Statement,
    last_part,
    parse_agent,
    verb_iri,
)

_INFO = "http://lrs.learninglocker.net/define/extensions/info"
_PLUGIN = "moodle-logstore_xapi"
# The plugin names the learner of a graded essay, and the receiver of a message, in extensions of the context.
_LEARNER = "/context-extensions/for"
_RECEIVER = "/context-extensions/to"
_ANSWER = "http://learninglocker.net/xapi/cmi/"
# The plugin gives all who answer a feedback without their names this one account.
_NOBODY = "anonymous"

_MODULE_PAGE = re.compile(r"(?P<page>.*/mod/(?P<module>\w+)/view\.php\?id=[0-9]+)(?:#\w+)?$")
_QUIZ_ATTEMPT = re.compile(
    r"(?P<site>.*)/mod/quiz/attempt\.php\?attempt=(?P<attempt>[0-9]{1,18})(?:&cmid=(?P<module>[0-9]{1,18}))?$"
)
_LESSON_PAGE = re.compile(
    r"(?P<lesson>.*/mod/lesson/view\.php\?id=[0-9]+)(?:&pageid=[0-9]+|#lesson)?$"
)
_REVIEWED_SLOT = re.compile(
    r".*/review\.php\?attempt=(?P<attempt>[0-9]{1,18})&slot=(?P<slot>[0-9]{1,9})$"
)
_MODULE = re.compile(r"/mod/(?P<module>\w+)/")
_LARGEST_NUMBER = 1_000_000_000

_QUESTIONNAIRES = frozenset({"feedback", "questionnaire", "survey"})

# A module of Moodle -> the kind of its use. Other modules have none.
_KINDS = {
    **dict.fromkeys(
        ("assign", "choice", "feedback", "h5pactivity", "quiz", "questionnaire", "scorm"),
        "exercise",
    ),
    **dict.fromkeys(("survey", "workshop"), "exercise"),
    **dict.fromkeys(("chat", "forum", "glossary", "wiki"), "forum"),
    **dict.fromkeys(
        ("book", "data", "folder", "imscp", "lesson", "page", "resource", "url"), "page"
    ),
}


def is_of_moodle(context: Context) -> bool:
    """Return whether the plugin made the statement."""
    info = context.extensions.get(_INFO)
    return isinstance(info, dict) and any(name.endswith(_PLUGIN) for name in info)


def is_module(activity: Object) -> bool:
    """Return whether an activity is a module of a course. One with IMS content has the type of a course."""
    return _MODULE_PAGE.fullmatch(activity.iri or "") is not None


def is_anonymous(agent: Agent) -> bool:
    return agent.account is not None and agent.account.name == _NOBODY


def learner(statement: Statement) -> Agent:
    """Return the person whose work the statement is about. The actor may be the teacher who graded an essay."""
    return _person_in_context(statement, _LEARNER) or statement.actor


def receiver(statement: Statement) -> Agent | None:
    return _person_in_context(statement, _RECEIVER)


def _person_in_context(statement: Statement, ending: str) -> Agent | None:
    for iri, value in statement.context.extensions.items():
        if iri.endswith(ending):
            return parse_agent(value)
    return None


def item_iri(statement: Statement) -> str:
    """Return the IRI of the item: a quiz in place of an attempt at it, a module in place of a part."""
    iri = statement.object.iri or ""
    quiz = _quiz_around(statement)
    attempt = _QUIZ_ATTEMPT.fullmatch(iri)
    if attempt and attempt["module"]:
        return f"{attempt['site']}/mod/quiz/view.php?id={attempt['module']}"
    if attempt and quiz:
        return quiz
    slot = _REVIEWED_SLOT.fullmatch(iri)
    if slot and quiz:
        return f"{quiz}#slot={slot['slot']}"
    page = _MODULE_PAGE.fullmatch(iri)
    if page:
        return page["page"]
    return iri


def is_score_of_another_question(statement: Statement) -> bool:
    """Return whether a score is not that of the question which was graded by hand.

    The plugin names the place of the question, but always sends the score of the first question of the attempt.
    """
    slot = _REVIEWED_SLOT.fullmatch(statement.object.iri or "")
    return slot is not None and int(slot["slot"]) > 1


def _quiz_around(statement: Statement) -> str | None:
    for each in statement.context.around:
        page = _MODULE_PAGE.fullmatch(each.iri or "")
        if page and page["module"] == "quiz":
            return page["page"]
    return None


def item(statement: Statement) -> Object:
    """Return the activity that is the item: the object, or the activity around it for which it stands."""
    iri = item_iri(statement)
    for each in statement.context.around:
        if each.iri == iri:
            return each
    return statement.object


def attempt_number(statement: Statement) -> int | None:
    """Return Moodle's number of the attempt at a quiz. Moodle numbers the attempts of all students together."""
    for each in (statement.object, *statement.context.around):
        attempt = _QUIZ_ATTEMPT.fullmatch(each.iri or "")
        if attempt:
            number = int(attempt["attempt"])
            if 0 < number <= _LARGEST_NUMBER:
                return number
            return None
    return None


def kind_of_use(statement: Statement) -> str | None:
    return _KINDS.get(_module(statement))


def is_questionnaire(statement: Statement) -> bool:
    """Return whether the answers to the questions are opinions, which are neither right nor wrong."""
    return is_of_moodle(statement.context) and _module(statement) in _QUESTIONNAIRES


def _module(statement: Statement) -> str:
    """Return the name of the module to which the object of a statement belongs, or an empty text."""
    for each in (statement.object, *statement.context.around):
        module = _MODULE.search(each.iri or "")
        if module:
            return module["module"]
    return ""


def response(statement: Statement) -> str | None:
    """Return the answer as the learner saw it. The response itself has `a-big-dog` for "A big dog"."""
    for iri, value in statement.result.extensions.items():
        if iri.startswith(_ANSWER) and isinstance(value, str):
            return value
    return statement.result.response


# --- Summaries ----------------------------------------------------------------------------------------------------

# The field that is added to a summary whose questions are in the same file. Its name is not one of xAPI.
COUNTED_BY_QUESTIONS = "edugraph:counted-by-questions"
# A quiz and its questions come together, the questions of a lesson before its end. So a summary waits for this many
# rows, and remembers many more questions. The bounds limit the memory.
_MOST_WAITING_ROWS = 1_000
_MOST_WAITING_BYTES = 8 << 20
_MOST_REMEMBERED = 200_000
# Bytes that a row of a quiz or a lesson has, so that other rows need not be decoded twice.
_MARKS = (b"attempt.php", b"mod/lesson", b"mod\\/lesson")


class _Place(NamedTuple):
    """The attempt to which a row belongs. `is_summary`: the row has the result of all questions of the attempt."""

    attempt: str
    is_summary: bool


def mark_summaries(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    """Yield the rows of a file, with a mark in each summary of a quiz or a lesson whose questions are there as well.

    The plugin sends both, and the points of a quiz would count twice. The rows that are marked depend on the file
    alone, and not on the batches into which it is cut.
    """
    waiting: deque[tuple[RawRow, str | None]] = deque()
    waiting_bytes = 0
    answered: dict[str, None] = {}
    for row in rows:
        place = _place_of(row)
        summary = None
        if place and place.is_summary:
            summary = place.attempt
        elif place:
            answered.pop(place.attempt, None)
            answered[place.attempt] = None
            if len(answered) > _MOST_REMEMBERED:
                del answered[next(iter(answered))]
        waiting.append((row, summary))
        waiting_bytes += len(row.raw)
        while waiting:
            first, attempt = waiting[0]
            is_full = len(waiting) > _MOST_WAITING_ROWS or waiting_bytes > _MOST_WAITING_BYTES
            if attempt is not None and attempt not in answered and not is_full:
                break
            waiting.popleft()
            waiting_bytes -= len(first.raw)
            yield _marked(first) if attempt in answered else first
    for row, attempt in waiting:
        yield _marked(row) if attempt in answered else row


def mark_summaries_of_request(statements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the statements of one request, with a mark in each summary whose questions are in the request, too."""
    places = [_place_in(statement) for statement in statements]
    answered = set()
    for place in places:
        if place and not place.is_summary:
            answered.add(place.attempt)
    marked = []
    for statement, place in zip(statements, places, strict=True):
        is_counted = place is not None and place.is_summary and place.attempt in answered
        marked.append({**statement, COUNTED_BY_QUESTIONS: True} if is_counted else statement)
    return marked


def _marked(row: RawRow) -> RawRow:
    _, _, rest = row.raw.partition(b"{")
    mark = json.dumps(COUNTED_BY_QUESTIONS).encode()
    return row._replace(raw=b"{" + mark + b": true, " + rest)


def _place_of(row: RawRow) -> _Place | None:
    """Return the attempt to which a row belongs, or None for a row of another kind or form."""
    if not any(mark in row.raw for mark in _MARKS):
        return None
    try:
        return _place_in(json.loads(row.raw))
    except (ValueError, RecursionError):
        return None  # The row is rejected when it is read.


def _place_in(value: Any) -> _Place | None:
    verb = last_part(verb_iri(value) or "")
    if verb == "completed":
        return _as_place(_iri(value.get("object")), _person(value), is_summary=True)
    if verb != "answered":
        return None
    for each in (value.get("object"), *_parents(value)):
        place = _as_place(_iri(each), _person(value), is_summary=False)
        if place:
            return place
    return None


def _as_place(iri: str, person: str, *, is_summary: bool) -> _Place | None:
    if _QUIZ_ATTEMPT.fullmatch(iri):
        return _Place(iri, is_summary)
    lesson = _LESSON_PAGE.fullmatch(iri)
    if lesson:
        # The address of a lesson has no number of the attempt.
        return _Place(f"{lesson['lesson']} {person}", is_summary)
    return None


def _iri(activity: Any) -> str:
    iri = activity.get("id") if isinstance(activity, dict) else None
    if not isinstance(iri, str):
        return ""
    return iri


def _person(value: dict[str, Any]) -> str:
    return json.dumps(value.get("actor"), sort_keys=True)


def _parents(value: dict[str, Any]) -> list[Any]:
    context = value.get("context")
    activities = context.get("contextActivities") if isinstance(context, dict) else None
    parents = activities.get("parent") if isinstance(activities, dict) else None
    if isinstance(parents, list):
        return parents
    return [parents]
