"""An import that the release before has begun is ended by this one, and the graph is that of a fresh import.

`fixtures/graph_version_1.json` is the graph after its first batch, `fixtures/jobs_version_1.json` what was in Redis, in
the blob store and in the queues then. Both were written by the last release whose graph and jobs had no version.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from engines import given

from edugraph_common.contracts.graph_schema import ENTITY_LABELS, RECORD_LABELS
from edugraph_common.contracts.messages import ImportAggregate, ImportBatch, ImportJob
from edugraph_common.platform.analysis_window import AnalysisWindows
from edugraph_common.platform.answer_epochs import AnswerEpochs
from edugraph_common.platform.audit import Audit
from edugraph_common.platform.course_members import CourseMembers
from edugraph_common.platform.job_store import Jobs, connect
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.redis_texts import RedisTexts
from edugraph_importer.batching import count_batches, window
from edugraph_importer.erasure import Erasure
from edugraph_importer.graph import Graph
from edugraph_importer.service import Importer

from .test_graph_schema import FIXTURE, RECORDS, old_graph, write_all

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
assert old_graph  # a fixture of this module, too
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
OLD = json.loads((Path(__file__).parent / "fixtures" / "jobs_version_1.json").read_text(encoding="utf-8"))


@pytest.fixture
def importer(old_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Importer]:
    """On all that the release before has left. It tells nobody of events: that needs a broker."""
    monkeypatch.setattr("edugraph_importer.service.emit", lambda *_: None)
    client, blobs = connect(given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]), Blobs(str(tmp_path))
    for key, kept in OLD["redis"].items():
        _restore(client, key, kept["type"], kept["value"])
    source = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in FIXTURE["records"])
    texts = {key: base64.b64decode(text) for key, text in OLD["blobs"].items()}
    for key, content in {**texts, "jobs/old/source.ndjson": source.encode()}.items():
        with blobs.write(key) as file:
            file.write(content)
    nobody, jobs, members = cast("Any", None), Jobs(client), CourseMembers(client)
    epochs = AnswerEpochs(client)
    erasure = Erasure(old_graph, jobs, blobs, RedisTexts(client), members, epochs, nobody, lambda: NOW)
    yield Importer(
        nobody,
        old_graph,
        jobs,
        AnalysisWindows(client),
        members,
        epochs,
        blobs,
        erasure,
        elsewhere=nobody,
        now=lambda: NOW,
        audit=Audit(client, "secret"),
    )
    client.delete(*OLD["redis"])
    client.close()


def _restore(client: "redis.Redis", key: str, kind: str, value: Any) -> None:
    if kind == "hash":
        client.hset(key, mapping=value)
    elif kind == "zset":
        client.zadd(key, dict(value))
    else:
        client.set(key, value)


def graph_without_course_records(room: Any) -> list[str]:
    """All but the ledger and the nodes of course_records: of those that the old release wrote, one for each pair of
    student and course is carried over. The keys of versions are left out, too: the old release kept none.
    """
    nodes = room.query(
        "MATCH (n) WHERE labels(n)[0] IN $labels RETURN labels(n)[0] AS label, properties(n) AS p",
        labels=[label for label in (*ENTITY_LABELS, *RECORD_LABELS) if label != "CourseRecord"],
    )
    for node in nodes:
        for name in ("accepted", "row", "changed_at", "history"):
            node["p"].pop(name, None)
    edges = room.query(
        "MATCH (a)-[r]->(b) WHERE NOT (a:CourseRecord OR b:CourseRecord OR a:ImportJob OR b:ImportJob) "
        "RETURN a.id AS a, type(r) AS type, b.id AS b, properties(r) AS p"
    )
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in (*nodes, *edges))


@pytest.mark.parametrize("from_the_split", [False, True])
def test_an_import_that_the_release_before_began_is_ended(
    importer: Importer, graph: Graph, room: Any, from_the_split: bool
) -> None:
    """Its graph is migrated, derived anew, and gets the rest, from messages that were in the queues.

    Out: the step of version 1 in migrations.py, or the default of any field of ImportBatch that the old release did not
    send.
    """
    importer.graph.prepare()
    assert importer.graph.derive_anew(repair=True)["wrong"] == {}
    # No release kept files in another form than this one, so the file is split again.
    importer.blobs.delete("jobs/old/index")
    job = ImportJob.model_validate(OLD["messages"]["aggregate"]["job"])
    _, second = window(importer.blobs, job, count_batches(importer.blobs, job))
    batches = [ImportBatch.model_validate(OLD["messages"]["batch"] | {"rows": second.rows})]
    after = OLD["messages"]["aggregate"]
    if from_the_split:
        # As after `resume`: the split is sent again from what Redis has kept of it.
        [[name, body, _]] = json.loads(importer.jobs.tasks("old") or "")
        assert name == "import_records_with_callback"
        assert importer.jobs.cancel("old", NOW)
        update = {"generation": importer.jobs.resume("old", NOW), "next_batch": importer.jobs.first_open_batch("old")}
        planned = importer.plan(ImportJob.model_validate(body).model_copy(update=update))
        assert planned is not None
        batches, after = planned[0], planned[1].model_dump(mode="json")
    assert [importer.write_batch(message).written for message in batches] == [20]
    importer.sum_up(ImportAggregate.model_validate(after))
    report = importer.jobs.report("old", NOW)
    assert report is not None
    assert (report.state, report.read, report.written, report.failed) == ("succeeded", 60, 60, 0)
    assert report.by_type == {"course_record": 40, "error_record": 10, "student_interaction": 10}
    before = importer.jobs.report("done", NOW)
    assert before is not None
    assert (before.state, before.written) == ("succeeded", 3)

    upgraded = graph_without_course_records(room)
    room.empty()
    write_all(graph, RECORDS, "fresh")
    assert graph_without_course_records(room) == upgraded
