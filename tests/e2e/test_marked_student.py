"""One marked student goes through every path into the real system, in random orders, and is erased.

What is searched afterwards: all keys of Redis by their type, all blobs unpacked and decoded, all properties of the
graph, all messages of all queues, all logs. A place that the registry of personal data does not list fails the test;
so does one that still names the student, and a graph that differs from one which never had them.
"""

import asyncio
import base64
import csv
import gzip
import io
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pika
import pytest
from beside import Silent, http_server
from engines import SLOW, System
from every_store import Ground, found
from mcp.client import Client as Agent
from mcp.client.streamable_http import streamable_http_client
from waiting import until

from edugraph_cli.processes import Processes
from edugraph_client import FileSource, Refused
from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.reviews import text_hash
from edugraph_common.runtime.shared_state.digests import Digests, DigestSubscription
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.saved_views import SavedView, SavedViews, ViewState
from edugraph_common.runtime.shared_state.sessions import Session, Sessions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
SEEDS = range(10 if SLOW else 1)
DAY = "2026-03-01T10:00:00Z"
PLATFORM = "https://lms.example"  # of which the settings say nothing, so its ids hold its address
MAPPING = """
type: error_record
columns: {学号: student_id, 姓名: student_name, 课程: course_id, 错误: error_text, 编号: record_id}
constants: {timestamp: "2026-03-01T10:00:00Z"}
"""
OF_ATTEMPTS = """
type: attempt_record
columns: {who: student_id, name: student_name, item: item_id, answer: response, right: correct}
constants: {timestamp: "2026-03-01T10:00:00Z", course_id: c}
"""


class Marked:
    """A student whose id, name and texts occur nowhere else; `rows` of each source, with and without them."""

    def __init__(self, seed: int) -> None:
        self.id = f"mk{seed}q{uuid4().hex[:8]}"
        self.name, self.text = f"Zephyrine Quar{self.id}", f"蓝鲸的秘密{self.id}"
        self.words = (self.id, self.name, self.text)

    def record(self, number: int, student: str | None = None) -> dict[str, Any]:
        who = student or self.id
        data: dict[str, Any] = {
            "student_id": who,
            "course_id": "c",
            "error_text": f"{self.text if not student else 'x'} {number}",
        }
        data |= {
            "error_type": f"type {number % 3}",
            "student_name": self.name if not student else f"Name {who}",
        }
        return {
            "type": "error_record",
            "timestamp": DAY,
            "record_id": f"{who}-{number}",
            "data": data,
        }

    def chat(self, number: int, other: str) -> dict[str, Any]:
        data: dict[str, Any] = {
            "student_id_from": self.id,
            "student_id_to": other,
            "interaction_type": "chat",
            "text": self.text,
        }
        data |= {"student_name_from": self.name, "topics": [f"topic {number}", "shared"]}
        return {
            "type": "student_interaction",
            "timestamp": DAY,
            "record_id": f"chat-{number}",
            "data": data,
        }

    def post(self, number: int) -> dict[str, Any]:
        data = {
            "student_id": self.id,
            "student_name": self.name,
            "title": self.name,
            "text": self.text,
        }
        data |= {"course_id": "c", "thread_id": "t"}
        return {
            "type": "post_record",
            "timestamp": DAY,
            "record_id": f"post-{number}",
            "data": data,
        }


def answer(number: int) -> dict[str, Any]:
    """Return the answer of another student to the post of this number."""
    data = {
        "student_id": "other-1",
        "course_id": "c",
        "thread_id": "t",
        "text": "Me too.",
        "reply_to": f"post-{number}",
    }
    return {"type": "post_record", "timestamp": DAY, "record_id": f"answer-{number}", "data": data}


def statement(student: str, text: str) -> dict[str, Any]:
    return {
        "id": f"0190a1b2-0000-7000-8000-{abs(hash(student)) % 10**12:012d}",
        "actor": {"account": {"homePage": PLATFORM, "name": student}, "name": text},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/commented"},
        "object": {"objectType": "Agent", "account": {"homePage": PLATFORM, "name": "other"}},
        "result": {"response": text},
        "timestamp": DAY,
    }


def event(user: str, name: str, text: str) -> dict[str, Any]:
    event = {
        "name": name,
        "time": DAY,
        "username": user,
        "context": {"course_id": "course-v1:a+b+c", "user_id": user},
    }
    return {**event, "event_type": name, "event": {"body": text}, "data": {"body": text}}


def table(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["学号", "姓名", "课程", "错误", "编号"])
    fields = ("student_id", "student_name", "course_id", "error_text")
    writer.writerows([*(row["data"][field] for field in fields), row["record_id"]] for row in rows)
    return out.getvalue()


