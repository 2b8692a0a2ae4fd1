"""What an analyst may see of a row: nothing of a small group, numbers with noise, and nothing of one person."""

from collections import Counter
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.access import IN_CELLS
from edugraph_insights.answers import (
    Amount,
    Contrast,
    Count,
    Difference,
    Evidence,
    Figure,
    FromCatalogue,
    Mark,
    Measured,
    Name,
    Noise,
    Ratio,
    Row,
    Share,
    mean_of,
    number_of,
    share_of,
)
from edugraph_insights.cell_noise import LARGEST_NOISE, CellNoise
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.small_groups import published_row, published_total

SECRET = "of the tests alone"
CLASS = [f"s{number:02}" for number in range(44)]


class Cell(Row):
    name: Name
    share: Share = 0.5
    difference: Difference = 0.1
    students: Count = 7
    records: Count = 8
    sure: FromCatalogue = 0.25
    quotes: Annotated[tuple[str, ...], Mark.PERSONAL] = ("a student's words",)
    evidence: Evidence = "/v1/insights/records"
    noise: Noise = None


def shown(students: list[str], figures: dict[str, Figure], secret: str = SECRET) -> Cell | None:
    measured = Measured(Cell(name="P"), frozenset(students), figures)
    return published_row(measured, CLASS, CellNoise(secret), None)


@pytest.mark.parametrize(("number", "is_shown"), [(0, True), (1, False), (9, False), (10, True)])
def test_a_row_is_about_nobody_or_about_ten(number: int, is_shown: bool) -> None:
    """To take the guard out: publish rows of any size."""
    assert (shown(CLASS[:number], {}) is not None) == is_shown


@pytest.mark.parametrize(("number", "is_shown"), [(10, False), (24, False), (25, True), (44, True)])
def test_a_share_stands_on_25_students(number: int, is_shown: bool) -> None:
    """To take the guard out: publish shares of any number. A count of the same row is shown."""
    students = CLASS[:number]
    figures: dict[str, Figure] = {
        "share": share_of("right", set(students[:5]), students),
        "students": number_of("tried", students),
    }
    row = shown(students, figures)
    assert row is not None
    assert (row.share is not None) == is_shown
    assert (row.noise is not None) == is_shown
    assert abs((row.students or 0) - number) <= LARGEST_NOISE


def test_a_number_without_a_figure_and_what_tells_of_a_person_are_not_shown() -> None:
    """To take the guard out: leave fields without a figure as they are."""
    row = shown(CLASS, {"students": number_of("tried", CLASS)})
    assert row is not None
    assert (row.share, row.difference, row.records, row.noise) == (None, None, None, None)
    assert (row.name, row.sure, row.quotes, row.evidence) == ("P", 0.25, (), None)


def test_a_row_about_no_student_is_exact_and_quotes_nobody() -> None:
    row = shown([], {})
    assert row is not None
    assert (row.share, row.students, row.quotes, row.evidence) == (0.5, 7, (), None)


@given(
    st.lists(st.floats(0, 1), min_size=25, max_size=44),
    st.sampled_from([0.0, -1.0]),
    st.text(max_size=5),
)
def test_the_noise_of_a_share_is_at_most_5_students(
    values: list[float], lowest: float, secret: str
) -> None:
    of = {
        student: lowest + value * (1 - lowest)
        for student, value in zip(CLASS, values, strict=False)
    }
    row = shown(CLASS, {"share": mean_of("right", of, lowest=lowest)}, secret)
    assert row is not None
    assert row.share is not None
    assert row.noise is not None
    exact = sum(of.values()) / len(of)
    largest = LARGEST_NOISE * (1 - lowest) / len(of)
    assert abs(row.share - exact) <= largest + 0.005 + 1e-9
    assert lowest <= row.share <= 1
    assert row.noise >= 1.5 * (1 - lowest) / len(of)
    assert round(row.share, 2) == row.share


