"""xAPI statements (1.0.3 and 2.0) about courses, attempts, texts, the use of something, and messages between persons.

An event of Caliper is read as the statement that means the same (caliper.py).

A verb is recognised by the last part of its IRI, since registries differ in the rest. The id of a statement is the
record_id (statements.py). Accounts and courses get their ids by the setting of platforms (platforms.py). The rules of
Moodle are in moodle.py. Those of Open edX are here, since its router follows the specification closely.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edugraph_common.contracts.records import (
    FIRST_STATEMENT_READING,
    InvalidRecord,
    Record,
    Withdrawal,
    parse_record,
    shorten,
)
from edugraph_common.sources import caliper, moodle
from edugraph_common.sources.chunking import RowChunk, chunked, rows_of
from edugraph_common.sources.json_source import JsonSource
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rows import NotRelevant
from edugraph_common.sources.statements import (
    VOIDED,
    Agent,
    Object,
    Statement,
    agents_of_students,
    id_of_agent,
    last_part,
    objects_at,
    parse_statement,
    statement_id,
    verb_iri,
)
from edugraph_common.sources.students import People, texts_in

# Raise this number when a statement becomes another record than before.
READING = FIRST_STATEMENT_READING + 4
_LANGUAGES = ("zh-CN", "zh", "en-US", "en")
# The fields with any person, beside those with students.
_PERSONS = ("actor", "object", "member", "context", "instructor", "team", "authority")
# The parts of an Open edX block that are used for themselves, behind the address of the block.
_PART_OF_A_BLOCK = re.compile(r"/(?:answer|solution|hint/[0-9]+)$")
# The response in a statement with one of these verbs is the comment of the person who graded.
_GRADING_VERBS = frozenset({"scored", "assessed", "graded"})
# Questions that are answered with a text. A question without a type may be one of them.
_FREE_TEXT = (None, "fill-in", "long-fill-in")


@dataclass(frozen=True)
class StatementSource(JsonSource):
    """Statements of a file. Summaries of Moodle are marked if their questions are in the file too."""

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        rows = rows_of(self.layout.chunks(blocks, rows_per_chunk))
        return chunked(moodle.mark_summaries(rows), rows_per_chunk)


def people_of_statement(value: Any, platforms: Platforms) -> People:
    """Return whom a statement of any form names.

    The ids are those of the actor, of the persons whom the statement is about, and of the members of a group.
    """
    if caliper.is_event(value):
        return caliper.people_of_event(value, platforms)
    ids = frozenset(id_of_agent(agent, platforms) for agent in agents_of_students(value)) - {""}
    if not ids and verb_iri(value) != VOIDED:
        return People(ids, tuple(texts_in(value)))
    names = [agent.get("name") for agent in _persons(value) if _has_only_a_name(agent, platforms)]
    return People(ids, tuple(name for name in names if isinstance(name, str)))


def _persons(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects at the places of any person, and the statement itself."""
    yield from agents_of_students(value)
    yield from objects_at(value, _PERSONS, with_extensions=False)


def _has_only_a_name(agent: dict[str, Any], platforms: Platforms) -> bool:
    """Return whether an agent has no id. An activity has an IRI, and is not an agent."""
    return "id" not in agent and not id_of_agent(agent, platforms)


Fields = dict[str, Any]
Extracted = tuple[str, Fields] | None
"""The type and the data of a record, or None where the statement has nothing for the graph."""


def read_statement(value: Any, platforms: Platforms) -> Record | Withdrawal | NotRelevant:
    """Return the record of a decoded statement, or the withdrawal in a statement that voids another.

    Raises InvalidRecord.
    """
    if caliper.is_event(value):
        value = caliper.statement_of_event(value)
    iri = _known_verb(value)
    if iri == VOIDED:
        return _withdrawal(value)
    verb = last_part(iri)
    extract = _EXTRACTORS.get(verb)
    if extract is None:
        return NotRelevant(verb)
    if value.get(moodle.COUNTED_BY_QUESTIONS) is True:
        return NotRelevant(f"{verb} (its questions count)")
    statement = parse_statement(value)
    reason = _why_not_relevant(statement)
    if reason:
        return NotRelevant(f"{verb} ({reason})")
    extracted = extract(statement, verb, platforms)
    if extracted is None and verb in _USES:
        extracted = _used(statement, verb, platforms)
    if extracted is None:
        return NotRelevant(verb)
    record_type, data = extracted
    is_nobody = moodle.is_of_moodle(statement.context) and moodle.is_anonymous(statement.actor)
    if is_nobody and record_type != "post_record":
        return NotRelevant(f"{verb} (anonymous)")
    moment = _begin(statement) if record_type == "activity_record" else statement.moment
    record: Fields = {"type": record_type, "timestamp": moment, "record_id": statement_id(value)}
    if platforms.prefixes is not None:
        record["reading"] = READING
    record["data"] = {name: item for name, item in data.items() if item is not None}
    return parse_record(record)


