"""What a question reads of students: some of them at a time, until it is known to be too large."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import neo4j
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.graph import MOST_PORTIONS, STUDENTS_AT_ONCE, Graph
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.settings import InsightsSettings

SETTINGS = InsightsSettings(redis_url="redis://127.0.0.1:1", neo4j_uri="bolt://127.0.0.1:1")


class Packed(Graph):
    """Says of each student so many rows. `seconds` is how long each portion takes."""

    def __init__(self, each: int, *, max_rows: int = 10**9) -> None:
        super().__init__(SETTINGS, max_rows=max_rows)
        self.each, self.portions = each, list[list[str]]()

    def _rows(
        self, _text: str, parameters: Any, _timeout_seconds: float | None = None
    ) -> list[dict[str, Any]]:
        self.portions.append(parameters["students"])
        rows = [[f"r{n}", "2026-03-01T10:00:00.000001Z"] for n in range(self.each)]
        return [
            {"student": who, "columns": ["record", "at"], "rows": rows}
            for who in parameters["students"]
        ]


def people(number: int) -> list[str]:
    return [f"s{n:06}" for n in range(number)]


@given(number=st.integers(0, 3 * MOST_PORTIONS * STUDENTS_AT_ONCE))
def test_each_student_is_read_once_in_portions_of_one_size(number: int) -> None:
    graph = Packed(1)
    rows = graph.read_by_student("attempts", people(number))
    assert sorted(row["student"] for row in rows) == people(number)
    sizes = {len(portion) for portion in graph.portions}
    assert len(graph.portions) <= MOST_PORTIONS
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert all(row["at"] == datetime(2026, 3, 1, 10, microsecond=1, tzinfo=UTC) for row in rows)


def test_what_is_much_too_large_is_known_from_the_first_students() -> None:
    """Out: the comparison of what is expected. All 2,000 students were read, and then refused."""
    graph = Packed(100, max_rows=90_000)
    with pytest.raises(TooLarge, match="more than 90,000 records"):
        graph.read_by_student("attempts", people(2_000))
    assert len(graph.portions) == 1


def test_what_is_a_little_too_large_is_refused_when_it_is_known() -> None:
    graph = Packed(100, max_rows=199_999)
    with pytest.raises(TooLarge, match="more than 199,999 records"):
        graph.read_by_student("attempts", people(2_000))
    assert len(graph.portions) == MOST_PORTIONS
    assert len(Packed(100, max_rows=200_000).read_by_student("attempts", people(2_000))) == 200_000


@pytest.mark.parametrize(
    ("portion_seconds", "portions"), [(2.0, 1), (0.9, 6), (0.6, MOST_PORTIONS)]
)
def test_what_takes_much_too_long_is_given_up_early(
    monkeypatch: pytest.MonkeyPatch, portion_seconds: float, portions: int
) -> None:
    """Out: the comparison of the time that is expected. Of 5 s, the others are not begun after what took longer."""
    graph, clock = Packed(1), [0.0]
    read = graph._rows

    def slow(*parameters: Any) -> list[dict[str, Any]]:
        clock[0] += portion_seconds
        return read(*parameters)

    monkeypatch.setattr(graph, "_rows", slow)
    monkeypatch.setattr("edugraph_insights.graph.time.monotonic", lambda: clock[0])
    if portions < MOST_PORTIONS:
        with pytest.raises(Busy, match="time that one question has") as busy:
            graph.read_by_student("attempts", people(2_000))
        assert (busy.value.status, busy.value.name) == (503, "busy")
        assert busy.value.retry_after, "the same question may be asked again"
    else:
        graph.read_by_student("attempts", people(2_000))
    assert len(graph.portions) == portions


@pytest.mark.parametrize(
    "code",
    [
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
        "Neo.TransientError.Transaction.Terminated",
    ],
)
def test_a_statement_that_the_server_ends_is_busy(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Out: `_OUT_OF_TIME` in graph.py. Such a question was answered as if the graph were away."""

    def ended(*_: Any) -> Any:
        error = neo4j.exceptions.ClientError()
        error._neo4j_code = code
        raise error

    graph = Graph(SETTINGS)
    monkeypatch.setattr(graph, "_session", ended)
    with pytest.raises(Busy) as busy:
        graph.read("all_courses")
    assert (busy.value.status, busy.value.name) == (503, "busy")
    assert busy.value.retry_after


class Counted(Graph):
    """Counts the portions of columns that were begun."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.begun = 0

    def _rows(
        self, _text: str, parameters: Any, _timeout_seconds: float | None = None
    ) -> list[dict[str, Any]]:
        self.begun += 1
        return [{"student": who} for who in parameters["students"]]


def test_two_portions_of_columns_are_read_ahead_and_none_after_the_end() -> None:
    """Out, each alone: the limit of `ahead`, the loop after the last portion."""
    graph = Counted()
    portions = [[f"s{number}"] for number in range(9)]
    with closing(graph.read_columns("attempts_columns", portions, course="C")) as read:
        for number, (portion, rows) in enumerate(read, start=1):
            assert (portion, rows) == ([f"s{number - 1}"], [{"student": f"s{number - 1}"}])
            assert graph.begun <= number + 2
    assert graph.begun == 9
    graph = Counted()
    with closing(graph.read_columns("attempts_columns", portions, course="C")) as read:
        next(read)
    assert graph.begun <= 3
