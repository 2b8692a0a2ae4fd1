"""What each scope shows of data with marks in every place that a person fills, and what is noted of who saw it."""

import json
from typing import Any

import httpx
import neo4j
import pytest
from marked_data import (
    MARKS,
    NAME,
    NAMING,
    RESTRICTED,
    RESTRICTED_MARKS,
    STUDENT,
    TEACHER,
    TEXT,
    Marked,
    addresses_of,
    hits_of,
    mistake_of,
    operations_of,
)
from waiting import until

from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.contracts.permissions import SCOPES, Scope
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_insights.access import IN_CELLS

pytestmark = pytest.mark.real


def test_nothing_of_a_student_who_is_restricted_is_shown(marked: Marked) -> None:
    """Out: `restrictions` in any of the routes, `hidden` in the export, or `s.restricted` in the mistakes."""
    with marked.client(*SCOPES, roles=("teacher",), person=TEACHER) as everything:
        operations = operations_of(everything)
        reads = {
            path.partition("?")[0]
            for method, path in operations
            if method == "GET" and "digest" not in path
        }
        before = hits_of(marked, everything, RESTRICTED_MARKS, only=("GET",))
        assert {each.partition(" ")[2] for each in before} == reads & {
            "/v1/jobs",
            "/v1/jobs/{job_id}",
            "/v1/jobs/{job_id}/events",
            "/v1/jobs/{job_id}/rejects",
            "/v1/tasks/{task_id}",
            "/v1/dead-letters/{queue}/{task_id}",
            "/v1/graph/summary",
            "/v1/graph/export",
            "/v1/graph/warehouse",
            "/v1/graph/node",
            "/v1/graph/nodes",
            "/v1/graph/neighbours",
            "/v1/graph/subgraph",
            "/v1/graph/path",
            *(f"/v1/insights/{name}" for name in (*NAMING, "practice", "untaught-points")),
        }
        for action in ("restriction", "restriction/lift", "restriction"):
            sent = everything.post(f"/v1/students/{RESTRICTED}/{action}").raise_for_status().json()
            task = f"/v1/tasks/{sent['task_id']}"
            until(lambda task=task: everything.get(task).json()["state"] == "SUCCESS", 20)  # type: ignore[misc]
        listed = {"GET /v1/restrictions"}
        until(
            lambda: hits_of(marked, everything, RESTRICTED_MARKS, only=("GET",)).keys() == listed,
            60,
        )
        rejects = [everything.get(f"/v1/jobs/{job}/rejects").text for job in marked.jobs]
        assert any("plumbago" in text for text in rejects)
        assert STUDENT in everything.get("/v1/graph/export").text


def test_what_shows_a_mark_and_what_is_refused_is_in_the_audit_log(marked: Marked) -> None:
    """Out: one of `trail.shown`, or note_refusal in app.py."""
    redis_url = marked.system.engine.environment["EDUGRAPH_REDIS_URL"]
    audit = Audit(connect(redis_url), marked.system.engine.environment["EDUGRAPH_PRIVACY_SECRET"])
    asked = set()
    with marked.client(
        "read", "operate", "personal", roles=("teacher",), person=TEACHER
    ) as officer:
        officer.headers["X-Purpose"] = "an answer to a parent"
        key_id = officer.headers["Authorization"].split("_")[1]
        reads = [
            (m, a)
            for m, path in operations_of(officer)
            if m == "GET"
            for a in addresses_of(marked, path)
        ]
        for method, address in reads:
            count = len([entry for entry in audit.newest() if entry.who == key_id])
            answer = officer.request(method, address)
            name = address.partition("?")[0].rpartition("/")[2]
            # What is taught and what goes wrong is of nobody, also where a model calls it by words of a text.
            of_nobody = name in {"summary", *IN_CELLS} or "KnowledgePoint" in address
            if any(mark in answer.text for mark in MARKS) and not of_nobody:
                asked.add(name)
                entry, *others = [entry for entry in audit.newest() if entry.who == key_id]
                assert len(others) == count, address
                assert (entry.action, entry.outcome) == ("personal.read", "shown"), address
                assert entry.purpose == "an answer to a parent"
        # By now the other end of the only tie is restricted.
        assert asked >= {"export", "rejects", "buried", "node", *NAMING} - {"ties"}, asked
        assert officer.get("/v1/jobs", headers={"X-Purpose": "x" * 201}).status_code == 422
    with marked.client("submit") as somebody, marked.client("read:own") as nobody:
        key_id = nobody.headers["Authorization"].split("_")[1]
        accepted = somebody.post("/v1/imports", json={"records": [mistake_of(1)]}).json()
        job = accepted["job_id"]
        sent = [
            nobody.get(f"/v1/jobs/{job}"),
            nobody.get(f"/v1/tasks/{accepted['task_id']}"),
            nobody.delete(f"/v1/students/{STUDENT}"),
            nobody.post("/v1/imports", json={"records": [mistake_of(1)]}),
        ]
        assert [answer.status_code for answer in sent] == [404, 404, 403, 403]
        refusals = [entry for entry in audit.newest() if entry.who == key_id]
        assert [entry.what for entry in reversed(refusals)] == [
            "GET /v1/jobs/{job_id}",
            "GET /v1/tasks/{task_id}",
            "DELETE /v1/students/{student_id:path}",
            "POST /v1/imports",
        ]
        assert {(entry.action, entry.outcome) for entry in refusals} == {("refused", "refused")}
        assert refusals[-1].object == audit.object_of("address", f"GET /v1/jobs/{job}")
        assert STUDENT not in str(refusals)
    assert httpx.get(f"{marked.system.url}/v1/jobs").status_code == 401
    assert next(audit.newest()).who == "unknown"


