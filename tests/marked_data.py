"""A system with marks in every place that a person fills, and all that can be asked of it.

The marks stand in names, ids, texts, file names, headers, names of fields and of events, in rows that are set aside and
in a dead letter.
"""

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import neo4j
import pika
import redis
from engines import System, real_engine
from waiting import until

from edugraph_cli.serving import Pools
from edugraph_client import Client, FileSource
from edugraph_common.contracts.permissions import SCOPES, Role, Scope
from edugraph_common.contracts.public_paths import is_of_insights
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.saved_views import SavedView, SavedViews, ViewState

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

    def client(
        self, *scopes: Scope, roles: tuple[Role, ...] = (), person: str | None = None
    ) -> httpx.Client:
        headers = _bearer(self.system, *scopes, roles=roles, person=person)
        return httpx.Client(
            base_url=self.system.url, timeout=30, headers=headers, transport=Doors(self.system)
        )


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
    data = {
        "student_id_from": STUDENT,
        "student_id_to": f"{STUDENT}-{number}",
        "student_name_from": NAME,
    }
    text = f"{TEXT}, number {number}: I am so happy about plumbago equations"
    return {
        "type": "student_interaction",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {**data, "interaction_type": "chat", "text": text},
    }


def mistake_of(number: int) -> dict[str, Any]:
    data = {
        "student_id": STUDENT,
        "course_id": "c-1",
        "student_name": NAME,
        "error_text": f"{TEXT} {number}",
    }
    return {
        "type": "error_record",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {**data, "error_type": f"confused by {NAME}"},
    }


def _of_restricted(number: int, **wrong: Any) -> dict[str, Any]:
    data = {"student_id": RESTRICTED, "student_name": "Rosalind Wyvern", "course_id": "c-1"}
    texts = {"error_text": f"hellebore {number}", "error_type": "hellebore and Wyvern"}
    return {
        "type": "error_record",
        "timestamp": "2026-03-01T10:00:00Z",
        "data": {**data, **texts},
        **wrong,
    }


def _class() -> list[dict[str, Any]]:
    """A teacher's group, in which both students are."""
    people = ({"teacher_id": TEACHER}, {"student_id": STUDENT}, {"student_id": RESTRICTED})
    value = {"type": "membership_record", "timestamp": "2026-02-01T10:00:00Z"}
    return [
        {**value, "data": {"group_id": "g-1", "course_id": "c-1", **person}} for person in people
    ]


def _files() -> dict[FileSource, bytes]:
    """Files by the content of their query: what is right, what is wrong, and what is read by other formats."""
    wrong = {
        "type": "course_record",
        "timestamp": TEXT,
        "data": {"student_id": STUDENT, "progress": NAME, NAME: 1},
    }
    good = [*map(_interaction, range(3)), *map(mistake_of, range(3)), {**mistake_of(9), NAME: TEXT}]
    lines = [
        *map(json.dumps, [*good, wrong, {"type": TEXT}]),
        f'{{"type": "{TEXT}',
        f"{NAME}: {STUDENT}",
    ]
    event = {"name": f"edx.{NAME}", "time": "2026-03-01T10:00:00Z", "context": {"user_id": STUDENT}}
    verb = {"actor": {"mbox": f"mailto:{STUDENT}@x.example"}, "verb": {"id": f"http://x/{STUDENT}"}}
    return {
        FileSource(format="ndjson"): ("\n".join(lines) + "\n").encode(),
        FileSource(format="openedx"): f"{json.dumps(event)}\n".encode(),
        FileSource(format="xapi"): json.dumps(
            {**verb, "object": {"id": "http://x/1"}, "id": STUDENT}
        ).encode()
        + b"\n",
        FileSource(format="csv"): f"{STUDENT},{NAME},{NAME}\n{STUDENT},{NAME},{TEXT}\n".encode(),
    }


def _fill_with_restricted(client: Client) -> list[Any]:
    """Right and wrong rows, in a body and in a file, whose name holds the id."""
    wrong = [_of_restricted(each, timestamp="hellebore") for each in range(2)]
    chat: dict[str, Any] = {**_interaction(60), "timestamp": "2026-03-02T10:00:00Z"}
    chat["data"] |= {
        "student_id_to": RESTRICTED,
        "student_name_to": "Rosalind Wyvern",
        "topics": ["hellebores"],
    }
    records = [_of_restricted(0), chat, *wrong]
    lines = [*map(json.dumps, records), json.dumps(_of_restricted(9))[:-30]]
    content = ("\n".join(lines) + "\n").encode()
    sent = client.import_stream(io.BytesIO(content), {"name": f"{RESTRICTED}.ndjson"})
    both = [client.import_records(records, analyze=True), sent]
    for each in both:
        list(client.follow(each.job_id))
    return both


def _name_a_point(
    system: System, student: str = STUDENT, point: str = f"what {NAME} calls plumbago"
) -> None:
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
    with pika.BlockingConnection(
        pika.URLParameters(system.engine.environment["EDUGRAPH_BROKER_URL"])
    ) as connection:
        properties = pika.BasicProperties(
            content_type="application/json",
            headers={"id": task_id, "task": "import_batch_task"},
            delivery_mode=2,
        )
        connection.channel().basic_publish(
            "", "data_import.dead", json.dumps(letter).encode(), properties
        )


