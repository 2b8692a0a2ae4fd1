"""What each scope shows: every operation of gateway and insights is called, over data with marks in every place that a person fills.

The marks stand in names, ids, texts, file names, headers, names of fields and of events, in rows that are set aside and
in a dead letter. Without `personal` none of them is in any answer; with it they are where they should be.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import neo4j
import pika
import pytest
import redis
from engines import System, real_engine
from waiting import until

from edugraph_cli.serving import Pools
from edugraph_client import Client, FileSource
from edugraph_common.contracts.doors import is_of_insights
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.platform.api_keys import SCOPES, ApiKeys, Role, Scope
from edugraph_common.platform.audit import Audit
from edugraph_common.platform.job_store import connect
from edugraph_common.platform.saved_views import SavedView, SavedViews, ViewState
from edugraph_insights.access import IN_CELLS

pytestmark = pytest.mark.real
NAME, TEXT, STUDENT = "Canarina Quetzal", "plumbago is what I wrote", "stu-canarina-1"
MARKS = ("anarina", "uetzal", "plumbago", "stu-can")
# Another student, who will be restricted. Each of their marks stands where it can be told whose it is.
TEACHER = "t-1"  # leads a group of both
RESTRICTED, RESTRICTED_MARKS = "stu-rosalind-1", ("osalind", "yvern", "hellebore")
# Questions whose rows name students, or show what they wrote.
NAMING = ("attention", "needs-help", "records", "roster", "student", "ties")
WITHOUT_PERSONAL: tuple[Scope, ...] = tuple(scope for scope in SCOPES if scope != "personal")


@dataclass(frozen=True)
class Marked:
    """A system that holds marked data. `jobs` and `tasks` are all that there are."""

    system: System
    jobs: tuple[str, ...]
    tasks: tuple[str, ...]

    def client(self, *scopes: Scope, roles: tuple[Role, ...] = (), person: str | None = None) -> httpx.Client:
        headers = _bearer(self.system, *scopes, roles=roles, person=person)
        return httpx.Client(base_url=self.system.url, timeout=30, headers=headers, transport=Doors(self.system))


class Doors(httpx.HTTPTransport):
    """Leads to both services by one address."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self._insights = urlsplit(system.insights).port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if is_of_insights(request.url.path):
            request.url = request.url.copy_with(port=self._insights)
        return super().handle_request(request)


def _bearer(
    system: System, *scopes: Scope, roles: tuple[Role, ...] = (), person: str | None = None
) -> dict[str, str]:
    keys = ApiKeys(connect(system.engine.environment["EDUGRAPH_REDIS_URL"]))
    key = keys.create("test", scopes, datetime.now(UTC), roles=roles, person=person)
    return {"Authorization": f"Bearer {key.token}"}


def _interaction(number: int) -> dict[str, Any]:
    data = {"student_id_from": STUDENT, "student_id_to": f"{STUDENT}-{number}", "student_name_from": NAME}
    text = f"{TEXT}, number {number}: I am so happy about plumbago equations"
    return {
        "type": "student_interaction",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {**data, "interaction_type": "chat", "text": text},
    }


def _mistake(number: int) -> dict[str, Any]:
    data = {"student_id": STUDENT, "course_id": "c-1", "student_name": NAME, "error_text": f"{TEXT} {number}"}
    return {
        "type": "error_record",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {**data, "error_type": f"confused by {NAME}"},
    }


def _of_restricted(number: int, **wrong: Any) -> dict[str, Any]:
    data = {"student_id": RESTRICTED, "student_name": "Rosalind Wyvern", "course_id": "c-1"}
    texts = {"error_text": f"hellebore {number}", "error_type": "hellebore and Wyvern"}
    return {"type": "error_record", "timestamp": "2026-03-01T10:00:00Z", "data": {**data, **texts}, **wrong}


def _class() -> list[dict[str, Any]]:
    """A teacher's group, in which both students are."""
    people = ({"teacher_id": TEACHER}, {"student_id": STUDENT}, {"student_id": RESTRICTED})
    value = {"type": "membership_record", "timestamp": "2026-02-01T10:00:00Z"}
    return [{**value, "data": {"group_id": "g-1", "course_id": "c-1", **person}} for person in people]