def test_a_job_and_its_task_are_there_for_their_maker_alone(marked: Marked) -> None:
    """Out: `caller.owns` in existing_job or show_task, or `owner=owner` in list_jobs."""
    own: tuple[Scope, ...] = ("read:own", "submit", "personal")
    with (
        marked.client(*own) as one,
        marked.client(*own) as other,
        marked.client("read", "operate") as reader,
    ):
        body = {"records": [{"type": TEXT, NAME: STUDENT}]}
        accepted = one.post("/v1/imports", json=body).json()
        job, task = (f"/v1/jobs/{accepted['job_id']}", f"/v1/tasks/{accepted['task_id']}")
        until(lambda: one.get(job).json()["state"] == "failed", 20)
        for path in (job, f"{job}/rejects", f"{job}/events", task):
            assert (one.get(path).status_code, other.get(path).status_code) == (200, 404), path
        assert reader.get(job).status_code == reader.get(task).status_code == 200
        assert [each["job_id"] for each in one.get("/v1/jobs").json()["jobs"]] == [
            accepted["job_id"]
        ]
        assert other.get("/v1/jobs").json()["jobs"] == []
        for action in ("cancel", "resume"):
            statuses = [client.post(f"{job}/{action}").status_code for client in (other, reader)]
            assert statuses[0] == 404
            assert statuses[1] != 404
        assert other.get("/v1/graph/summary").status_code == 403


def test_a_reviewer_follows_the_tasks_that_they_sent_and_no_others(marked: Marked) -> None:
    """Out: `review` in TaskReader, or `caller.owns` in show_task."""
    review = {"kind": "pair", "of": "topic", "pair": ["a topic", "another"], "verdict": "different"}
    with marked.client("review") as one, marked.client("review") as other:
        task = f"/v1/tasks/{one.post('/v1/reviews', json={'reviews': [review]}).json()['task_id']}"
        until(lambda: one.get(task).json()["state"] == "SUCCESS", 20)
        assert other.get(task).status_code == 404
        assert [one.get(f"/v1/tasks/{each}").status_code for each in marked.tasks] == [404] * len(
            marked.tasks
        )
        assert one.get("/v1/jobs").status_code == 403
    own_tasks_alone = ("read:own", "review", "privacy", "erase")
    statuses = {"read": 200, **dict.fromkeys(own_tasks_alone, 404)}
    for scope in SCOPES:
        with marked.client(scope) as somebody:
            assert somebody.get(task).status_code == statuses.get(scope, 403), scope


def test_a_maker_without_personal_sees_the_file_and_no_row_of_it(marked: Marked) -> None:
    with marked.client("read:own", "submit") as maker:
        content = json.dumps({"type": "nonsense", "timestamp": TEXT}).encode() + b"\n"
        sent = maker.post(
            f"/v1/imports?name={NAME}",
            content=content,
            headers={"Content-Type": "application/x-ndjson"},
        )
        job = f"/v1/jobs/{sent.json()['job_id']}"
        until(lambda: maker.get(job).json()["state"] == "failed", 20)
        report = maker.get(job).json()
        assert (report["source"], report["errors"], report["rejected"]) == (NAME, [], 1)
        assert maker.get(f"{job}/rejects").status_code == 403