Source = tuple[str, Callable[[bool], bytes], FileSource]


def sources(marked: Marked) -> list[Source]:  # noqa: C901 - one small function for each format
    """Of each file: its name, its content with or without the student, and how it is sent."""

    def rows(first: int, with_them: bool) -> list[dict[str, Any]]:
        others = [
            marked.record(number, f"other-{number % 5}") for number in range(first, first + 6)
        ]
        others.append(answer(first))
        theirs = (
            [marked.record(first + 50), marked.chat(first, "other-1"), marked.post(first)]
            if with_them
            else []
        )
        return [*others[:3], *theirs, *others[3:]]

    def lines(first: int, *, escaped: bool = False, wrong: bool = False) -> Callable[[bool], bytes]:
        def content(with_them: bool) -> bytes:
            given = rows(first, with_them)
            if with_them and wrong:
                given += [{**marked.record(first + 60), "timestamp": "no time"}]
            return "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in given).encode()

        return content

    def cells(first: int, encoding: str) -> Callable[[bool], bytes]:
        def content(with_them: bool) -> bytes:
            return table(
                [row for row in rows(first, with_them) if row["type"] == "error_record"]
            ).encode(encoding)

        return content

    def attempts(with_them: bool) -> bytes:
        out = io.StringIO()
        rows = [
            ("other-1", "Name other-1", "i", "x", "true"),
            ("other-2", "Name other-2", "i", "y", "false"),
        ]
        theirs = [
            (marked.id, marked.name, "i", marked.text, "false"),
            (marked.id, marked.name, "j", "", "no answer"),
        ]
        csv.writer(out).writerows(
            [("who", "name", "item", "answer", "right"), *rows, *(theirs if with_them else [])]
        )
        return out.getvalue().encode()

    def packed(
        pack: Callable[[bytes], bytes], content: Callable[[bool], bytes]
    ) -> Callable[[bool], bytes]:
        return lambda with_them: pack(content(with_them))

    def array(with_them: bool) -> bytes:
        given = [
            statement("a", "hello"),
            *([statement(marked.id, marked.text)] if with_them else []),
        ]
        return json.dumps([*given, statement("b", "there")], indent=1).encode()

    def log(with_them: bool) -> bytes:
        given = [
            event("77", "play_video", "x"),
            event("78", "edx.forum.comment.created", "said by 78"),
        ]
        if with_them:
            given += [
                event(marked.id, "play_video", ""),
                event(marked.id, "edx.forum.comment.created", marked.text),
            ]
        return "".join(json.dumps(each) + "\n" for each in given).encode()

    named = {
        "plain.ndjson": (lines(0, wrong=True), FileSource("ndjson")),
        "escaped.ndjson": (lines(100, escaped=True), FileSource("ndjson")),
        "utf8.csv": (cells(200, "utf-8-sig"), FileSource("csv", mapping=MAPPING)),
        "gb.csv": (
            cells(300, "gb18030"),
            FileSource("csv", mapping=MAPPING + "encoding: gb18030\n"),
        ),
        "utf16.csv": (cells(400, "utf-16"), FileSource("csv", mapping=MAPPING)),
        "attempts.csv": (attempts, FileSource("csv", mapping=OF_ATTEMPTS)),
        "array.json": (array, FileSource("xapi")),
        "tracking.log": (log, FileSource("openedx")),
        "packed.ndjson.gz": (packed(gzip.compress, lines(500)), FileSource("ndjson", "gzip")),
        "packed.ndjson.zst": (packed(zstd.compress, lines(600)), FileSource("ndjson", "zstd")),
    }
    return [(name, content, source) for name, (content, source) in named.items()]


def erase(ground: Ground, marked: Marked) -> None:
    accepted = ground.system.client.forget(marked.id, [f"{PLATFORM}|{marked.id}"], block=True)
    task = ground.system.client.follow_task(accepted.task_id)
    assert task["state"] == "SUCCESS", task
    assert task["result"]["known"]


def bury(ground: Ground, marked: Marked) -> None:
    """A message that no worker takes, with records of the student and of somebody else."""
    records = (marked.record(900), marked.record(901, "other-1"))
    message = ImportBatch(job_id=f"buried-{uuid4().hex[:8]}", batch=0, records=records).model_dump(
        mode="json"
    )
    body = json.dumps([[{**message, "version": 9}], {}, {}]).encode()
    headers = {
        "task": "import_batch_task",
        "id": uuid4().hex,
        "lang": "py",
        "argsrepr": "",
        "kwargsrepr": "",
    }
    with ground.broker() as channel:
        before = ground.dead()
        properties = pika.BasicProperties("application/json", "utf-8", headers=headers)
        channel.basic_publish("edugraph.tasks", "import.batch", body, properties)
        until(lambda: ground.dead() > before, 60)


