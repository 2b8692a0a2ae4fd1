"""The bench of insights asks each question. It is in no gate, so here is what would end it after minutes."""

from random import Random

import pytest
from bench_insights import GOALS, is_of_few, parameters

from edugraph_cli.synthetic_school import School
from edugraph_insights.questions import QUESTIONS


@pytest.mark.parametrize("scope", GOALS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_each_question_gets_the_parameters_that_it_needs(name: str, scope: str) -> None:
    if scope == "course" and is_of_few(name):
        return
    school = School(60, 1, 600)
    asked = parameters(school, Random(1), name, scope)
    given = QUESTIONS[name].parameters(**asked)
    assert given.course == asked["course"]
    is_narrow = any(getattr(given, each, None) is not None for each in ("group", "student"))
    assert is_narrow == (scope != "course")
