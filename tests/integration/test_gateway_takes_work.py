"""What the gateway takes, refuses and keeps, on the real servers, with nobody to take the work."""

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from backports import zstd
from gateway_alone import RECORD, Gateway, api_key, gateway, post_records, virtual_host
from waiting import until

from edugraph_common.contracts.api import Accepted
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_gateway.submission.idempotency import Done, IdempotencyStore

pytestmark = pytest.mark.real
NDJSON = {"Content-Type": "application/x-ndjson"}
LINE = json.dumps(RECORD).encode() + b"\n"


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with virtual_host() as own:
        yield own


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the gateway of these tests may read outside of its store."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def running(
    addresses: dict[str, str], exports: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway(
        addresses, tmp_path_factory.mktemp("gateway"), imports_from=f"gs://x file://{exports}"
    ) as started:
        yield started


@pytest.fixture
def client(running: Gateway) -> Iterator[httpx.Client]:
    with running.client() as http:
        yield http


def _blobs(running: Gateway) -> list[str]:
    return Blobs(running.environment["EDUGRAPH_BLOB_URL"]).keys("jobs")


def _jobs(client: httpx.Client) -> list[str]:
    """The ids alone: of a job of another test that runs, the seconds that are left change all the time."""
    return [job["job_id"] for job in client.get("/v1/jobs").json()["jobs"]]


def test_an_accepted_import_is_in_the_queue_and_in_the_list(
    running: Gateway, client: httpx.Client
) -> None:
    before = running.queued("data_import")
    accepted = post_records(client)
    assert accepted.status_code == 202
    assert running.queued("data_import") == before + 1
    job = client.get(accepted.json()["links"]["self"]).json()
    assert (job["state"], job["source"]) == ("queued", "inline")
    assert client.get(accepted.json()["links"]["task"]).json()["state"] == "PENDING"