def cancel_and_resume(ground: Ground, job_id: str) -> str:
    """A job that has ended before it could be cancelled is left as it is."""
    with suppress(Refused):
        ground.system.client.cancel(job_id)
        ground.system.client.resume(job_id)
    return job_id


def export(ground: Ground, marked: Marked) -> None:
    """Have a ZIP of the student made, which nobody fetches."""
    task = ground.system.client.follow_task(ground.system.client.export_person(marked.id).task_id)
    assert task["state"] == "SUCCESS", task


def save_a_view(ground: Ground, marked: Marked) -> None:
    """As a teacher does who has looked at the student."""
    views = SavedViews(
        connect(ground.system.engine.environment["EDUGRAPH_REDIS_URL"]), timedelta(days=1)
    )
    for number, values in enumerate(
        ({"student": marked.id}, {"node": f"Student:{marked.id}"}, {"find": marked.id})
    ):
        view = SavedView(
            name=f"view {number}", state=ViewState(kind="page", name="student", values=values)
        )
        views.add("teacher", str(number), view)


def subscribe_to_a_mail(ground: Ground, marked: Marked) -> None:
    """As a student does who also teaches a course."""
    client = connect(ground.system.engine.environment["EDUGRAPH_REDIS_URL"])
    digest = DigestSubscription(
        person=marked.id, course="c", address="marked@school.example", since=datetime.now(UTC)
    )
    Digests(client, timedelta(days=1)).keep("student", uuid4().hex, digest)


def sign_in(ground: Ground, marked: Marked) -> None:
    """As the student does on the page; insights keeps who they are, and the issuer's token with all that is in it."""
    now = datetime.now(UTC)
    claims = base64.urlsafe_b64encode(
        json.dumps({"name": marked.name, "school_id": marked.id}).encode()
    ).decode()
    session = Session(
        client_id=f"oidc:{uuid4()}",
        name=marked.name,
        ends=now + timedelta(hours=2),
        renewed=now,
        access_token=f"e30.{claims}.x",
        id_token=f"e30.{claims}.x",
    )
    Sessions(connect(ground.system.engine.environment["EDUGRAPH_REDIS_URL"])).begin(session, now)


def ask_agent(ground: Ground, *calls: tuple[str, dict[str, str]]) -> list[str]:
    """Ask questions with these parameters as an agent does, over MCP."""

    async def talk() -> list[str]:
        async with Agent(streamable_http_client(f"{ground.system.insights}/mcp")) as client:
            answers = []
            for question, parameters in calls:
                asked = {"question": question, "parameters": parameters, "texts": True}
                answers.append(str(await client.call_tool("ask", asked)))
            return answers

    return asyncio.run(talk())


def review(ground: Ground, record: dict[str, Any]) -> None:
    """Say something of what was found in a record of the student."""
    said = {
        "record_id": record["record_id"],
        "text_hash": text_hash(parse_record(record)),
        "by": "reviewer",
    }
    about = {
        "aspect": "error_type",
        "target": record["data"]["error_type"],
        "verdict": "rejected",
        "at": DAY,
    }
    accepted = ground.system.client.review([{"kind": "finding", **said, **about}])
    assert ground.system.client.follow_task(accepted.task_id)["state"] == "SUCCESS"


def look(ground: Ground, marked: Marked) -> None:
    """Read in every way in which the student may be shown; none of them may leave anything anywhere."""
    client = ground.system.client
    for question, about in (
        ("roster", {}),
        ("records", {}),
        ("records", {"kind": "posts"}),
        ("ties", {}),
        ("attention", {}),
        ("student", {"student": marked.id}),
    ):
        with suppress(Refused):  # the course or the student is not there
            client.ask(question, course="c", **about)
    for stream in (client.export_graph, client.reviews):
        with stream() as lines:
            list(lines)
    node = f"Student:{marked.id}"
    for query in ("node", "neighbours", "subgraph", "statistics"):
        asked = httpx.get(
            f"{ground.system.insights}/v1/graph/{query}", params={"node": node, "course": "c"}
        )
        assert asked.status_code in {200, 404, 422}, asked.text
    answers = ask_agent(
        ground,
        ("student", {"course": "c", "student": marked.id}),
        ("review-queue", {"course": "c"}),
        ("graph-node", {"node": node}),
        ("graph-statistics", {"course": "c"}),
    )
    assert len(answers) == 4
    row = json.dumps(marked.record(702)).encode() + b"\n"
    binary = {"Content-Type": "application/octet-stream"}
    previewed = httpx.post(
        f"{ground.system.url}/v1/imports/preview?name=x.ndjson", content=row, headers=binary
    )
    assert previewed.is_success, previewed.text