def _files() -> dict[FileSource, bytes]:
    """Files by the content of their query: what is right, what is wrong, and what is read by other formats."""
    wrong = {"type": "course_record", "timestamp": TEXT, "data": {"student_id": STUDENT, "progress": NAME, NAME: 1}}
    good = [*map(_interaction, range(3)), *map(_mistake, range(3)), {**_mistake(9), NAME: TEXT}]
    lines = [*map(json.dumps, [*good, wrong, {"type": TEXT}]), f'{{"type": "{TEXT}', f"{NAME}: {STUDENT}"]
    event = {"name": f"edx.{NAME}", "time": "2026-03-01T10:00:00Z", "context": {"user_id": STUDENT}}
    verb = {"actor": {"mbox": f"mailto:{STUDENT}@x.example"}, "verb": {"id": f"http://x/{STUDENT}"}}
    return {
        FileSource(format="ndjson"): ("\n".join(lines) + "\n").encode(),
        FileSource(format="openedx"): f"{json.dumps(event)}\n".encode(),
        FileSource(format="xapi"): json.dumps({**verb, "object": {"id": "http://x/1"}, "id": STUDENT}).encode()
        + b"\n",
        FileSource(format="csv"): f"{STUDENT},{NAME},{NAME}\n{STUDENT},{NAME},{TEXT}\n".encode(),
    }


def _fill_with_restricted(client: Client) -> list[Any]:
    """Right and wrong rows, in a body and in a file, whose name holds the id."""
    wrong = [_of_restricted(each, timestamp="hellebore") for each in range(2)]
    chat: dict[str, Any] = {**_interaction(60), "timestamp": "2026-03-02T10:00:00Z"}
    chat["data"] |= {"student_id_to": RESTRICTED, "student_name_to": "Rosalind Wyvern", "topics": ["hellebores"]}
    records = [_of_restricted(0), chat, *wrong]
    lines = [*map(json.dumps, records), json.dumps(_of_restricted(9))[:-30]]
    content = ("\n".join(lines) + "\n").encode()
    sent = client.import_stream(io.BytesIO(content), {"name": f"{RESTRICTED}.ndjson"})
    both = [client.import_records(records, analyze=True), sent]
    for each in both:
        list(client.follow(each.job_id))
    return both


def _name_a_point(system: System, student: str = STUDENT, point: str = f"what {NAME} calls plumbago") -> None:
    """As a model may do, which names points by words of the texts."""
    environment = system.engine.environment
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(environment["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        driver.execute_query(
            "MATCH (:Student {id: $student})-[:MADE]->(e:ErrorRecord)-[:OF_TYPE]->(t) "
            "MERGE (k:KnowledgePoint {id: $point, name: $point}) MERGE (e)-[r:CONCERNS]->(k) "
            "SET r.strength = 1.0, r.confidence = 1.0 "
            "MERGE (t)-[:RELATES_TO]->(k)",
            student=student,
            point=point,
        )


def _save_a_view(system: System) -> None:
    """Of somebody who is none of the callers here, with marks wherever one can write something."""
    views = SavedViews(connect(system.engine.environment["EDUGRAPH_REDIS_URL"]), timedelta(days=1))
    for student, text in ((STUDENT, TEXT), (RESTRICTED, "hellebore")):
        state = ViewState(kind="page", name="student", values={"student": student, "find": text})
        views.add("somebody-else", student, SavedView(name=text, state=state, person=student))


def _bury(system: System, letter: Any, task_id: str = "buried") -> None:
    with pika.BlockingConnection(pika.URLParameters(system.engine.environment["EDUGRAPH_BROKER_URL"])) as connection:
        properties = pika.BasicProperties(
            content_type="application/json", headers={"id": task_id, "task": "import_batch_task"}, delivery_mode=2
        )
        connection.channel().basic_publish("", "data_import.dead", json.dumps(letter).encode(), properties)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marked]:
    with real_engine(tmp_path_factory.mktemp("scopes")) as plain:
        engine = replace(plain, environment={**plain.environment, "EDUGRAPH_AUTH": "on"})
        engine.empty()
        server = redis.Redis.from_url(engine.environment["EDUGRAPH_REDIS_URL"], decode_responses=True)
        before = set(server.scan_iter("celery-task-meta-*", count=1_000))
        with engine.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
            token = _bearer(system, *SCOPES)["Authorization"].removeprefix("Bearer ")
            with Client(system.url, token, insights_url=system.insights) as client:
                jobs, tasks = _fill(system, client)
            results = set(server.scan_iter("celery-task-meta-*", count=1_000)) - before
            tasks += [key.removeprefix("celery-task-meta-") for key in results]
            yield Marked(system, tuple(jobs), tuple(dict.fromkeys(tasks)))


