"""What is shown of answers while somebody is restricted, and what while nobody knows who is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.outcomes import JobReport, Reject
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.sources import ReadPlan
from edugraph_common.sources.person import RestrictedPeople
from edugraph_gateway.api.answers import job_answer
from edugraph_gateway.operations.restriction import (
    ANSWER_LIFETIME_SECONDS,
    HIDDEN,
    LOOK_AGAIN_SECONDS,
    TELL_WITHIN_SECONDS,
    Restrictions,
    json_without,
    rejects_without,
    report_without,
    restricted_from_importer,
)

NOW = datetime(2026, 1, 5, tzinfo=UTC)
WHO = RestrictedPeople(frozenset({"S01", "4"}))
students = st.sampled_from(["S01", "4", "S0104", "14", "S1"])


def reject(line: int, student: str, *, row: bool) -> Reject:
    raw = json.dumps(
        {"type": "error_record", "data": {"student_id": student, "error_text": f"of {line + 10}"}}
    )
    raw = raw.replace("S", "\\u0053")  # as a file may write an id
    return Reject(
        line=line,
        field="x",
        expected="y",
        found=f"found {line}",
        reason="z",
        raw=raw if row else None,
    )


@given(st.lists(st.tuples(students, st.booleans()), max_size=10))
def test_of_restricted_rows_only_that_they_were_set_aside_is_shown(
    rows: list[tuple[str, bool]],
) -> None:
    """Out: `who.is_among` or `raw is None` in rejects_without."""
    given_rejects = [reject(number, student, row=row) for number, (student, row) in enumerate(rows)]
    lines = [f"{each.model_dump_json()}\n".encode() for each in given_rejects]
    shown = [Reject.model_validate_json(each) for each in rejects_without(lines, ReadPlan(), WHO)]
    expected = [
        each
        if row and student not in WHO.ids
        else each.model_copy(update={"found": "", "raw": None})
        for each, (student, row) in zip(given_rejects, rows, strict=True)
    ]
    assert shown == expected
    assert list(rejects_without(lines, ReadPlan(), None)) == lines


def test_a_row_that_cannot_be_read_counts_as_theirs_if_it_has_an_id_as_a_word() -> None:
    """Out: `who.words` in rejects_without."""

    def shown(raw: str) -> str | None:
        line = reject(1, "", row=False).model_copy(update={"raw": raw}).model_dump_json().encode()
        return Reject.model_validate_json(next(rejects_without([line], ReadPlan(), WHO))).raw

    assert shown('{"student_id": "S01", "text": "cut o') is None
    assert shown('{"student_id": "S0104", "text": "cut o') is not None


@given(st.lists(students, max_size=6))
def test_records_in_results_and_letters_are_empty(named: list[str]) -> None:
    records = [
        {"type": "error_record", "data": {"student_id": each, "error_text": "x"}} for each in named
    ]
    expected = [
        {} if each in WHO.ids else record for each, record in zip(named, records, strict=True)
    ]
    assert json_without([[{"records": records}], {}, None], WHO) == [
        [{"records": expected}],
        {},
        None,
    ]
    assert json_without({"records": records}, None) == {"records": records}


def report(**fields: Any) -> JobReport:
    given_fields = {"source": "class 7.csv", "created": NOW, "updated": NOW, **fields}
    return JobReport(job_id="j", kind="import", state="failed", **given_fields)


def test_a_report_shows_no_value_at_fault_and_no_name_with_an_id() -> None:
    """Out: any of the fields in report_without."""
    given_report = report(
        errors=(reject(1, "", row=False),), error="S01 failed", not_relevant={"S01": 2, "S0104": 1}
    )
    shown = report_without(given_report, WHO)
    assert (shown.source, shown.error, shown.not_relevant) == (
        "class 7.csv",
        HIDDEN,
        {HIDDEN: 2, "S0104": 1},
    )
    assert [each.found for each in shown.errors] == [""]
    assert report_without(report(source="about 4.csv"), WHO).source == HIDDEN
    assert report_without(given_report, None) is given_report


def test_while_nobody_knows_who_is_restricted_nothing_personal_of_a_job_is_shown() -> None:
    """Out: `are_unknown` in job_answer. A graph that is away is asked once in some seconds."""
    asked, time = list[float](), [0.0]

    def away() -> frozenset[str]:
        asked.append(time[0])
        raise Retryable("the graph database does not answer")

    restrictions = Restrictions(away, lambda: time[0])
    caller = Caller(client_id="k", scopes=("read", "personal"))
    given_report = report(errors=(reject(1, "", row=False),))
    for _ in range(3):
        assert job_answer(given_report, NOW, caller, restrictions).errors == ()
        with pytest.raises(Retryable):
            restrictions.people()
    time[0] = ANSWER_LIFETIME_SECONDS
    assert restrictions.are_unknown()
    assert asked == [0.0, ANSWER_LIFETIME_SECONDS]
    known = Restrictions(frozenset)
    assert job_answer(given_report, NOW, caller, known).errors == given_report.errors


class Told:
    """Stands for the lists in Redis: `ids` after so many looks, or never."""

    def __init__(self, looks: int | None, *, asked_before: bool = False) -> None:
        self.looks, self.asked_before = looks, asked_before

    def restricted(self) -> frozenset[str] | None:
        if self.looks is None:
            return None
        self.looks -= 1
        return frozenset({"S01"}) if self.looks < 0 else None

    def to_ask(self, ids: list[str]) -> list[str]:
        return [] if self.asked_before else ids


@given(st.integers(0, 30), st.booleans())
def test_the_importer_is_asked_where_it_has_told_nothing_and_has_a_moment(
    looks: int, asked_before: bool
) -> None:
    """Out: `ask()`, `to_ask` or the end of the waiting in restricted_from_importer."""
    asked, slept = list[bool](), list[float]()
    members: Any = Told(looks, asked_before=asked_before)
    most = round(TELL_WITHIN_SECONDS / LOOK_AGAIN_SECONDS)
    if looks < most:
        assert restricted_from_importer(members, lambda: asked.append(True), slept.append) == {
            "S01"
        }
    else:
        with pytest.raises(Retryable):
            restricted_from_importer(members, lambda: asked.append(True), slept.append)
    assert len(asked) == (looks > 0 and not asked_before)
    assert sum(slept) <= TELL_WITHIN_SECONDS + LOOK_AGAIN_SECONDS