@contextmanager
def filled(folder: Path) -> Iterator[Marked]:
    with real_engine(folder) as plain:
        engine = replace(plain, environment={**plain.environment, "EDUGRAPH_AUTH": "on"})
        server = redis.Redis.from_url(
            engine.environment["EDUGRAPH_REDIS_URL"], decode_responses=True
        )
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
        client.analyze("errors", [mistake_of(40), mistake_of(41)]),
        client.analyze("interactions", [_interaction(42)]),
    ]
    for source, content in _files().items():
        options = {"name": f"{NAME}.txt", "analyze": str(source.format == "ndjson").lower()}
        accepted.append(client.import_stream(io.BytesIO(content), options, source=source))
    for each in accepted:
        list(client.follow(each.job_id))
    alone = [client.estimate("errors", [mistake_of(50)]), client.derive_graph(repair=False)]
    for each in alone:
        client.follow_task(each.task_id)
    _name_a_point(system)
    accepted += _fill_with_restricted(client)
    _name_a_point(system, RESTRICTED, "what Rosalind calls hellebore")
    _save_a_view(system)
    letter = {"version": 1, "job_id": "j", "batch": 0, "records": [_of_restricted(2)]}
    _bury(system, [[letter], {}, {"chord": None}], "buried-too")
    _bury(
        system,
        [
            [{"version": 1, "job_id": "j", "batch": 0, "records": [mistake_of(1)]}],
            {},
            {"chord": None},
        ],
    )
    until(lambda: client.dead_letters("data_import", 1)["letters"], 5)
    return [each.job_id for each in accepted], [each.task_id for each in (*accepted, *alone)]


def operations_of(client: httpx.Client) -> list[tuple[str, str]]:
    """Return the method and the path of each, with the names of what its query must have: /v1/x?course={course}."""
    documents = [
        client.get(path).raise_for_status().json()
        for path in ("/openapi.json", "/v1/insights/openapi.json")
    ]
    found = set()
    for document in documents:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                given = operation.get("parameters", ())
                needs = [
                    each["name"] for each in given if each["in"] == "query" and each.get("required")
                ]
                query = "&".join(f"{name}={{{name}}}" for name in needs)
                found.add((method.upper(), f"{path}?{query}" if query else path))
    # What deletes comes last, and what resumes before it: nothing that is to be looked at is gone by then.
    return sorted(found, key=lambda each: (each[0] == "DELETE", each[0] == "POST", each))


def addresses_of(marked: Marked, path: str) -> list[str]:
    """All addresses of a path, one for each thing that there is."""
    values = {
        "{job_id}": marked.jobs,
        "{name}": ("1-nobody.zip",),
        "{queue}": tuple(QUEUES),
        "{subject}": ("errors",),
        "{student_id}": (STUDENT,),
        "{view_id}": ("0" * 32,),
        "{digest_id}": ("0" * 32,),
        # What is no dead letter is asked for once in each queue.
        "{task_id}": (
            *(marked.tasks[:1] if "/dead-letters/" in path else marked.tasks),
            "buried",
            "buried-too",
        ),
        "{course}": ("c-1",),
        "{next_course}": ("c-1",),
        "{group}": ("g-1",),
        "{other_group}": ("g-1",),
        "{student}": (STUDENT, RESTRICTED),
        "{goal}": ("nothing",),
        "{point}": ("nothing",),
        "{label}": ("Student", "ErrorRecord", "KnowledgePoint"),
        "{node}": (f"Student:{STUDENT}", f"Student:{RESTRICTED}", "Course:c-1"),
        "{other}": ("Course:c-1",),
        "{of}": ("course",),
        "{id}": ("nothing",),
        "{to}": ("nothing-else",),
    }
    addresses = [path]
    for name in re.findall(r"{\w+}", path):
        addresses = [
            address.replace(name, value) for address in addresses for value in values[name]
        ]
    return addresses


def hits_of(
    marked: Marked,
    client: httpx.Client,
    marks: tuple[str, ...] = MARKS,
    *,
    only: tuple[str, ...] = (),
) -> dict[str, str]:
    """Call every operation (or `only` those of these methods) on everything, and return what shows a mark."""
    hits = {}
    for method, path in operations_of(client):
        if only and method not in only:
            continue
        for address in addresses_of(marked, path):
            answer = client.request(method, address)
            tries = 1
            while answer.status_code == 503 and tries < 5:
                # A question that took too long under load is asked again, as the answer asks for.
                time.sleep(float(answer.headers["Retry-After"]))
                answer = client.request(method, address)
                tries += 1
            assert answer.status_code < 500, (method, address, answer.text)
            for shown in (answer.text, str(dict(answer.headers))):
                if any(mark in shown for mark in marks):
                    hits[f"{method} {path.partition('?')[0]}"] = shown
    return hits