def _fill(system: System, client: Client) -> tuple[list[str], list[str]]:
    accepted = [
        client.import_records([_interaction(20), {"type": TEXT, NAME: STUDENT}], analyze=True),
        client.import_records(_class()),
        client.analyze("errors", [_mistake(40), _mistake(41)]),
        client.analyze("interactions", [_interaction(42)]),
    ]
    for source, content in _files().items():
        options = {"name": f"{NAME}.txt", "analyze": str(source.format == "ndjson").lower()}
        accepted.append(client.import_stream(io.BytesIO(content), options, source=source))
    for each in accepted:
        list(client.follow(each.job_id))
    alone = [client.estimate("errors", [_mistake(50)]), client.derive_graph(repair=False)]
    for each in alone:
        client.follow_task(each.task_id)
    _name_a_point(system)
    accepted += _fill_with_restricted(client)
    _name_a_point(system, RESTRICTED, "what Rosalind calls hellebore")
    _save_a_view(system)
    letter = {"version": 1, "job_id": "j", "batch": 0, "records": [_of_restricted(2)]}
    _bury(system, [[letter], {}, {"chord": None}], "buried-too")
    _bury(system, [[{"version": 1, "job_id": "j", "batch": 0, "records": [_mistake(1)]}], {}, {"chord": None}])
    until(lambda: client.dead_letters("data_import", 1)["letters"], 5)
    return [each.job_id for each in accepted], [each.task_id for each in (*accepted, *alone)]


def _operations(client: httpx.Client) -> list[tuple[str, str]]:
    """Return the method and the path of each, with the names of what its query must have: /v1/x?course={course}."""
    documents = [
        client.get(path).raise_for_status().json() for path in ("/openapi.json", "/v1/insights/openapi.json")
    ]
    found = set()
    for document in documents:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                given = operation.get("parameters", ())
                needs = [each["name"] for each in given if each["in"] == "query" and each.get("required")]
                query = "&".join(f"{name}={{{name}}}" for name in needs)
                found.add((method.upper(), f"{path}?{query}" if query else path))
    # What deletes comes last, and what resumes before it: nothing that is to be looked at is gone by then.
    return sorted(found, key=lambda each: (each[0] == "DELETE", each[0] == "POST", each))


def _addresses(marked: Marked, path: str) -> list[str]:
    """All addresses of a path, one for each thing that there is."""
    values = {
        "{job_id}": marked.jobs,
        "{name}": ("1-nobody.zip",),
        "{queue}": tuple(QUEUES),
        "{subject}": ("errors",),
        "{student_id}": (STUDENT,),
        "{view_id}": ("0" * 32,),
        "{task_id}": (*marked.tasks, "buried", "buried-too"),
        "{course}": ("c-1",),
        "{next_course}": ("c-1",),
        "{group}": ("g-1",),
        "{other_group}": ("g-1",),
        "{student}": (STUDENT, RESTRICTED),
        "{goal}": ("nothing",),
        "{label}": ("Student", "ErrorRecord", "KnowledgePoint"),
        "{node}": (f"Student:{STUDENT}", f"Student:{RESTRICTED}", "Course:c-1"),
        "{other}": ("Course:c-1",),
        "{of}": ("course",),
        "{id}": ("nothing",),
        "{to}": ("nothing-else",),
    }
    addresses = [path]
    for name in re.findall(r"{\w+}", path):
        addresses = [address.replace(name, value) for address in addresses for value in values[name]]
    return addresses


