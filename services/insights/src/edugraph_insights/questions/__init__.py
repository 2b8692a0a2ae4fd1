"""The questions that insights answers, by name. Each module defines one question."""

from collections.abc import Mapping
from typing import Any

from edugraph_insights.questions import (
    attention,
    course_map,
    difficulty,
    earlier_gaps,
    grid,
    groups,
    handed_in,
    help_used,
    items,
    learn_next,
    mastery,
    mood,
    needs_help,
    point,
    records,
    returning_mistakes,
    review_points,
    review_queue,
    roster,
    student,
    ties,
    today,
    travelling_weaknesses,
    trend,
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
        needs_help,
        learn_next,
        returning_mistakes,
        student,
        difficulty,
        items,
        groups,
        mood,
        ties,
        attention,
        travelling_weaknesses,
        untaught_points,
        trust,
        records,
        roster,
        course_map,
        mastery,
        trend,
        review_queue,
        review_points,
        handed_in,
        help_used,
        grid,
        point,
        today,
    )
}
