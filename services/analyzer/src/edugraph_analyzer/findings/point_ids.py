"""Short ids of the knowledge points that a prompt shows: k1, k2 and so on.

A model answers with ids, so that a point cannot come back under another name. The ids belong to one question. They
become names as soon as an answer arrives, because a cached answer serves questions that show other points.

The topics of a message are points of this list, or names with the prefix "other: ".
"""

import re
from collections.abc import Sequence

from edugraph_analyzer.documents import folded_topic
from edugraph_analyzer.error_types import ErrorTypes, name_behind_other, other
from edugraph_analyzer.findings.mapping import same_name
from edugraph_analyzer.findings.schema import (
    Answer,
    ContentAnswer,
    ErrorAnswer,
    InteractionAnswer,
    LinkAnswer,
    PointAnswer,
    PrerequisiteAnswer,
    TypeAnswer,
    folded,
)

_ID = re.compile(r"k([0-9]{1,6})")
_AFTER_IDS = " ;:,."
_AROUND_TOPICS = " \t\n\r\"'`“”."
# A model may repeat the name behind the id, as the prompt shows it: "k3: moving terms".
_ID_AND_NAME = re.compile(r"k([0-9]{1,6})([\s:.,;=)\]–—-]+)(.+)")


def with_ids(points: Sequence[str]) -> str:
    """Return the list of points for a prompt, each with its id."""
    return "; ".join(f"k{number}: {point}" for number, point in enumerate(points, start=1))


def with_names(answer: Answer, points: Sequence[str], error_types: ErrorTypes) -> Answer:
    """Return an answer with names in place of ids. `points` are those that its question showed, in their order.

    A point or a kind with an id that was not shown is left out, and a prerequisite that needs the point too. The name
    of a new point stays as it is. The names of a new kind of mistake and of a new topic begin with "other: ".
    """
    match answer:
        case InteractionAnswer():
            return _message(answer, points)
        case ErrorAnswer():
            return _mistake(answer, points, error_types)
        case ContentAnswer():
            return _course_text(answer, points)


def names_in(answer: Answer) -> int:
    """Return the number of names in the lists of an answer."""
    match answer:
        case InteractionAnswer():
            return len(answer.topics)
        case ErrorAnswer():
            return len(answer.knowledge_points) + len(answer.error_types)
        case ContentAnswer():
            return len(answer.knowledge_points) + len(answer.prerequisites)


def _message(answer: InteractionAnswer, points: Sequence[str]) -> InteractionAnswer:
    topics = list[str]()
    for given in answer.topics:
        topic = topic_of(given, points)
        if topic is not None:
            topics.append(topic)
    return answer.model_copy(update={"topics": topics})


def _mistake(answer: ErrorAnswer, points: Sequence[str], error_types: ErrorTypes) -> ErrorAnswer:
    links = list[LinkAnswer]()
    for link in answer.knowledge_points:
        name = name_of(link.name, points)
        if name is not None:
            links.append(link.model_copy(update={"name": name}))
    types = list[TypeAnswer]()
    for error_type in answer.error_types:
        name = error_types.chosen(error_type.name)
        if name is not None:
            types.append(error_type.model_copy(update={"name": name}))
    return answer.model_copy(update={"knowledge_points": links, "error_types": types})


def _course_text(answer: ContentAnswer, points: Sequence[str]) -> ContentAnswer:
    found = list[PointAnswer]()
    for point in answer.knowledge_points:
        name = name_of(point.name, points)
        if name is not None:
            found.append(point.model_copy(update={"name": name}))
    prerequisites = list[PrerequisiteAnswer]()
    for prerequisite in answer.prerequisites:
        name = name_of(prerequisite.point, points)
        required = name_of(prerequisite.requires, points)
        if name is not None and required is not None:
            named = prerequisite.model_copy(update={"point": name, "requires": required})
            prerequisites.append(named)
    return answer.model_copy(update={"knowledge_points": found, "prerequisites": prerequisites})


def name_of(given: str, points: Sequence[str]) -> str | None:
    """Return the name that an answer means by an id or by a name. Return None for an id that was not shown.

    An id with the name of another point is not used either, since nobody knows which of the two is meant.
    """
    text = folded(given)
    bare_id = _ID.fullmatch(text.rstrip(_AFTER_IDS))
    if bare_id is not None:
        return _point(bare_id[1], points)
    for point in points:
        if same_name(point) == same_name(given):
            return point
    both = _ID_AND_NAME.fullmatch(text)
    if both is None:
        return given
    number, between, name = both.groups()
    meant = _point(number, points)
    if meant is not None and folded(meant) == folded(name):
        return meant
    # The name of a new point may begin like an id: "K12 education".
    is_one_name = between.isspace()
    is_shown_name = any(folded(point) == folded(name) for point in points)
    if is_one_name and not is_shown_name:
        return given
    return None


def topic_of(given: str, points: Sequence[str]) -> str | None:
    """Return the point that a model means by a topic, or "other: " and the name of a topic that is not a point.

    Return None for an id that was not shown, and for "other: " without a name or with an id in place of the name.
    """
    own_name = name_behind_other(given)
    if own_name is not None and _ID.fullmatch(folded(own_name).rstrip(_AFTER_IDS)):
        # The id says that the list has the topic, and the prefix that it does not.
        return None
    if own_name is None:
        own_name = given.strip(_AROUND_TOPICS)
    name = name_of(own_name, points)
    if not name:
        return None
    key = folded_topic(name)
    for point in points:
        if folded_topic(point) == key:
            return point
    return other(name)


def _point(number: str, points: Sequence[str]) -> str | None:
    index = int(number) - 1
    if not 0 <= index < len(points):
        return None
    return points[index]
