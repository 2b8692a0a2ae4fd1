"""What `make fuzz` does with 10,000 examples of each source, with 150; and that a broken promise is told."""

import json
import sys
from pathlib import Path

import fuzz
import pytest
from engines import real_servers
from hypothesis import Phase

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import Format

EXAMPLES = 150


@pytest.mark.real
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)
@pytest.mark.parametrize("source", fuzz.SOURCES)
def test_good_rows_arrive_and_every_job_ends(redis_url: str, source: Format) -> None:
    """Out: `except Exception` in json_source.py or csv_source.py, or any count of the outcome in settle_batch.lua."""
    with fuzz.connected_importer(redis_url) as importer:
        tally, _ = fuzz.try_examples(importer, source, EXAMPLES, number=1)
    assert not tally.broken
    assert tally.examples >= EXAMPLES
    assert tally.rows["written"] > 2 * EXAMPLES
    assert tally.rows["rejected"] > 0
    assert tally.rows["failed"] == 0


@pytest.mark.real
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)
def test_a_row_that_the_staged_graph_refuses_is_counted(redis_url: str) -> None:
    """Out: `rejects` of the staged graph. Two rows of one job have one id and two types."""
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    course = {"student_id": "a", "course_id": "c"}
    rows = [("student_interaction", people), ("course_record", course)]
    lines = []
    for record_type, data in rows:
        head = {"type": record_type, "record_id": "r", "timestamp": "2026-01-01"}
        lines.append(json.dumps({**head, "data": data}))
    with fuzz.connected_importer(redis_url) as importer:
        report = fuzz.import_lines(importer, "ndjson", lines)
    assert (report.written, report.rejected) == (1, 1)


@pytest.mark.real
def test_the_real_graph_takes_what_was_not_rejected(tmp_path: Path) -> None:
    addresses = real_servers()
    with fuzz.connected_importer(addresses["EDUGRAPH_REDIS_URL"], tmp_path) as importer:
        tally, different = fuzz.try_examples(importer, "ndjson", 20, number=2)
        fuzz.write_to_graph(importer, addresses, tally, different)
    assert not tally.broken
    assert tally.written_to_graph["written"] > len(different)


@pytest.mark.real
@pytest.mark.parametrize("place", ["staged", "real"])
def test_a_broken_promise_is_told_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    def refuse(*_: object) -> None:
        raise Rejected("the graph refuses a row of it")

    module = "fuzz.StagedGraph" if place == "staged" else "fuzz.Graph"
    monkeypatch.setattr(f"{module}.write_batch", refuse)
    # The run has claimed the servers already.
    monkeypatch.setattr("fuzz.bench", pytest.MonkeyPatch.context)
    # To make an example of a broken promise smaller takes hundreds of jobs.
    monkeypatch.setattr("fuzz.PHASES", (Phase.generate,))
    report = tmp_path / "fuzz.json"
    monkeypatch.setattr(
        sys, "argv", ["fuzz", "--examples", "5", "--source", "csv", "--json", str(report)]
    )
    assert fuzz.main() == 1
    assert "the graph refuses a row of it" in capsys.readouterr().out
    assert '"broken": [\n' in report.read_text()