@pytest.fixture
def ground(clean: System, tmp_path: Path) -> Iterator[Ground]:
    """With a webhook that is told of everything."""
    told = list[bytes]()

    class Handler(Silent):
        def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
            told.append(
                str(self.headers).encode() + self.rfile.read(int(self.headers["Content-Length"]))
            )
            self.send_response(204)
            self.end_headers()

    with http_server(Handler) as url:
        own = {"EDUGRAPH_WEBHOOK_URL": url, "EDUGRAPH_WEBHOOK_SECRET": f"whsec_{'A' * 32}"}
        processes = Processes(
            logs=tmp_path / "logs", environment={**clean.engine.environment, **own}
        )
        try:
            processes.start(
                "webhooks",
                [sys.executable, "-c", "from edugraph_gateway.webhooks import main; main()"],
            )
            processes.wait_until(
                "webhooks", lambda: processes.log_has("webhooks", "webhooks_ready")
            )
            yield Ground(clean, told)
        finally:
            processes.stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_an_erased_student_is_left_anywhere(
    ground: Ground, tmp_path: Path, seed: int
) -> None:
    """To take a guard out: leave out an eraser in Erasure._clean, or `cleared` in Importer.write_batch."""
    order, marked, client = random.Random(seed), Marked(seed), ground.system.client
    files = sources(marked)
    save_a_view(ground, marked)
    subscribe_to_a_mail(ground, marked)
    sign_in(ground, marked)
    small = [
        marked.record(700),
        marked.record(701, "other-2"),
        {"type": "none", "data": {"student_id": marked.id}},
    ]
    large = [*small, *(marked.record(number, "other-3") for number in range(1_000, 1_300))]

    def send_file(source: Source, *, with_them: bool) -> str:
        path = tmp_path / source[0]
        path.write_bytes(source[1](with_them))
        return client.import_file(path, batch_size=4, analyze=True, source=source[2]).job_id

    erased = False

    def send_small() -> str:
        job_id = client.import_records(small, analyze=True).job_id
        if not erased:  # later the record is refused, and a review would be of one that never came
            ground.follow(job_id)
            review(ground, small[0])
        return job_id

    def erase_first() -> None:
        nonlocal erased
        erased = True
        erase(ground, marked)

    steps: list[Callable[[], Any]] = [
        *(lambda each=each: send_file(each, with_them=True) for each in files),
        send_small,
        lambda: look(ground, marked),
        lambda: client.import_records(large, analyze=True).job_id,
        lambda: cancel_and_resume(ground, client.import_records(large, analyze=True).job_id),
        lambda: (
            client.analyze("errors", [marked.record(800), marked.record(801, "other-4")]).job_id
        ),
        lambda: bury(ground, marked),
        lambda: export(ground, marked),
    ]
    steps += order.sample(steps[: len(files)], 2)  # the same file again
    order.shuffle(steps)
    erased_at = order.randrange(len(steps) + 1)
    steps.insert(erased_at, erase_first)
    jobs = list[str]()
    for step in steps:
        job_id = step()
        jobs += [job_id] if job_id else []
        if order.random() < 0.5:
            for each in jobs:
                ground.follow(each)
    for each in jobs:
        ground.follow(each)
    ground.clean()
    if again := order.random() < 0.5:
        erase(ground, marked)

    until(lambda: ground.told, 30)
    unlisted, hits = found(ground, marked.words)
    assert unlisted == set()
    # A letter that dies after the erasure keeps its records until the next one: the registry says so.
    left = [hit for hit in hits if "data_import.dead" in hit and not again]
    # The session of the student is still there, and shows nothing of them: it is encrypted.
    assert [hit for hit in hits if hit not in left] == [], (seed, erased_at)
    digest = client.graph_digest()
    assert digest == without(
        ground, files, (small, large), marked.record(801, "other-4"), tmp_path
    ), (
        seed,
        erased_at,
    )


def without(
    ground: Ground,
    files: list[Source],
    bodies: tuple[list[Any], ...],
    analysed: dict[str, Any],
    folder: Path,
) -> str:
    """The digest of a graph that never had the student."""
    ground.system.engine.empty()
    client = ground.system.client
    jobs = []
    for name, content, source in files:
        (folder / name).write_bytes(content(False))
        jobs.append(
            client.import_file(folder / name, batch_size=4, analyze=True, source=source).job_id
        )
    others = [[row for row in body if "other" in str(row)] for body in bodies]
    jobs += [client.import_records(body, analyze=True).job_id for body in others]
    jobs.append(client.analyze("errors", [analysed]).job_id)
    for each in jobs:
        ground.follow(each)
    return client.graph_digest()
