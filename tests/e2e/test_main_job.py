"""Records in, graph out, findings back: what a user sees of it."""

import json
from pathlib import Path

import guard
import httpx
import neo4j
import pytest
import redis
from engines import CHECKOUT, SHARED_RECORDS, System

EXAMPLES = CHECKOUT / "examples"


def _lines(shared: str) -> list[str]:
    """Of a file of the shared data, and where that is not there, of a smaller one of the repository."""
    path = SHARED_RECORDS / shared
    path = path if path.exists() else EXAMPLES / "school_zh.ndjson"
    return path.read_text(encoding="utf-8").splitlines()[:1_000]


def test_a_file_is_imported_once_however_often_it_is_sent(clean: System, tmp_path: Path) -> None:
    lines, path = _lines("bridge.ndjson"), tmp_path / "records.ndjson"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    first = clean.import_and_report(path)
    digest = clean.client.graph_digest()
    again = clean.import_and_report(path)
    # The shared data has several contents of some records, so that some rows replace others or are older.
    for report in (first, again):
        outcomes = [
            int(str(report[outcome])) for outcome in ("written", "replaced", "unchanged", "older")
        ]
        assert (report["state"], sum(outcomes), report["rejected"]) == ("succeeded", len(lines), 0)
    # Without an id, the content is the identity.
    ids = {json.loads(line).get("record_id", line) for line in lines}
    assert (first["written"], again["written"]) == (len(ids), 0)
    assert clean.client.graph_digest() == digest


def test_chinese_text_and_names_are_kept_as_they_were_written(
    clean: System, tmp_path: Path
) -> None:
    lines = _lines("tal_zh.ndjson")[:400]
    some = tmp_path / "some.ndjson"
    some.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = clean.import_and_report(some)
    assert (report["state"], report["rejected"]) == ("succeeded", 0)
    wanted: dict[str, set[str | None]] = {}
    for line in lines:
        data = json.loads(line)["data"]
        for course in filter(None, [data.get("course_id"), *data.get("course_ids", [])]):
            wanted.setdefault(course, set()).add(
                data.get("course_name") if course == data.get("course_id") else None
            )
    environment = clean.engine.environment
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(environment["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        rows = driver.execute_query("MATCH (c:Course) RETURN c.id AS id, c.name AS name").records
    courses = {row["id"]: row["name"] for row in rows}
    assert courses.keys() == wanted.keys()
    # A course has one name, of those that its records give it.
    given = {course: names - {None} or {None} for course, names in wanted.items()}
    assert all(name in given[course] for course, name in courses.items())
    assert any(name and not name.isascii() for name in courses.values())


def test_findings_come_back_into_the_graph(clean: System) -> None:
    assert clean.import_and_report(EXAMPLES / "curriculum.ndjson")["state"] == "succeeded"
    for name in ("courses.ndjson", "school_zh.ndjson"):
        report = clean.import_and_report(EXAMPLES / name, "--analyze")
        assert report["state"] == "succeeded"
        analysis = report["analysis"]
        assert isinstance(analysis, dict)
        assert analysis["done"] == analysis["expected"] > 0
    summary = clean.client.graph_summary()
    assert summary.nodes["KnowledgePoint"] > 10
    assert summary.relationships["DESCRIBES"] > 10
    assert summary.relationships["DEPENDS_ON"] > 0, "a job ends after its prerequisites are derived"
    assert summary.frequent_mistakes


def test_all_that_redis_holds_of_work_that_is_done_expires(clean: System) -> None:
    """Each name that may stay for ever is here, and in docs/operations.md. Out: the call of `ended` in finish_job.lua."""
    server = redis.Redis.from_url(
        clean.engine.environment["EDUGRAPH_REDIS_URL"], decode_responses=True
    )
    of_others = set(server.scan_iter(count=1_000))  # other tests leave jobs that never end
    assert (
        clean.import_and_report(EXAMPLES / "school_zh.ndjson", "--analyze")["state"] == "succeeded"
    )
    few = [
        json.loads(line)
        for line in (EXAMPLES / "school_en.ndjson").read_text(encoding="utf-8").splitlines()[:5]
    ]
    accepted = httpx.post(
        f"{clean.url}/v1/imports",
        json={"records": few},
        headers={"Idempotency-Key": "a"},
        timeout=20,
    )
    *_, report = clean.client.follow(accepted.json()["job_id"])
    assert report.state == "succeeded"
    kept = {str(key) for key in server.scan_iter(count=1_000) if server.ttl(key) == -1}
    server.close()
    lasting = {
        "edugraph:jobs",
        "edugraph:keys",
        "edugraph:audit:entries",
        "edugraph:llm:stats",
        guard.CLAIM,
    }
    lasting |= {"edugraph:keys-made", "edugraph:audit-secret", "edugraph:swept"}
    assert kept - of_others <= lasting


def test_what_an_analysis_would_take_is_told_before_it(clean: System) -> None:
    lines = (EXAMPLES / "school_en.ndjson").read_text(encoding="utf-8").splitlines()
    errors = [record for line in lines if (record := json.loads(line))["type"] == "error_record"]
    accepted = httpx.post(
        f"{clean.url}/v1/analyses/errors/estimate", json={"records": errors}, timeout=20
    ).json()
    task = clean.client.follow_task(accepted["task_id"])
    assert (task["state"], task["result"]["items"]) == ("SUCCESS", len(errors))
    assert task["result"]["input_tokens"] > 0
    assert clean.client.graph_summary().nodes == {}


def test_each_broken_line_is_told_with_its_number_and_touches_no_other(
    clean: System, tmp_path: Path
) -> None:
    broken = (EXAMPLES / "broken.ndjson").read_text(encoding="utf-8").splitlines()
    good = (EXAMPLES / "school_en.ndjson").read_text(encoding="utf-8").splitlines()[:20]
    mixed = tmp_path / "mixed.ndjson"
    mixed.write_text(
        "\n".join(line for pair in zip(good, broken, strict=False) for line in pair),
        encoding="utf-8",
    )
    report = clean.import_and_report(mixed)
    assert (report["written"], report["rejected"]) == (10, 10)
    errors = report["errors"]
    assert isinstance(errors, list)
    assert sorted(error["line"] for error in errors) == list(range(2, 21, 2))


MALFORMED = {
    "not-utf8.ndjson": "这不是 UTF-8".encode("gb18030") + b"\n",
    "half-a-line.ndjson": b'{"type": "course_record", "timesta',
    "a-50-mb-line.ndjson": b'{"type": "' + b"x" * 50_000_000 + b'"}\n',
    "empty.ndjson": b"",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_in_one_sentence(
    clean: System, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(MALFORMED[name])
    _refused_in_one_sentence(clean, path)


@pytest.mark.parametrize("name", [".", "no-such-file.ndjson"])
def test_what_is_no_file_is_refused_in_one_sentence(
    clean: System, tmp_path: Path, name: str
) -> None:
    _refused_in_one_sentence(clean, tmp_path / name)


def _refused_in_one_sentence(system: System, path: Path) -> None:
    done = system.edugraph("import", str(path), "--follow")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert system.client.graph_summary().nodes == {}