def _hits(
    marked: Marked, client: httpx.Client, marks: tuple[str, ...] = MARKS, *, only: tuple[str, ...] = ()
) -> dict[str, str]:
    """Call every operation (or `only` those of these methods) on everything, and return what shows a mark."""
    hits = {}
    for method, path in _operations(client):
        if only and method not in only:
            continue
        for address in _addresses(marked, path):
            answer = client.request(method, address)
            assert answer.status_code < 500, (method, address, answer.text)
            for shown in (answer.text, str(dict(answer.headers))):
                if any(mark in shown for mark in marks):
                    hits[f"{method} {path.partition('?')[0]}"] = shown
    return hits


def test_nothing_of_a_student_who_is_restricted_is_shown(marked: Marked) -> None:
    """Out: `restrictions` in any of the routes, `hidden` in the export, or `s.restricted` in the mistakes."""
    with marked.client(*SCOPES, roles=("teacher",), person=TEACHER) as everything:
        operations = _operations(everything)
        reads = {path.partition("?")[0] for method, path in operations if method == "GET" and "digest" not in path}
        before = _hits(marked, everything, RESTRICTED_MARKS, only=("GET",))
        assert {each.partition(" ")[2] for each in before} == reads & {
            "/v1/jobs",
            "/v1/jobs/{job_id}",
            "/v1/jobs/{job_id}/events",
            "/v1/jobs/{job_id}/rejects",
            "/v1/tasks/{task_id}",
            "/v1/dead-letters/{queue}/{task_id}",
            "/v1/graph/summary",
            "/v1/graph/export",
            "/v1/graph/node",
            "/v1/graph/nodes",
            "/v1/graph/neighbours",
            "/v1/graph/subgraph",
            "/v1/graph/path",
            *(f"/v1/insights/{name}" for name in (*NAMING, "untaught-points")),
        }
        for action in ("restriction", "restriction/lift", "restriction"):
            sent = everything.post(f"/v1/students/{RESTRICTED}/{action}").raise_for_status().json()
            until(lambda sent=sent: everything.get(f"/v1/tasks/{sent['task_id']}").json()["state"] == "SUCCESS", 20)  # type: ignore[misc]
        listed = {"GET /v1/restrictions"}
        until(lambda: _hits(marked, everything, RESTRICTED_MARKS, only=("GET",)).keys() == listed, 60)
        rejects = [everything.get(f"/v1/jobs/{job}/rejects").text for job in marked.jobs]
        assert any("plumbago" in text for text in rejects)
        assert STUDENT in everything.get("/v1/graph/export").text