def test_records_that_came_inline_are_in_redis_while_their_job_is_open(
    running: Gateway, client: httpx.Client
) -> None:
    """The message may wait in a queue for a week, and the job needs its records then. A file's records are not in Redis."""
    inline = [
        post_records(client),
        client.post("/v1/analyses/knowledge-points", json={"records": [RECORD]}),
    ]
    lines = f"{json.dumps(RECORD)}\n".encode()
    stored = client.post(
        "/v1/imports", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    server = connect(running.environment["EDUGRAPH_REDIS_URL"])
    for answer in inline:
        assert answer.status_code == 202, answer.text
        kept = f"edugraph:job:{{{answer.json()['job_id']}}}:tasks"
        assert "Fractions are parts of a whole." in str(server.get(kept))
        assert int(server.ttl(kept)) == -1  # no expiry
    of_a_file = f"edugraph:job:{{{stored.json()['job_id']}}}:tasks"
    assert json.loads(str(server.get(of_a_file)))[0][1].get("records") is None


def test_records_of_a_large_body_are_in_the_store_and_nowhere_else(
    running: Gateway, client: httpx.Client
) -> None:
    """Out: the comparison with RECORDS_IN_MESSAGE_BYTES in import_json or start_analysis."""
    course = [{**RECORD, "record_id": f"large-{number}"} for number in range(1_000)]
    chat = {
        "type": "student_interaction",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {
            "student_id_from": "s-1",
            "student_id_to": "s-2",
            "interaction_type": "chat",
            "text": "1/2 is a half.",
        },
    }
    chats = [{**chat, "record_id": f"large-{number}"} for number in range(1_000)]
    running.take("data_import"), running.take("llm_analysis")
    answers = {
        "data_import": client.post("/v1/imports", json={"records": course, "batch_size": 77}),
        "llm_analysis": client.post("/v1/analyses/interactions", json={"records": chats}),
    }
    server = connect(running.environment["EDUGRAPH_REDIS_URL"])
    for queue, answer in answers.items():
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["job_id"]
        [(_, [[message], *_])] = running.take(queue)
        kept = str(server.get(f"edugraph:job:{{{job_id}}}:tasks"))
        for text in (json.dumps(message), kept):
            assert "large-" not in text
            assert (
                f"jobs/{job_id}/{'source.ndjson' if queue == 'data_import' else 'rows.zst'}" in text
            )
    file = f"jobs/{answers['data_import'].json()['job_id']}/source.ndjson"
    with Blobs(running.environment["EDUGRAPH_BLOB_URL"]).open(file) as blob:
        assert [json.loads(line) for line in blob.read().splitlines()] == course
    assert client.get(answers["data_import"].json()["links"]["self"]).json()["source"] == "inline"


def test_a_monitor_hears_of_each_task_that_was_sent(
    addresses: dict[str, str], client: httpx.Client
) -> None:
    fields = {name: addresses[f"EDUGRAPH_{name.upper()}"] for name in ("broker_url", "redis_url")}
    app = make_publisher("monitor", Settings.model_validate({**fields, "blob_url": "/tmp"}))
    heard: dict[str, str] = {}
    hear = {"task-sent": lambda event: heard.update({event["uuid"]: event["queue"]})}
    with (
        app.connection_for_read() as connection,
        app.events.Receiver(connection, hear).consumer_context(wakeup=False) as (listening, _, _),
    ):
        sent = {post_records(client).json()["task_id"] for _ in range(3)}
        while not sent <= set(heard):
            listening.drain_events(timeout=10)
    assert {heard[task] for task in sent} == {"data_import"}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd.compress)],
    ids=["identity", "gzip", "zstd"],
)
def test_an_upload_is_kept_as_it_came(
    running: Gateway, client: httpx.Client, encoding: str, pack: object
) -> None:
    body = pack(LINE * 1_000)  # type: ignore[operator]
    answer = client.post(
        "/v1/imports?name=a.ndjson", content=body, headers={**NDJSON, "Content-Encoding": encoding}
    )
    assert answer.status_code == 202, answer.text
    suffix = {"identity": "", "gzip": ".gz", "zstd": ".zst"}[encoding]
    key = f"jobs/{answer.json()['job_id']}/source.ndjson{suffix}"
    with Blobs(running.environment["EDUGRAPH_BLOB_URL"]).open(key) as blob:
        assert blob.read() == body


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (b"", "identity", "empty"),
        (b"\n \n", "identity", "empty"),
        (LINE + LINE[:-20], "identity", "cut off"),
        (LINE.decode().encode("utf-16"), "identity", "not UTF-8 but UTF-16"),
        ("é".encode("latin-1") + b"\n", "identity", "no line of the file is UTF-8"),
        (b"x" * 3_000_000, "identity", "not longer than 1,048,576 bytes"),
        (gzip.compress(LINE)[:-9], "gzip", "cut off"),
        (zstd.compress(LINE)[:-4], "zstd", "cut off"),
        (LINE, "gzip", "not gzip"),
        (
            gzip.compress(LINE + b"\n" * 100_000_000),
            "gzip",
            "unpacks to more than 100 times its size",
        ),
    ],
)
def test_a_malformed_file_leaves_no_job_and_no_blob(
    running: Gateway, client: httpx.Client, body: bytes, encoding: str, words: str
) -> None:
    before = _blobs(running), running.queued("data_import"), _jobs(client)
    answer = client.post(
        "/v1/imports", content=body, headers={**NDJSON, "Content-Encoding": encoding}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert (_blobs(running), running.queued("data_import"), _jobs(client)) == before


@pytest.mark.usefixtures("client")
def test_a_client_that_vanishes_leaves_nothing(running: Gateway) -> None:
    before = _blobs(running)

    def broken() -> Iterator[bytes]:
        yield LINE * 50_000
        raise RuntimeError("the client vanishes")

    with pytest.raises(RuntimeError), running.client() as other:
        other.post("/v1/imports", content=broken(), headers=NDJSON)
    until(lambda: _blobs(running) == before, 5)


def test_500_submissions_with_50_keys_make_50_jobs(running: Gateway) -> None:
    keys, before = [uuid4().hex for _ in range(50)], running.queued("data_import")
    with running.client() as client, ThreadPoolExecutor(32) as threads:
        answers = list(
            threads.map(
                lambda n: post_records(client, **{"Idempotency-Key": keys[n % 50]}), range(500)
            )
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 50
    assert running.queued("data_import") == before + 50


@pytest.mark.usefixtures("running")
def test_a_key_with_another_body_is_a_conflict(client: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first = client.post("/v1/imports", content=LINE, headers={**NDJSON, **key})
    same = client.post("/v1/imports", content=LINE, headers={**NDJSON, **key})
    other = client.post("/v1/imports", content=LINE * 2, headers={**NDJSON, **key})
    options = client.post("/v1/imports?batch_size=7", content=LINE, headers={**NDJSON, **key})
    assert first.json() == same.json()
    assert (first.status_code, other.status_code, options.status_code) == (202, 409, 409)


def test_a_key_may_be_used_again_after_a_refusal(client: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    assert (
        client.post("/v1/imports", content=b"\xff\n", headers={**NDJSON, **key}).status_code == 422
    )
    assert client.post("/v1/imports", content=LINE, headers={**NDJSON, **key}).status_code == 202


def test_a_large_upload_is_never_held_in_memory(running: Gateway) -> None:
    with running.client() as client:
        client.post("/v1/imports", content=LINE * 1_000, headers=NDJSON)
        before = running.resident()
        portion = LINE * (2_000_000 // len(LINE))
        answer = client.post("/v1/imports", content=(portion for _ in range(100)), headers=NDJSON)
    assert answer.status_code == 202
    assert running.peak() - before < 60


def test_a_body_past_its_limit_is_413_and_a_slow_one_408(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    with (
        gateway(
            addresses,
            tmp_path,
            max_body_bytes="2000",
            max_upload_bytes="100000",
            upload_idle_timeout_seconds="0.5",
        ) as small,
        small.client() as client,
    ):
        assert client.post("/v1/imports", json={"records": [RECORD] * 100}).status_code == 413
        assert client.post("/v1/imports", content=LINE * 1_000, headers=NDJSON).status_code == 413

        def slow() -> Iterator[bytes]:
            yield LINE
            time.sleep(1.5)
            yield LINE

        assert client.post("/v1/imports", content=slow(), headers=NDJSON).status_code == 408
        assert _blobs(small) == []


def test_a_full_queue_is_503_and_a_client_in_a_hurry_429(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    with (
        gateway(
            addresses,
            tmp_path,
            auth="on",
            max_queue_depth="1",
            client_requests_per_minute="30",
            client_burst_requests="30",
        ) as strict,
        strict.client(headers=api_key(addresses, "read", "submit")) as client,
    ):
        until(lambda: post_records(client).status_code == 503, 10)
        answers = [client.get("/v1/jobs") for _ in range(60)]
    assert 429 in {answer.status_code for answer in answers}
    assert all(a.headers["retry-after"] for a in answers if a.status_code == 429)


def test_an_import_with_analysis_is_held_back_by_the_queue_of_analyses_too(
    addresses: dict[str, str], running: Gateway, tmp_path: Path
) -> None:
    """Out: the check of ANALYSIS_QUEUE in import_json or import_upload."""
    running.take("data_import"), running.take("llm_analysis")
    records = {"records": [RECORD]}
    with gateway(addresses, tmp_path, max_queue_depth="3") as strict, strict.client() as client:
        until(
            lambda: client.post("/v1/analyses/knowledge-points", json=records).status_code == 503,
            10,
        )
        held_back = [
            client.post("/v1/imports", json={**records, "analyze": True}),
            client.post("/v1/imports?analyze=true", content=LINE, headers=NDJSON),
        ]
        assert client.post("/v1/imports", json=records).status_code == 202
        assert client.post("/v1/imports", content=LINE, headers=NDJSON).status_code == 202
    for answer in held_back:
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "messages wait in llm_analysis" in answer.json()["detail"]
    running.take("llm_analysis")


def test_whoever_lost_the_claim_of_a_key_leaves_the_answer_of_whoever_has_it(
    addresses: dict[str, str],
) -> None:
    """Out: the comparison of claims in complete.lua."""
    client = connect(addresses["EDUGRAPH_REDIS_URL"])
    store, name = IdempotencyStore(client), f"edugraph:idempotency:test:{uuid4().hex}"

    def done(job_id: str) -> Done:
        return Done(job_id, Accepted(job_id=job_id, task_id=job_id, links={}))

    slow = store.claim(name)
    client.delete(name)  # it ran out, as its gateway did not renew it
    quick = store.claim(name)
    assert slow is not None
    assert quick is not None
    assert not store.complete(name, slow, done("slow"))
    assert store.complete(name, quick, done("quick"))
    assert not store.complete(name, slow, done("slow"))
    kept = store.recall(name)
    assert kept is not None
    assert (kept.fingerprint, kept.answer) == done("quick")
    client.close()


@pytest.mark.parametrize(
    ("queue", "path"),
    [("data_import", "/v1/imports"), ("llm_analysis", "/v1/analyses/knowledge-points")],
)
def test_a_queue_without_room_is_503_and_takes_nothing(
    addresses: dict[str, str], client: httpx.Client, running: Gateway, queue: str, path: str
) -> None:
    """The broker refuses the message, and the job is withdrawn. Out: QueueFull in problems.problem_of."""

    def post() -> httpx.Response:
        return client.post(path, json={"records": [RECORD]})

    vhost = addresses["EDUGRAPH_BROKER_URL"].rpartition("/")[2]
    url = f"{addresses['EDUGRAPH_BROKER_MANAGEMENT_URL']}/api/policies/{vhost}/no-room"
    no_room = {"max-length-bytes": 1, "overflow": "reject-publish"}
    policy = {"pattern": f"^{queue}$", "apply-to": "queues", "priority": 99, "definition": no_room}
    httpx.put(url, json=policy, timeout=10).raise_for_status()
    try:
        # The broker applies a policy a moment later.
        until(lambda: post().status_code == 503, 10)
        before, blobs = running.queued(queue), _blobs(running)
        refused = post()
        assert (running.queued(queue), _blobs(running)) == (before, blobs)
    finally:
        httpx.delete(url, timeout=10).raise_for_status()
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:edugraph:problem:pressure")
    assert int(refused.headers["retry-after"]) > 0
    assert "full" in refused.json()["detail"]
    until(lambda: post().status_code == 202, 10)


@pytest.mark.parametrize(
    ("many", "task"), [(1, "analyze_error_task"), (3, "batch_analyze_errors_task")]
)
def test_analyses_go_to_the_analyzers_queue(
    running: Gateway, client: httpx.Client, many: int, task: str
) -> None:
    record = {
        **RECORD,
        "type": "error_record",
        "data": {"student_id": "s", "course_id": "c", "error_text": "1/2 = 2"},
    }
    running.take("llm_analysis")  # what other tests sent may wait behind this one, or before it
    answer = client.post("/v1/analyses/errors", json={"records": [record] * many})
    assert answer.status_code == 202
    assert [headers["task"] for headers, _ in running.take("llm_analysis")] == [task]
    job = client.get(answer.json()["links"]["self"]).json()
    assert (job["kind"], job["analysis"]["expected"]) == ("analysis", many)


@pytest.mark.parametrize("economy", [True, False])
def test_economy_is_handed_on_to_importer_and_analyzer(
    running: Gateway, client: httpx.Client, *, economy: bool
) -> None:
    """Out: `economy` in analysis_submission, in estimate_analysis, or in ImportOptions."""
    running.take("llm_analysis"), running.take("data_import")
    mistake = {"student_id": "s", "course_id": "c", "error_text": "1/2 = 2"}
    records = [{**RECORD, "type": "error_record", "data": mistake}] * 2
    query = f"/v1/imports?analyze=true&economy={economy}"
    answers = [
        client.post("/v1/analyses/errors", json={"records": records, "economy": economy}),
        client.post("/v1/analyses/errors/estimate", json={"records": records, "economy": economy}),
        client.post("/v1/imports", json={"records": records, "analyze": True, "economy": economy}),
        client.post(query, content=LINE, headers=NDJSON),
    ]
    assert [answer.status_code for answer in answers] == [202] * 4
    bodies = [body for queue in ("llm_analysis", "data_import") for _, body in running.take(queue)]
    assert [arguments[-1].get("economy", False) for arguments, *_ in bodies] == [economy] * 4


def test_economy_without_an_analysis_is_refused_in_one_sentence(client: httpx.Client) -> None:
    for answer in (
        client.post("/v1/imports", json={"records": [RECORD], "economy": True}),
        client.post("/v1/imports?economy=true", content=LINE, headers=NDJSON),
    ):
        assert answer.status_code == 422
        assert "set analyze, too" in answer.text


def test_records_that_cannot_be_read_are_listed(client: httpx.Client) -> None:
    answer = client.post("/v1/analyses/errors", json={"records": [RECORD, {"type": "nonsense"}]})
    assert answer.status_code == 422
    assert [error["record"] for error in answer.json()["errors"]] == [0, 1]


@pytest.mark.parametrize("ends", [b"[" * 5_000, b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 5_000])
@pytest.mark.parametrize("form", ["ndjson", "xapi", "openedx"])
def test_a_file_that_ends_in_deep_brackets_is_taken_or_refused(
    client: httpx.Client, form: str, ends: bytes
) -> None:
    body = json.dumps(RECORD).encode() + b"\n" + ends
    answer = client.post(
        "/v1/imports",
        params={"format": form},
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code in (202, 422), answer.text


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-05:00"])
@pytest.mark.parametrize("what", ["", "/estimate"])
def test_a_moment_outside_of_the_calendar_is_listed(
    client: httpx.Client, timestamp: str, what: str
) -> None:
    wrong = {**RECORD, "timestamp": timestamp}
    answer = client.post(f"/v1/analyses/knowledge-points{what}", json={"records": [RECORD, wrong]})
    assert answer.status_code == 422
    assert [(error["record"], error["field"]) for error in answer.json()["errors"]] == [
        (1, "timestamp")
    ]


def test_a_file_outside_is_taken_by_its_url_and_not_copied(
    running: Gateway, client: httpx.Client, exports: Path
) -> None:
    (exports / "week.csv.gz").write_bytes(gzip.compress(b"who,what\n1,2\n"))
    url, before = f"file://{exports}/week.csv.gz", _blobs(running)
    answer = client.post("/v1/imports", json={"url": url, "format": "csv", "batch_size": 7})
    assert answer.status_code == 202, answer.text
    job = client.get(answer.json()["links"]["self"]).json()
    assert job["source"] == "week.csv.gz"
    assert _blobs(running) == before
    kept = json.loads(
        Jobs(connect(running.environment["EDUGRAPH_REDIS_URL"])).tasks(job["job_id"]) or ""
    )
    message = kept[0][1]
    assert (
        message["source"],
        message["format"],
        message["compression"],
        message["batch_size"],
    ) == (
        url,
        "csv",
        "gzip",
        7,
    )
    # By which its readers see whether the file was changed since.
    there = (exports / "week.csv.gz").stat()
    assert message["outside"] == {"size": there.st_size, "modified": str(there.st_mtime)}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "EDUGRAPH_IMPORTS_FROM"),
        ("{exports}/../passwd", "EDUGRAPH_IMPORTS_FROM"),
        ("{exports}/%2e%2e/passwd", "EDUGRAPH_IMPORTS_FROM"),
        ("http://127.0.0.1/a?signature=secret", "EDUGRAPH_IMPORTS_FROM"),
        ("/etc/passwd", "must be a URL"),
        ("jobs/of-another/source.ndjson", "must be a URL"),
        ("{exports}/nothing.ndjson", "is gone"),
        ("{exports}/empty.ndjson", "empty"),
        ("gs://x/a.ndjson", "reads gs://"),
        ("", "url"),
    ],
)
def test_no_other_file_outside_is_taken(
    running: Gateway, client: httpx.Client, exports: Path, url: str, words: str
) -> None:
    (exports / "empty.ndjson").touch()
    before = _blobs(running)
    answer = client.post("/v1/imports", json={"url": url.format(exports=f"file://{exports}")})
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert "secret" not in answer.text + running.log.read_text()
    assert _blobs(running) == before


def test_records_and_a_url_at_once_are_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/imports", json={"records": [RECORD], "url": "gs://x/a"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "url"
