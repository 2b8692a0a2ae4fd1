"""What a job's report shows to a person."""

import io
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from edugraph_cli.display import print_answer, print_report, record_name
from edugraph_cli.progress import Steps, one_line
from edugraph_client import Answer
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.record_keys import key_in_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.one_of(
    st.from_regex(r"edx\.[a-z]{1,12}\.[a-z]{1,12}", fullmatch=True),
    st.from_regex(r"\[/?[a-z]{1,8}\]", fullmatch=True),  # what rich would take for markup
)


def _report(not_relevant: dict[str, int]) -> JobReport:
    return JobReport(
        job_id="j",
        kind="import",
        state="succeeded",
        source="tracking.log",
        created=NOW,
        updated=NOW,
        batches=1,
        batches_done=1,
        read=sum(not_relevant.values()) + 3,
        written=3,
        not_relevant=not_relevant,
    )


def _shown(report: JobReport) -> list[str]:
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edugraph_cli.display.out", Console(file=text, width=120))
        print_report(report)
    return text.getvalue().splitlines()


@settings(deadline=None)  # rich is slow the first time
@given(st.dictionaries(NAMES, st.integers(1, 5_000_000), min_size=1, max_size=8))
def test_what_was_not_relevant_is_shown_by_name_with_its_count_the_most_frequent_first(
    not_relevant: dict[str, int],
) -> None:
    lines = _shown(_report(not_relevant))
    first = (
        lines.index(next(line for line in lines if line.startswith("Not relevant, by name"))) + 1
    )
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[first : first + len(not_relevant)]]
    counts = {name: int(number.replace(",", "")) for name, number in rows}
    assert counts == not_relevant
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


@settings(deadline=None)  # rich is slow the first time
@given(st.dictionaries(NAMES, st.integers(1, 5_000_000), max_size=8))
def test_the_counts_of_records_add_up_to_those_read(not_relevant: dict[str, int]) -> None:
    report = _report(not_relevant)
    lines = _shown(report)
    first = next(number for number, line in enumerate(lines) if line.startswith("Records")) + 1
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[first : first + 9]]
    counts = {name: int(number.replace(",", "")) for name, number in rows}
    assert counts.pop("read") == report.read == sum(counts.values())


def test_the_line_of_progress_counts_them_where_there_are_any() -> None:
    steps = Steps()
    steps.update(_report({"a": 2, "b": 1}))
    assert one_line(_report({"a": 2, "b": 1}), steps).endswith(
        "0 rejected, 0 failed, 3 not relevant"
    )
    assert one_line(_report({}), steps).endswith("0 rejected, 0 failed")


def test_the_report_says_how_many_rows_were_not_read_and_what_does_not_add_up() -> None:
    report = _report({"a": 2})
    assert not [line for line in _shown(report) if "not read" in line or "add up" in line]
    wrong = "\n".join(_shown(report.model_copy(update={"expected": 1_005, "read": 4})))
    assert "1,001 of 1,005 rows were not read" in wrong
    assert "add up to 5 and not to 4" in wrong


def test_an_estimate_with_a_wide_interval_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Out: `half_width > WIDEST_SHOWN`. A difference with a wide interval is not an estimate of mastery."""
    rows = [
        {"point": "wide", "probability": 0.71, "low": 0.24, "high": 0.75},
        {"point": "narrow", "probability": 0.61, "low": 0.36, "high": 0.86},
        {"point": "never", "probability": None, "low": None, "high": None},
        {"point": "two groups", "difference": 0.11, "low": -0.5, "high": 0.7},
    ]
    for row in rows:
        print_answer(
            Answer.model_validate(
                {"question": "q", "computed_by": "c", "as_of": NOW, "parameters": {}, "exact": True,
                 "of_how_many": {}, "left_out": {}, "rows": [row]}
            )
        )  # fmt: skip
    wide, narrow, never, groups = capsys.readouterr().out.split("As of")[:4]
    assert "too few for an estimate" in wide
    assert "0.71" not in wide
    assert "0.61" in narrow
    assert "too few" not in narrow + never + groups
    assert "0.11" in groups


@pytest.mark.parametrize("sent_id", ["5", "a/b", "@lms/5", "@default/5", "第 3 题", "x" * 60])
@pytest.mark.parametrize("source", ["default", "canvas"])
def test_a_record_is_shown_with_its_source_and_the_id_that_was_sent(
    sent_id: str, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out: `record_name` in `_cell_of`, or the default source in it."""
    key = key_in_source(source, sent_id)
    expected = sent_id
    if source != "default":
        expected = f"{sent_id} (source {source})"
    assert record_name(key) == expected
    row = {"record": key, "records": [key, key], "quote_record": None, "thread": key}
    print_answer(
        Answer.model_validate(
            {"question": "q", "computed_by": "c", "as_of": NOW, "parameters": {}, "exact": True,
             "of_how_many": {}, "left_out": {}, "rows": [row]}
        )
    )  # fmt: skip
    shown = capsys.readouterr().out.splitlines()[1].split("\t")
    assert shown == [expected, f"{expected}; {expected}", "–", expected]


def test_a_number_of_records_is_shown_as_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Out: the check of the type in `_cell_of`."""
    print_answer(
        Answer.model_validate(
            {"question": "q", "computed_by": "c", "as_of": NOW, "parameters": {}, "exact": True,
             "of_how_many": {}, "left_out": {}, "rows": [{"kind": "mistake", "records": 3}]}
        )
    )  # fmt: skip
    assert "mistake\t3" in capsys.readouterr().out


def test_an_import_of_points_says_how_to_read_texts_again() -> None:
    report = _report({}).model_copy(update={"read_before": {"MATH8": 1_200}})
    text = " ".join(_shown(report))
    assert "1,200 texts of course MATH8 were read before" in text
    assert "edugraph curriculum read-again MATH8" in text
