"""Each change of who leads a group, and of who claims an id, stands in the audit log once, whenever a process dies, on the real servers."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from importers import importer_on

from edugraph_common.contracts.messages import (
    ImportBatch,
    ImportJob,
    ImportRights,
    LiveBatch,
    LivePart,
)
from edugraph_common.runtime.shared_state.audit import ENDED, ENTRIES, Entry
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import batches_of, read_batch
from edugraph_importer.graph import Cause, Graph
from edugraph_importer.service import Importer

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def importer(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Importer]:
    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    monkeypatch.setattr("edugraph_importer.service.send", lambda *_, **__: None)
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    # Redis is shared with other tests. The chain of the log begins here.
    client.delete(ENTRIES, ENDED)
    yield importer_on(graph, client, Blobs(str(tmp_path)), lambda: NOW)
    client.close()


def planned(importer: Importer, client: str) -> ImportBatch:
    """Return the batch of a job that makes one person a leader."""
    job_id = uuid4().hex
    data = {"group_id": "8B", "teacher_id": client, "role": "leader"}
    head = {"type": "membership_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": client}
    job = ImportJob(
        job_id=job_id,
        records=[{**head, "data": data}],
        rights=ImportRights(roster=True, client=client),
    )
    importer.jobs.create(job_id, "import", "inline", NOW)
    found = importer.plan(job)
    assert found is not None
    return found[0][0]


def entries_of(importer: Importer, client: str) -> list[Entry]:
    return [
        each
        for each in importer.audit.newest()
        if each.action == "group.leader" and each.who == client
    ]


@pytest.mark.parametrize("kind", ["inline", "file", "live"])
def test_the_log_says_who_brought_data_in(importer: Importer, kind: str) -> None:
    """Out: `audit.record` in `_prepare_import` or in `_open_day`."""
    client = uuid4().hex
    job_id = uuid4().hex
    head = {"type": "course_content", "timestamp": "2026-01-01T00:00:00Z"}
    record = {**head, "data": {"course_id": "c", "content": "Fractions"}}
    rights = ImportRights(learning=True, client=client)
    job = ImportJob(job_id=job_id, records=[record], rights=rights)
    if kind == "file":
        key = f"jobs/{job_id}/source"
        with importer.blobs.write(key) as file:
            file.write(json.dumps(record).encode())
        job = ImportJob(job_id=job_id, source=key, rights=rights)
    if kind == "live":
        part = LivePart(acceptance=1, rights=rights, records=(record,))
        [batch] = batches_of(LiveBatch(job_id="live", parts=(part,)))
        job_id = batch.job_id
        importer.live_failed(LiveBatch(job_id="live", parts=(part,)), "the test gives it up")
    else:
        importer.jobs.create(job_id, "import", kind, NOW)
        assert importer.plan(job) is not None
    brought = [each.who for each in importer.audit.newest() if each.what == job_id]
    assert brought == [client]


class Died(BaseException):
    pass


def dies(*_: Any, **__: Any) -> Any:
    raise Died


@pytest.mark.parametrize("where", ["log_noted_changes", "forget_leader_changes", "_settle", None])
def test_a_change_is_logged_once_though_the_process_dies(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    """Out: the call in `write_batch`, or `once` in `log_noted_changes`."""
    client = uuid4().hex
    batch = planned(importer, client)
    if where:
        owner = Graph if where == "forget_leader_changes" else Importer
        with monkeypatch.context() as patch:
            patch.setattr(owner, where, dies)
            with pytest.raises(Died):
                importer.write_batch(batch)
    importer.write_batch(batch)
    importer.write_batch(batch)
    [entry] = entries_of(importer, client)
    assert entry.what == f"leads group 8B, by job {batch.job_id}"
    assert entry.object == importer.audit.object_of("teacher", client)
    assert importer.graph.leader_changes() == ()


def test_the_hourly_task_logs_what_a_dead_process_left(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the call in `end_old_records`."""
    client = uuid4().hex
    batch = planned(importer, client)
    with monkeypatch.context() as patch:
        patch.setattr(Importer, "log_noted_changes", dies)
        with pytest.raises(Died):
            importer.write_batch(batch)
    assert entries_of(importer, client) == []
    importer.end_old_records()
    assert len(entries_of(importer, client)) == 1


def test_several_processes_at_once_log_each_change_once(importer: Importer) -> None:
    """Out: `once` in `log_noted_changes`."""
    clients = [uuid4().hex for _ in range(5)]
    for client in clients:
        importer.graph.write_batch(read_batch(importer.blobs, planned(importer, client)).graph)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(importer.log_noted_changes) for _ in range(8)]:
            done.result()
    assert [len(entries_of(importer, client)) for client in clients] == [1] * 5
    assert importer.audit.verify().fault is None


def test_each_request_logs_its_changes_before_it_ends(importer: Importer) -> None:
    """Out: `log_noted_changes` in any of these methods of the service."""
    client = uuid4().hex
    importer.write_batch(planned(importer, client))
    cause = Cause("head", "the request")
    importer.rename_in_graph("group", "8B", "9A", merge=False, cause=cause)
    importer.remove_from_graph("group", "9A", "request", cause)
    newest = [
        each for each in entries_of(importer, "head") if each.what.endswith("by the request")
    ][:3]
    assert sorted(each.what.split(",")[0] for each in newest) == [
        "does not lead group 8B",
        "does not lead group 9A",
        "leads group 9A",
    ]


def test_each_claim_to_an_id_and_its_end_are_in_the_log_once(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the loop over `id_claim_changes`, its `once`, or `decides` in the note."""
    client = uuid4().hex
    batches = []
    stated: list[dict[str, Any]] = [
        {"also": ["17"]},
        {},
        {"also": ["17"], "decides": True},
        {"also": ["S05"], "decides": True},
    ]
    for day, more in enumerate(stated, start=1):
        data = {"person_id": "S05", **more}
        row = {"type": "person_record", "timestamp": f"2026-01-0{day}", "data": data}
        rights = ImportRights(roster=True, operate=True, client=client)
        job = ImportJob(job_id=uuid4().hex, records=[row], rights=rights)
        importer.jobs.create(job.job_id, "import", "inline", NOW)
        found = importer.plan(job)
        assert found is not None
        batches += found[0]
    with monkeypatch.context() as patch:
        patch.setattr(Graph, "forget_id_claim_changes", dies)
        with pytest.raises(Died):
            importer.write_batch(batches[0])
    for batch in batches:
        importer.write_batch(batch)
    claimed = importer.audit.object_of("student", "17")
    logged = [each for each in importer.audit.newest() if each.action == "person.claim"]
    said = [(each.who, each.what) for each in reversed(logged)]
    assert said[:3] == [
        (client, f"claims the id {claimed}, by job {batches[0].job_id}"),
        (client, f"no longer claims the id {claimed}, by job {batches[1].job_id}"),
        (client, f"by decision claims the id {claimed}, by job {batches[2].job_id}"),
    ]
    # The notes of one transaction have the same time, and so no order.
    assert sorted(said[3:]) == [
        (client, f"by decision belongs to nobody else, by job {batches[3].job_id}"),
        (client, f"by decision no longer claims the id {claimed}, by job {batches[3].job_id}"),
    ]
    assert {each.object for each in logged} == {importer.audit.object_of("student", "S05")}
    assert importer.graph.id_claim_changes() == ()