def _known_verb(value: Any) -> str:
    """Return the IRI of the verb of a decoded statement. Raises InvalidRecord if there is none."""
    iri = verb_iri(value)
    if iri is None:
        verb = value.get("verb") if isinstance(value, dict) else None
        given = verb.get("id") if isinstance(verb, dict) else None
        raise InvalidRecord("verb.id", "the IRI of a verb", shorten(given or value), "is missing")
    return iri


def _withdrawal(value: dict[str, Any]) -> Withdrawal:
    """Return the withdrawal of the statement that is voided. Raises InvalidRecord."""
    voided = value.get("object")
    if not isinstance(voided, dict) or voided.get("objectType") != "StatementRef":
        raise InvalidRecord(
            "object", "a StatementRef", shorten(voided), "does not refer to a statement"
        )
    record_id = voided.get("id")
    if not isinstance(record_id, str):
        raise InvalidRecord(
            "object.id", "the id of the statement that is voided", shorten(record_id), "is missing"
        )
    return Withdrawal(record_id=record_id.strip().lower())


def _why_not_relevant(statement: Statement) -> str | None:
    """Return why the graph has no place for a statement, whatever its verb, or None."""
    if statement.actor.kind == "Group":
        return "by a group"
    if statement.object.kind in ("SubStatement", "Group"):
        return f"of a {statement.object.kind}"
    if _is_part_of_a_problem(statement):
        return "part of a problem"
    return None


def _is_part_of_a_problem(statement: Statement) -> bool:
    """Return whether a statement of Open edX is about one question of a problem that has several.

    The router sends a statement about the whole problem as well, which is the attempt in the log.
    """
    context = statement.context
    if not context.is_of_open_edx or context.statement is None:
        return False
    return any(not _is_course(each) for each in context.activities.parent)


def _is_course(activity: Object) -> bool:
    """Return whether an activity is a course. Moodle gives this type to a module with IMS content as well."""
    return activity.definition.kind == "course" and not moodle.is_module(activity)


