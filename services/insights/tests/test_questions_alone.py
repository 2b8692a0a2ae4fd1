"""The rules of single questions that need no graph."""

from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.questions.together import groups_of


@given(st.integers(3, 200))
def test_students_are_parted_into_as_few_groups_of_three_to_six_as_possible(number: int) -> None:
    students = [f"s{each:03}" for each in range(number)]
    groups = groups_of(students)
    assert [each for group in groups for each in group] == students
    sizes = [len(each) for each in groups]
    assert min(sizes) >= 3
    assert max(sizes) <= 6
    assert (len(groups) - 1) * 6 < number
