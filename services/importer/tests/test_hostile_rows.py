"""One hostile row takes none of its neighbours with it: from the file down to what is sent to the graph."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hostile_rows import HOSTILE, MAPPING, StagedGraph, file_of, good_record, mixed
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.messages import Format, ImportBatch, ImportJob
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import store_mapping
from edugraph_importer.batching import ReadBatch, count_batches, read_batch, store_rejects, window
from edugraph_importer.graph.versions import ALL_RIGHTS
from edugraph_importer.service import Importer


def batch_of(blobs: Blobs, form: Format, lines: list[str]) -> ReadBatch:
    with blobs.write("jobs/j/source") as file:
        file.write(file_of(form, lines))
    if form == "csv":
        store_mapping(blobs, "j", MAPPING)
    job = ImportJob(
        job_id="j", source="jobs/j/source", format=form, batch_size=1_000, rights=ALL_RIGHTS
    )
    (message,) = window(blobs, job, count_batches(blobs, job))
    return read_batch(blobs, ImportBatch.model_validate_json(message.model_dump_json()))


@given(
    form_and_hostile=st.sampled_from(sorted(HOSTILE)).flatmap(
        lambda form: st.tuples(st.just(form), st.lists(HOSTILE[form], min_size=1, max_size=6))
    )
)
@settings(max_examples=50, deadline=None)
def test_good_rows_arrive_whatever_stands_between_them(
    tmp_path_factory: pytest.TempPathFactory, form_and_hostile: tuple[Format, list[str]]
) -> None:
    form, hostile = form_and_hostile
    blobs, graph = Blobs(str(tmp_path_factory.mktemp("blobs"))), StagedGraph()
    found = batch_of(blobs, form, mixed(form, hostile))
    outcome = graph.write_batch(found.graph)
    assert {f"good{number}" for number in range(len(hostile) + 1)} <= graph.students

    store_rejects(blobs, "j", 0, found.graph.rejects)
    outcome.model_copy(update={"not_relevant": found.not_relevant}).model_dump_json()
    json.dumps([reject.model_dump() for reject in found.graph.rejects], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "where",
    [
        "edugraph_common.sources.rows.parse_row",
        "edugraph_common.sources.read_plan.parse_row",
        "edugraph_importer.batching.derive_facts",
    ],
)
@pytest.mark.parametrize("inline", [True, False])
def test_a_bug_in_one_row_is_a_reject_of_that_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, inline: bool
) -> None:
    module, name = where.rsplit(".", 1)
    original = getattr(importlib.import_module(module), name)

    def broken(given: Any) -> Any:
        whole = given.to_json() if isinstance(given, Record) else given
        if whole["data"]["student_id_from"] == "good1":
            raise KeyError("secret")
        return original(given)

    monkeypatch.setattr(where, broken)
    lines = [good_record(number) for number in range(3)]
    if inline:
        message = ImportBatch(
            job_id="j", batch=0, records=tuple(map(json.loads, lines)), rights=ALL_RIGHTS
        )
        found = read_batch(Blobs(str(tmp_path)), message)
    else:
        found = batch_of(Blobs(str(tmp_path)), "ndjson", lines)
    if ("rows" in where) is inline or "derive" in where:
        assert [line for line, _ in found.graph.records] == [1, 3]
        (reject,) = found.graph.rejects
        assert (reject.line, reject.reason) == (2, "cannot be read (KeyError)")
        assert "good1" in (reject.raw or "")


def test_counting_the_rows_of_a_failed_batch_never_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> Any:
        raise OverflowError

    monkeypatch.setattr("edugraph_importer.service.read_batch", broken)
    settled: list[Any] = []
    monkeypatch.setattr(Importer, "_settle", lambda _, outcome: settled.append(outcome))
    nothing = cast("Any", None)
    jobs = cast("Any", SimpleNamespace(failed_in_a_row=lambda _: 1))
    blobs = Blobs(str(tmp_path))
    importer = Importer(
        nothing,
        nothing,
        jobs,
        nothing,
        nothing,
        nothing,
        nothing,
        blobs,
        erasure=nothing,
        elsewhere=nothing,
        now=nothing,
        audit=nothing,
    )
    outcome = importer.batch_failed(ImportBatch(job_id="j", batch=0), "it failed")
    assert (outcome.state, outcome.failed, settled) == ("failed", 0, [outcome])


def test_a_reject_can_always_be_stored() -> None:
    text = "ok \ud83d"
    reject = Reject(line=1, field=text, expected=text, found=text, reason=text, raw=text)
    assert json.loads(reject.model_dump_json())["found"] == "ok \\ud83d"