def test_a_mirrored_share_has_the_noise_of_the_share_that_it_mirrors() -> None:
    """Otherwise the mean of the two questions has less noise. Out: `is_mirrored`."""
    right = {student: number / 43 for number, student in enumerate(CLASS)}
    wrong = {student: 1 - share for student, share in right.items()}
    one = shown(CLASS, {"share": mean_of("right", right)})
    other = shown(CLASS, {"share": mean_of("right", wrong, is_mirrored=True)})
    assert one is not None
    assert other is not None
    assert one.share == pytest.approx(1 - (other.share or 0), abs=0.011)
    assert one.share != 0.5


def test_a_difference_needs_enough_students_on_both_sides() -> None:
    """To take the guard out: count a missing share as 0."""
    some = set(CLASS[::2])
    whole = share_of("a", some, CLASS)
    few = share_of("b", some, CLASS[:24])
    enough = share_of("b", some, CLASS[:25])
    for less, is_shown in ((few, False), (enough, True)):
        row = shown(CLASS, {"difference": Contrast(whole, less)})
        assert row is not None
        assert (row.difference is not None) == is_shown


def test_records_have_noise_of_the_student_with_most() -> None:
    """A student with 40 of the records is hidden by noise of that size. Out: `largest`."""
    by_student = dict.fromkeys(CLASS, 1) | {CLASS[0]: 40}
    errors = []
    for number in range(200):
        row = shown(CLASS, {"records": Amount("attempts", by_student)}, f"secret {number}")
        assert row is not None
        errors.append((row.records or 0) - 83)
    assert 40 < (sum(error**2 for error in errors) / 200) ** 0.5 < 80
    assert min(errors) >= -83


@given(st.lists(st.integers(0, 43), unique=True), st.integers(0, 30))
def test_a_count_is_never_below_nobody(members: list[int], secret: int) -> None:
    row = shown(
        CLASS, {"students": number_of("mastered", [CLASS[n] for n in members])}, f"of {secret}"
    )
    assert row is not None
    assert row.students is not None
    assert row.students >= 0
    assert row.students - len(members) <= LARGEST_NOISE


@pytest.mark.parametrize(
    ("total", "is_shown"),
    [
        (frozenset(CLASS[:9]), False),
        (frozenset(CLASS[:10]), True),
        (Counter(CLASS[:9] * 3), False),
        (Counter(CLASS[:10]), True),
        (17, False),
    ],
)
def test_a_total_is_about_ten_students_whom_it_names(
    total: frozenset[str] | Counter[str] | int, is_shown: bool
) -> None:
    """To take the guard out: show totals without their students, or of any size."""
    found = published_total(("C", "first attempts"), total, CLASS, CellNoise(SECRET))
    assert (found is not None) == is_shown


def test_totals_of_the_catalogue_and_of_nobody_are_exact() -> None:
    noise = CellNoise(SECRET)
    assert published_total(("C", "points that the course teaches"), 17, CLASS, noise) == 17
    assert published_total(("C", "students"), frozenset(), CLASS, noise) == 0


def test_a_row_of_a_question_for_analysts_has_an_identity_among_its_names() -> None:
    """By it a cell is found again in another week. To take the guard out: leave out one `identity`."""
    for name in IN_CELLS:
        row = QUESTIONS[name].row
        assert row.identity, name
        for field in row.identity:
            assert row.mark_of(field) is Mark.NAME, (name, field)


def test_ratio_is_the_exact_share_without_noise() -> None:
    """The parts and wholes of a figure give the number that the row has."""
    ratio = Ratio("negative", {"a": 1.0, "b": 2.0}, {"a": 2, "b": 4})
    assert sum(ratio.parts.values()) / sum(ratio.wholes.values()) == 0.5


def test_a_field_without_a_mark_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="no mark"):

        class Forgotten(Row):
            name: Name
            students: int


def test_no_row_names_a_student_but_by_a_personal_mark() -> None:
    """Of all questions: what is called for a person, a record or a text has the mark that an analyst never sees."""
    telling = ("student", "record", "text", "question", "wrong_answers", "evidence", "at", "last")
    for question in QUESTIONS.values():
        for name in question.row.model_fields:
            if name in telling:
                assert question.row.mark_of(name) is Mark.PERSONAL, (question.name, name)
