"""The questions that insights answers, by name. Each module has one."""

from collections.abc import Mapping
from typing import Any

from edugraph_insights.questions import (
    attention,
    course_map,
    difficulty,
    earlier_gaps,
    items,
    records,
    returning_mistakes,
    roster,
    student,
    travelling_weaknesses,
    trust,
    untaught_points,
    weak_points,
)
from edugraph_insights.questions.question import Question

QUESTIONS: Mapping[str, Question[Any, Any]] = {
    module.QUESTION.name: module.QUESTION
    for module in (
        weak_points,
        earlier_gaps,
        returning_mistakes,
        student,
        difficulty,
        items,
        attention,
        travelling_weaknesses,
        untaught_points,
        trust,
        records,
        roster,
        course_map,
    )
}