def _enrolled(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    return _course_record(statement, platforms, enrollment_date=statement.moment)


def _finished(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    if not _is_course(statement.object):
        return _tried(statement, verb, platforms)
    if statement.result.completion is False:
        return None
    progress = 100 if verb == "completed" else None
    return _course_record(statement, platforms, completion_date=statement.moment, progress=progress)


def _progressed(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return a course record with the progress. The score is not used, since it is not the share that was done."""
    for iri, value in statement.result.extensions.items():
        if iri.endswith("/progress"):
            return _course_record(statement, platforms, progress=value)
    return None


def _course_record(statement: Statement, platforms: Platforms, **fields: Any) -> Extracted:
    course = statement.object
    if not _is_course(course):
        return None
    spent = _time_spent(statement)
    minutes = None
    if spent is not None:
        minutes = spent.total_seconds() / 60
    data = {
        "student_id": _person(statement.actor, "actor", platforms),
        "student_name": statement.actor.name,
        "course_id": _course_id(course, platforms),
        "course_name": _in_language(course.definition.name),
        "time_spent": minutes,
    }
    return "course_record", {**data, **fields}


def _graded(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return a course record whose progress is the grade. Open edX has no better measure of progress."""
    share = statement.result.score.share
    if share is None or not statement.context.is_of_open_edx:
        return None
    return _course_record(statement, platforms, progress=round(share * 100, 4))


def _tried(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the attempt at an item. An answer without an outcome is one if it is a text that can be judged."""
    tried = statement.object
    if _is_course(tried) or not tried.iri:
        return None
    # Open edX has two statements for each submission: "evaluated" and "attempted".
    if verb == "attempted" and statement.context.is_of_open_edx:
        return None
    if moodle.is_of_moodle(statement.context) and moodle.is_score_of_another_question(statement):
        return None
    correct, score = _outcome(statement, verb)
    if correct is None and score is None:
        text = (_answer(statement, verb) or "").strip()
        title = _in_language(tried.definition.name)
        is_free_text = verb == "answered" and tried.definition.interaction_type in _FREE_TEXT
        if not text or not is_free_text:
            return None
        if moodle.is_questionnaire(statement):
            return _post(statement, platforms, text, title)
    return "attempt_record", _attempt(statement, verb, platforms, correct=correct, score=score)


def _outcome(statement: Statement, verb: str) -> tuple[bool | None, float | None]:
    """Return whether an attempt was right, and its score. Both are None if the statement does not say it."""
    result = statement.result
    score = result.score.share
    correct = result.success
    if moodle.is_of_moodle(statement.context):
        # The success of something with points says only that the mark for passing was reached, which is 0 unless a
        # teacher sets it. That of a module says that it is completed, which follows from other statements.
        if score is not None or verb != "answered":
            correct = None
        return correct, score
    if correct is None:
        correct = _MEANT_BY.get(verb)
    return correct, score


def _attempt(
    statement: Statement,
    verb: str,
    platforms: Platforms,
    *,
    correct: bool | None,
    score: float | None,
) -> Fields:
    student = statement.actor
    iri = statement.object.iri or ""
    asked = statement.object.definition
    title = _in_language(asked.name)
    question = _in_language(asked.description)
    number = _attempt_number(statement)
    if moodle.is_of_moodle(statement.context):
        student = moodle.learner(statement)
        iri = moodle.item_iri(statement)
        title = _in_language(moodle.item(statement).definition.name)
        number = moodle.attempt_number(statement)
        # Other activities than questions have an introduction there.
        if asked.kind != "cmi.interaction":
            question = None
    elif statement.context.is_of_open_edx and question is None:
        # A problem with several questions has only its name.
        question = title
    spent = _time_spent(statement)
    seconds = None
    if spent is not None:
        seconds = spent.total_seconds()
    return {
        "student_id": _person(student, "actor", platforms),
        "student_name": student.name,
        "item_id": platforms.item_id(iri),
        "item_title": title,
        "course_id": _context_course(statement, platforms),
        "correct": correct,
        "score": score,
        "max_score": None if score is None else statement.result.score.possible,
        "attempt_number": number,
        "question": question,
        "response": _answer(statement, verb) or None,
        "duration_seconds": seconds,
    }


def _attempt_number(statement: Statement) -> int | None:
    for iri, value in statement.object.definition.extensions.items():
        if iri.endswith("/attempt-id"):
            if isinstance(value, int) and value > 0:
                return value
            return None
    return None


def _answer(statement: Statement, verb: str) -> str | None:
    """Return the answer of the student, and never the comment of the person who graded it."""
    context = statement.context
    is_in_moodle = moodle.is_of_moodle(context)
    if verb in _GRADING_VERBS and (is_in_moodle or context.instructor is not None):
        return None
    if is_in_moodle:
        return moodle.response(statement)
    if context.is_of_open_edx:
        return _plain_list(statement.result.response)
    return statement.result.response


def _plain_list(response: str | None) -> str | None:
    """Return a list of answers, which Open edX sends as JSON, in the form that answers of its log have."""
    if response is None or not response.startswith("["):
        return response
    try:
        answers = json.loads(response)
    except (ValueError, RecursionError):
        return response
    if not all(isinstance(each, str) for each in answers):
        return response
    return ", ".join(answers)


def _assessed(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the attempt that a teacher graded. Only Moodle says in such a statement whose attempt it was."""
    if not moodle.is_of_moodle(statement.context):
        return None
    return _tried(statement, verb, platforms)


def _said(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return the message to a person, or the post in a discussion."""
    text = _text(statement)
    if not text:
        return None
    if statement.object.kind == "Agent":
        receiver = statement.object
        return _interaction(
            statement, platforms, receiver, "object", interaction_type="chat", text=text
        )
    return _post(statement, platforms, text, _in_language(statement.object.definition.name))


def _text(statement: Statement) -> str:
    """Return what the actor wrote. Moodle has the text of a post in the description of its activity."""
    text = statement.result.response
    if not text and moodle.is_of_moodle(statement.context):
        text = _in_language(statement.object.definition.description)
    return (text or "").strip()


def _begun(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return the post that opens a discussion. Its sender has the title alone, so the title is the text."""
    definition = statement.object.definition
    text = (_in_language(definition.name) or "").strip()
    if definition.kind != "discussion" or not text:
        return None
    return _post(statement, platforms, text, None)


def _posted(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    if statement.context.is_of_open_edx:
        return _begun(statement, verb, platforms)
    return _said(statement, verb, platforms)


def _post(statement: Statement, platforms: Platforms, text: str, title: str | None) -> Extracted:
    """Return the post with this text, or None outside of a course."""
    course_id = _context_course(statement, platforms)
    if course_id is None:
        return None
    author = statement.actor
    thread = _thread(statement)
    return "post_record", {
        "student_id": _person(author, "actor", platforms),
        "student_name": author.name,
        "course_id": course_id,
        "thread_id": platforms.item_id(thread) if thread else None,
        "title": title,
        "text": text,
    }


def _thread(statement: Statement) -> str | None:
    """Return the IRI of the discussion: the object, or the nearest activity around it that is not a course."""
    said = statement.object
    if said.definition.kind in _DISCUSSIONS:
        return said.iri
    for each in statement.context.around:
        if each.definition.kind != "section" and not _is_course(each):
            return each.iri
    return said.iri


def _liked(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return a like only if it has a target person."""
    receiver = statement.object
    if receiver.kind != "Agent":
        return None
    return _interaction(statement, platforms, receiver, "object", interaction_type="like")


def _sent(statement: Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return the message to the person whom Moodle names in the context, or the post to a group."""
    receiver = moodle.receiver(statement)
    text = _text(statement)
    if receiver is None or not text:
        return None
    if receiver.kind != "Agent":
        return _post(statement, platforms, text, _in_language(statement.object.definition.name))
    place = "context.extensions"
    return _interaction(statement, platforms, receiver, place, interaction_type="chat", text=text)


def _edited(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the new text of a post, or the activity in a forum. The staff of a course edits other things."""
    if _kind_of_use(statement) != "forum":
        return None
    return _said(statement, verb, platforms) or _used(statement, verb, platforms)


def _joined(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the activity in a meeting. Others join a group, which is not the use of something."""
    if statement.object.definition.kind != "meeting":
        return None
    return _used(statement, verb, platforms)


def _used(statement: Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the activity of a statement. With a duration, the timestamp is the end of the activity."""
    used = statement.object
    is_course = _is_course(used)
    course_id = _course_id(used, platforms) if is_course else _context_course(statement, platforms)
    if not course_id or not used.iri:
        return None
    if moodle.is_of_moodle(statement.context):
        # Somebody else suspends or resumes the enrolment of the actor.
        is_enrolment = is_course and verb in ("suspended", "resumed")
        # A teacher looks at the work of a student.
        is_others_work = moodle.learner(statement).id(platforms) != statement.actor.id(platforms)
        if is_enrolment or is_others_work:
            return None
    activity_id = None
    if not is_course:
        activity_id = platforms.item_id(_used_iri(statement))
    spent = _time_spent(statement)
    seconds = None
    if spent is not None:
        seconds = max(0.0, spent.total_seconds())
    return "activity_record", {
        "student_id": _person(statement.actor, "actor", platforms),
        "course_id": course_id,
        "activity_id": activity_id,
        "kind": _kind_of_use(statement),
        "duration_seconds": seconds,
    }


def _used_iri(statement: Statement) -> str:
    if moodle.is_of_moodle(statement.context):
        return moodle.item_iri(statement)
    iri = statement.object.iri or ""
    if statement.context.is_of_open_edx:
        return _PART_OF_A_BLOCK.sub("", iri)
    return iri


def _kind_of_use(statement: Statement) -> str | None:
    if moodle.is_of_moodle(statement.context):
        return moodle.kind_of_use(statement)
    return _KINDS.get(statement.object.definition.kind)


def _time_spent(statement: Statement) -> timedelta | None:
    """Return how long the statement took. The duration of a statement of Open edX is the length of a video."""
    if statement.context.is_of_open_edx:
        return None
    return statement.result.duration


def _begin(statement: Statement) -> str | None:
    """Return when the activity began. A text that is not a date is returned unchanged, to be rejected."""
    moment = statement.moment
    spent = _time_spent(statement)
    if moment is None or spent is None or spent <= timedelta(0):
        return moment
    try:
        return (datetime.fromisoformat(moment) - spent).isoformat()
    except (ValueError, OverflowError):
        return moment


def _interaction(
    statement: Statement, platforms: Platforms, receiver: Agent, place: str, **fields: Any
) -> Extracted:
    """Return an interaction of the actor with the receiver, who stands at this place of the statement."""
    sender = statement.actor
    return "student_interaction", {
        "student_id_from": _person(sender, "actor", platforms),
        "student_id_to": _person(receiver, place, platforms),
        "student_name_from": sender.name,
        "student_name_to": receiver.name,
        "course_id": _context_course(statement, platforms),
        **fields,
    }


# Verb -> the outcome of an attempt that it implies.
_MEANT_BY = {"passed": True, "mastered": True, "failed": False}

# The last parts of the types of discussions.
_DISCUSSIONS = frozenset({"discussion", "forum-topic"})

# The last part of an activity's type -> the kind of thing that was used.
_KINDS = {
    **dict.fromkeys(("video", "media", "audio", "webinar"), "video"),
    **dict.fromkeys(
        ("question", "cmi.interaction", "assessment", "solution", "practice-assessment"), "exercise"
    ),
    **dict.fromkeys(
        ("proctored-assessment", "timed-assessment", "simulation", "supplemental-info"), "exercise"
    ),
    **dict.fromkeys(("discussion", "forum", "forum-topic", "comment", "reply"), "forum"),
    **dict.fromkeys(
        ("resource", "link", "page", "module", "lesson", "file", "book", "chapter"), "page"
    ),
}

# Verbs that always mean use, and verbs that may mean something else: a completed course is progress.
_ONLY_USES = (
    "experienced",
    "viewed",
    "accessed",
    "opened",
    "read",
    "watched",
    "listened",
    "launched",
    "navigated",
    "initialized",
    "started",
    "resumed",
    "suspended",
    "paused",
    "played",
    "seeked",
    "terminated",
    "exited",
    "interacted",
    "asked",
    "downloaded",
    "searched",
    "posted",
    "created",
    "submitted",
    "voted",
    "start",
    "restarted",
    "submit",
)
_USES = {*_ONLY_USES, "attempted", "answered", "completed", "commented", "responded", "replied"}

_EXTRACTORS: dict[str, Callable[[Statement, str, Platforms], Extracted]] = {
    **dict.fromkeys(_ONLY_USES, _used),
    "registered": _enrolled,
    "enrolled": _enrolled,
    "completed": _finished,
    "passed": _finished,
    "progressed": _progressed,
    "earned": _graded,
    "failed": _tried,
    "mastered": _tried,
    "scored": _tried,
    "answered": _tried,
    "evaluated": _tried,
    "attempted": _tried,
    "assessed": _assessed,
    "commented": _said,
    "responded": _said,
    "replied": _said,
    "messaged": _said,
    "liked": _liked,
    "praised": _liked,
    "posted": _posted,
    "create": _begun,
    "send": _sent,
    "edited": _edited,
    "join": _joined,
}


def _person(agent: Agent, field: str, platforms: Platforms) -> str:
    found = agent.id(platforms)
    if not found:
        raise InvalidRecord(
            field, "an account, mbox, mbox_sha1sum or openid", "", "does not say who it is"
        )
    return found


def _context_course(statement: Statement, platforms: Platforms) -> str | None:
    for each in statement.context.around:
        if _is_course(each):
            return _course_id(each, platforms)
    return None


def _course_id(course: Object, platforms: Platforms) -> str | None:
    if not course.iri:
        return None
    return platforms.course_id(course.iri) or None


def _in_language(texts: dict[str, str]) -> str | None:
    for language in _LANGUAGES:
        if texts.get(language):
            return texts[language]
    return next(iter(texts.values()), None) or None