def test_what_shows_a_mark_and_what_is_refused_is_in_the_audit_log(marked: Marked) -> None:
    """Out: one of `trail.shown`, or note_refusal in app.py or in the fast path."""
    redis_url = marked.system.engine.environment["EDUGRAPH_REDIS_URL"]
    audit = Audit(connect(redis_url), marked.system.engine.environment["EDUGRAPH_PRIVACY_SECRET"])
    asked = set()
    with marked.client("read", "operate", "personal", roles=("teacher",), person=TEACHER) as officer:
        officer.headers["X-Purpose"] = "an answer to a parent"
        key_id = officer.headers["Authorization"].split("_")[1]
        reads = [(m, a) for m, path in _operations(officer) if m == "GET" for a in _addresses(marked, path)]
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
        accepted = somebody.post("/v1/imports", json={"records": [_mistake(1)]}).json()
        job = accepted["job_id"]
        sent = [
            nobody.get(f"/v1/jobs/{job}"),
            nobody.get(f"/v1/tasks/{accepted['task_id']}"),
            nobody.delete(f"/v1/students/{STUDENT}"),
            nobody.post("/v1/imports", json={"records": [_mistake(1)]}),
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


def test_without_personal_no_operation_shows_a_mark(marked: Marked) -> None:
    """Out: each of `job_answer`'s hidden fields, `without_personal_data`, `personal=True` of rejects, letter, export,
    and SMALLEST_GROUP_STUDENTS.
    """
    with marked.client(*SCOPES) as everything:
        for path in ("/v1/jobs", "/v1/graph/summary", "/v1/graph/export", "/v1/dead-letters/data_import/buried"):
            assert any(mark in everything.get(path).text for mark in MARKS), path
        for path in ("/v1/jobs/{job_id}", "/v1/jobs/{job_id}/rejects", "/v1/tasks/{task_id}"):
            assert any(mark in everything.get(a).text for a in _addresses(marked, path) for mark in MARKS), path
    with marked.client(*WITHOUT_PERSONAL, roles=("analyst",)) as analyst:
        asked = [a for _, path in _operations(analyst) if "/insights/" in path for a in _addresses(marked, path)]
        answered = {a.partition("?")[0].rpartition("/")[2] for a in asked if analyst.get(a).status_code == 200}
        assert answered >= IN_CELLS
        assert len(_operations(analyst)) > 20
        assert _hits(marked, analyst) == {}


def test_a_job_and_its_task_are_there_for_their_maker_alone(marked: Marked) -> None:
    """Out: `caller.owns` in existing_job or show_task, or `owner=owner` in list_jobs."""
    own: tuple[Scope, ...] = ("read:own", "submit", "personal")
    with marked.client(*own) as one, marked.client(*own) as other, marked.client("read", "operate") as reader:
        body = {"records": [{"type": TEXT, NAME: STUDENT}]}
        accepted = one.post("/v1/imports", json=body).json()
        job, task = (f"/v1/jobs/{accepted['job_id']}", f"/v1/tasks/{accepted['task_id']}")
        until(lambda: one.get(job).json()["state"] == "failed", 20)
        for path in (job, f"{job}/rejects", f"{job}/events", task):
            assert (one.get(path).status_code, other.get(path).status_code) == (200, 404), path
        assert reader.get(job).status_code == reader.get(task).status_code == 200
        assert [each["job_id"] for each in one.get("/v1/jobs").json()["jobs"]] == [accepted["job_id"]]
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
        assert [one.get(f"/v1/tasks/{each}").status_code for each in marked.tasks] == [404] * len(marked.tasks)
        assert one.get("/v1/jobs").status_code == 403
    statuses = {"read": 200, "read:own": 404, "review": 404}
    for scope in SCOPES:
        with marked.client(scope) as somebody:
            assert somebody.get(task).status_code == statuses.get(scope, 403), scope


def test_a_maker_without_personal_sees_the_file_and_no_row_of_it(marked: Marked) -> None:
    with marked.client("read:own", "submit") as maker:
        content = json.dumps({"type": "nonsense", "timestamp": TEXT}).encode() + b"\n"
        sent = maker.post(
            f"/v1/imports?name={NAME}", content=content, headers={"Content-Type": "application/x-ndjson"}
        )
        job = f"/v1/jobs/{sent.json()['job_id']}"
        until(lambda: maker.get(job).json()["state"] == "failed", 20)
        report = maker.get(job).json()
        assert (report["source"], report["errors"], report["rejected"]) == (NAME, [], 1)
        assert maker.get(f"{job}/rejects").status_code == 403


def test_an_officer_restricts_and_exports_and_erases_nobody(marked: Marked) -> None:
    """Out: `Officer` or `Eraser` of a route in students.py."""
    with marked.client("privacy") as officer:
        for action in ("restriction", "restriction/lift", "export"):
            assert officer.post(f"/v1/students/nobody-here/{action}").status_code == 202, action
        assert officer.get("/v1/erasures").status_code == 200
        for method, path in (("DELETE", "/students/x"), ("DELETE", "/erasures/x"), ("POST", "/erasures/replay")):
            assert officer.request(method, f"/v1{path}").status_code == 403, path
        assert officer.get("/v1/restrictions").status_code == 403
    with marked.client("privacy", "personal") as officer:
        assert "students" in officer.get("/v1/restrictions").json()
    with marked.client("operate", "personal") as operator:
        assert operator.post("/v1/students/nobody-here/export").status_code == 403