def _leaders(marked: Marked, group: str) -> set[str]:
    environment = marked.system.engine.environment
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(environment["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        rows, *_ = driver.execute_query(
            "MATCH (p)-[:LEADS]->(:Group {id: $id}) RETURN p.id AS id", id=group
        )
    return {row["id"] for row in rows}


def _leader(teacher: str, **head: Any) -> dict[str, Any]:
    data = {"group_id": "rights", "teacher_id": teacher, "role": "leader"}
    return {"type": "membership_record", "timestamp": "2026-02-01T10:00:00Z", "data": data, **head}


def _report(client: httpx.Client, sent: httpx.Response) -> Any:
    """Return the report of a job that has ended."""
    job = f"/v1/jobs/{sent.raise_for_status().json()['job_id']}"
    until(lambda: client.get(job).json()["state"] in ENDED, 30)
    return client.get(job).json()


def test_who_leads_a_group_is_said_by_keys_for_rosters_alone(marked: Marked) -> None:
    """Out: `check_rights` in `read_batch`, `rights` of an upload or a body, `counts_for`, or `log_noted_changes`."""
    environment = marked.system.engine.environment
    audit = Audit(
        connect(environment["EDUGRAPH_REDIS_URL"]), environment["EDUGRAPH_PRIVACY_SECRET"]
    )
    file = {"Content-Type": "application/x-ndjson"}
    own: tuple[Scope, ...] = ("read:own", "personal")
    with (
        marked.client(*own, "submit", roles=("teacher",), person="T77") as teacher,
        marked.client(*own, "roster", person="T88") as office,
    ):
        body = {"records": [_leader("T77", record_id="r-77"), mistake_of(70)]}
        report = _report(teacher, teacher.post("/v1/imports", json=body))
        assert (report["written"] + report["unchanged"], report["rejected"]) == (1, 1)
        reason = "needs the scope roster, which the caller of this import does not have"
        assert report["reasons"] == {reason: 1}
        content = f"{json.dumps(body['records'][0])}\n".encode()
        report = _report(teacher, teacher.post("/v1/imports", content=content, headers=file))
        assert (report["state"], report["reasons"]) == ("failed", {reason: 1})
        again = teacher.post(f"/v1/jobs/{report['job_id']}/resume")
        assert _report(teacher, again)["reasons"] == {reason: 1}
        assert _leaders(marked, "rights") == set()

        rows = [_leader("T88"), _leader("T99", record_id="r-99"), mistake_of(71)]
        report = _report(office, office.post("/v1/imports", json={"records": rows}))
        assert (report["written"], report["rejected"]) == (1, 2)
        assert _leaders(marked, "rights") == {"T99"}

        # Neither a withdrawal nor another record with its id takes the membership away.
        taken_back = {"record_id": "r-99", "withdrawn": True, "timestamp": "2026-03-03T10:00:00Z"}
        other = {
            **mistake_of(72),
            "record_id": "r-99",
            "reading": 9,
            "timestamp": "2026-03-02T10:00:00Z",
        }
        report = _report(
            teacher, teacher.post("/v1/imports", json={"records": [taken_back, other]})
        )
        assert report["reasons"] == {
            "is the id of a record that the caller of this import may not take back": 1,
            "is the id of a record of another type, which counts for more": 1,
        }
        assert _leaders(marked, "rights") == {"T99"}
        report = _report(office, office.post("/v1/imports", json={"records": [taken_back]}))
        assert _leaders(marked, "rights") == set()

        key_id = office.headers["Authorization"].split("_")[1]
        noted = [
            each for each in audit.newest() if each.action == "group.leader" and each.who == key_id
        ]
        assert [each.what.partition(",")[0] for each in reversed(noted)] == [
            "leads group rights",
            "does not lead group rights",
        ]
        assert {each.object for each in noted} == {audit.object_of("teacher", "T99")}
        brought = [
            each.what
            for each in audit.newest()
            if each.action == "job.submit" and each.who == key_id
        ]
        assert report["job_id"] in brought


def _task(client: httpx.Client, sent: httpx.Response) -> Any:
    """Return the answer about a task that has ended."""
    task = f"/v1/tasks/{sent.raise_for_status().json()['task_id']}"
    until(lambda: client.get(task).json()["state"] in ("SUCCESS", "FAILURE"), 30)
    return client.get(task).json()


def test_nobody_makes_themselves_a_leader_by_taking_back_or_undoing(marked: Marked) -> None:
    """Out: `requested_by` in `rights_of` or `undo_import`, or `_own` in `refuse_own_claims`."""
    own: tuple[Scope, ...] = ("read:own", "personal", "roster")
    operate: tuple[Scope, ...] = ("operate", "erase")
    own_words = "would make the caller of this import the leader of a group; another caller has to import it"
    with (
        marked.client(*own, person="T55") as office,
        marked.client(*own, *operate, "read") as head,
        marked.client(*own, *operate, "read", person="T55") as mine,
    ):
        data = {"group_id": "hidden", "teacher_id": "T55"}
        older = {
            "type": "membership_record",
            "timestamp": "2026-02-01T10:00:00Z",
            "record_id": "h-1",
            "data": data,
        }
        later = {
            **older,
            "timestamp": "2026-03-01T10:00:00Z",
            "record_id": "h-2",
            "data": {**data, "role": "member"},
        }
        assert _report(head, head.post("/v1/imports", json={"records": [older]}))["written"] == 1
        assert _leaders(marked, "hidden") == {"T55"}
        # An undo needs the stored rows of a file.
        content = f"{json.dumps(later)}\n".encode()
        file = {"Content-Type": "application/x-ndjson"}
        hiding = _report(office, office.post("/v1/imports", content=content, headers=file))
        assert _leaders(marked, "hidden") == set()

        taken_back = {"record_id": "h-2", "withdrawn": True, "timestamp": "2026-04-01T10:00:00Z"}
        report = _report(office, office.post("/v1/imports", json={"records": [taken_back]}))
        assert report["reasons"] == {own_words: 1}
        undone = _task(office, office.post(f"/v1/jobs/{hiding['job_id']}/undo"))
        assert undone["state"] == "FAILURE"
        assert "another caller has to do it" in undone["error"]
        assert _leaders(marked, "hidden") == set()
        assert _task(head, head.post(f"/v1/jobs/{hiding['job_id']}/undo"))["state"] == "SUCCESS"
        assert _leaders(marked, "hidden") == {"T55"}

        other = {
            **older,
            "record_id": "h-3",
            "data": {**data, "group_id": "hidden-2", "teacher_id": "T56"},
        }
        _report(head, head.post("/v1/imports", json={"records": [other]}))
        # By a claim to the id of the leader, the caller would be this leader.
        claim = {
            "type": "person_record",
            "timestamp": "2026-04-01T10:00:00Z",
            "data": {"person_id": "T55", "also": ["T56"]},
        }
        report = _report(mine, mine.post("/v1/imports", json={"records": [claim]}))
        assert report["reasons"] == {own_words: 1}
        assert _leaders(marked, "hidden-2") == {"T56"}


def test_an_officer_restricts_and_exports_and_erases_nobody(marked: Marked) -> None:
    """Out: `Officer` or `Eraser` of a route in students.py."""
    with marked.client("privacy") as officer:
        for action in ("restriction", "restriction/lift"):
            assert officer.post(f"/v1/students/nobody-here/{action}").status_code == 202, action
        assert officer.post("/v1/students/nobody-here/export").status_code == 403
        assert officer.get("/v1/erasures").status_code == 200
        for method, path in (
            ("DELETE", "/students/x"),
            ("DELETE", "/erasures/x"),
            ("POST", "/erasures/replay"),
        ):
            assert officer.request(method, f"/v1{path}").status_code == 403, path
        assert officer.get("/v1/restrictions").status_code == 403
    with marked.client("privacy", "personal") as officer:
        assert "students" in officer.get("/v1/restrictions").json()
        assert officer.post("/v1/students/nobody-here/export").status_code == 202
    with marked.client("erase", "personal") as leavers:
        assert leavers.post("/v1/students/nobody-here/export").status_code == 403
        assert leavers.get("/v1/exports/1-abc.zip").status_code == 403
    with marked.client("operate", "personal") as operator:
        assert operator.post("/v1/students/nobody-here/export").status_code == 403
