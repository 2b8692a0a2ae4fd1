"""Every request that the importer carries out for a caller names that caller, and no other route forgets it."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from edugraph_common.contracts import messages
from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.messages import (
    ChooseQuestion,
    ImportJob,
    ImportRights,
    Message,
    Requested,
    WriteDraft,
    person_mark,
)
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.contracts.wordings import AskableQuestion, NamedThing, WordsBasis
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.model_permits import permit_of
from edugraph_gateway.app import make_application
from edugraph_gateway.auth.admission import missing_scope
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.operations.dead_letter_operator import Replayed
from edugraph_gateway.operations.restriction import Restrictions
from edugraph_gateway.settings import GatewaySettings

ROW = {
    "type": "membership_record",
    "timestamp": "2026-01-01",
    "data": {"group_id": "8B", "teacher_id": "T1"},
}
LINE = json.dumps(ROW).encode() + b"\n"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
STORED = ImportJob(job_id="j1", records=(ROW,), rights=ImportRights(roster=True, client="office"))


class Ask(NamedTuple):
    """A request, and the message that the importer gets."""

    method: str
    path: str
    sent: type[Message]
    options: dict[str, Any] = {}


ASKS = (
    Ask("POST", "/v1/imports", ImportJob, {"json": {"records": [ROW]}}),
    Ask(
        "POST",
        "/v1/imports",
        ImportJob,
        {"content": LINE, "headers": {"Content-Type": "application/x-ndjson"}},
    ),
    Ask("POST", "/v1/imports", ImportJob, {"json": {"url": "OUTSIDE"}}),
    Ask("POST", "/v1/jobs/j1/undo", messages.UndoImport),
    Ask("POST", "/v1/graph/verify", messages.DeriveGraph),
    Ask("POST", "/v1/graph/rebuild", messages.DeriveGraph),
    Ask("POST", "/v1/graph/remove?of=course&id=c", messages.RemoveFromGraph),
    Ask("POST", "/v1/graph/rename?of=group&id=a&to=b", messages.RenameInGraph),
    Ask("POST", "/v1/analyses/again?course=c", messages.ReadAgain),
    Ask("POST", "/v1/analyses/again/estimate?course=c", messages.ReadAgain),
    Ask("DELETE", "/v1/students/s1", messages.ErasePerson),
    Ask("POST", "/v1/erasures/replay", messages.ReplayErasures),
)


class Sent:
    """The parts of a gateway that write, which keep what they are given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.owners: list[tuple[str, str]] = []
        self.replayed: list[Any] = []

    def note(self, task_id: str, owner: str) -> None:
        self.owners.append((task_id, owner))

    async def send(self, _name: str, message: Message, **_: Any) -> None:
        self.messages.append(message)

    async def send_task(self, task: Any, _owner: str) -> Accepted:
        await self.send(task.name, task.message)
        return Accepted(job_id=task.message.job_id, task_id="t", links={})

    async def submit(self, submission: Any, owner: str) -> Accepted:
        for task in submission.tasks:
            await self.send_task(task, owner)
        return Accepted(job_id=submission.job_id, task_id="t", links={})

    def replay(self, queue: str, task_id: str, person: Any = None) -> Replayed:
        self.replayed.append((queue, task_id, person))
        return Replayed()

    def replay_all(self, queue: str, limit: int, _rate: float, person: Any = None) -> Replayed:
        self.replayed.append((queue, limit, person))
        return Replayed()


def application(
    folder: Path,
    sent: Sent,
    caller: Caller,
    permit: tuple[Caller, str, str] | None = None,
    *,
    draft_permit: str = "",
    audit: Any = None,
) -> FastAPI:
    """Return a gateway without servers, which everybody asks as this caller.

    `permit` is the only permit of an action, and `draft_permit` that of a draft.
    """
    settings = {
        "broker_url": "amqp://127.0.0.1:1//",
        "redis_url": "redis://127.0.0.1:1/0",
        "blob_url": str(folder / "blobs"),
        "imports_from": f"file://{folder}",
    }
    gateway: Any = open_gateway(GatewaySettings.model_validate(settings), now=lambda: NOW)
    report = JobReport(
        job_id="j1", kind="import", state="failed", source="x", created=NOW, updated=NOW
    )
    jobs = SimpleNamespace(
        report=lambda *_: report,
        tasks=lambda _: json.dumps(
            [["import_records_with_callback", STORED.model_dump(mode="json"), "t"]]
        ),
        resume=lambda *_: 2,
        first_open_batch=lambda _: 0,
    )

    async def answers() -> bool:
        return True

    noted: Any = sent
    submitter = dataclasses.replace(
        gateway.intake.submitter, jobs=jobs, publisher=sent, task_owners=noted
    )
    for name in ("send_task", "submit"):
        object.__setattr__(submitter, name, getattr(sent, name))
    intake = dataclasses.replace(
        gateway.intake,
        submitter=submitter,
        backpressure=SimpleNamespace(check=lambda *_: None),
        acceptance_numbers=SimpleNamespace(take=lambda: 1),
        sources=SimpleNamespace(
            use=lambda *_, **__: None,
            choose=lambda *_, **__: None,
            analysed_by=lambda *_, **__: ("default",),
        ),
        action_permits=SimpleNamespace(has=lambda *asked: asked == permit),
        model_permits=SimpleNamespace(holds=lambda asked: asked == draft_permit),
        upload_slots=dataclasses.replace(gateway.intake.upload_slots, broker_answers=answers),
    )

    async def admit(*_: Any) -> Caller:
        return caller

    gateway = dataclasses.replace(
        gateway,
        jobs=jobs,
        intake=intake,
        dead_letters=sent,
        restrictions=Restrictions(frozenset),
        audit=audit or SimpleNamespace(record=lambda *_, **__: None),
        admission=SimpleNamespace(admit=admit),
    )
    return make_application(gateway)


@pytest.fixture(params=["T1", None])
def caller(request: pytest.FixtureRequest) -> Caller:
    return Caller("k1", SCOPES, person=request.param)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def app(tmp_path: Path, sent: Sent, caller: Caller) -> FastAPI:
    (tmp_path / "outside.ndjson").write_bytes(LINE)
    return application(tmp_path, sent, caller)


async def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)


def subclasses(of: type[Any]) -> set[type[Any]]:
    found = set(of.__subclasses__())
    for each in of.__subclasses__():
        found |= subclasses(each)
    return found


def test_the_table_has_each_message_that_names_its_caller() -> None:
    requested = {each for each in subclasses(Requested) if issubclass(each, Message)}
    imported = {
        each
        for each in subclasses(Message)
        if each.__module__ == messages.__name__ and "rights" in each.model_fields
    }
    assert {each.sent for each in ASKS} >= requested
    # The importer makes the two others from an ImportJob.
    assert imported == {ImportJob, messages.SplitSource, messages.ImportBatch}


@pytest.mark.parametrize("wanted", ASKS, ids=[f"{each.method} {each.path}" for each in ASKS])
def test_a_request_names_the_caller(
    app: FastAPI, sent: Sent, caller: Caller, tmp_path: Path, wanted: Ask
) -> None:
    """Out: `requested_by` in any route, or a field of it."""
    options = wanted.options
    if "json" in options and "url" in options["json"]:
        options = {"json": {"url": f"file://{tmp_path}/outside.ndjson"}}
    answer = asyncio.run(ask(app, wanted.method, wanted.path, **options))
    assert answer.status_code == 202, answer.text
    [message] = sent.messages
    assert type(message) is wanted.sent
    requested = message.rights if isinstance(message, ImportJob) else message
    assert isinstance(requested, Requested)
    mark = person_mark(message.job_id, caller.person) if caller.person else None
    assert (requested.client, requested.person, requested.resumed_by) == ("k1", mark, ())


@pytest.mark.parametrize("scopes", [("submit",), ("roster",), ("submit", "roster")])
def test_an_import_has_the_rights_of_its_caller(
    tmp_path: Path, sent: Sent, scopes: tuple[Any, ...]
) -> None:
    """Out: `learning` or `roster` in `rights_of`."""
    app = application(tmp_path, sent, Caller("k1", scopes))
    (tmp_path / "outside.ndjson").write_bytes(LINE)
    for options in (
        ASKS[0].options,
        ASKS[1].options,
        {"json": {"url": f"file://{tmp_path}/outside.ndjson"}},
    ):
        assert asyncio.run(ask(app, "POST", "/v1/imports", **options)).status_code == 202
    for message in sent.messages:
        assert isinstance(message, ImportJob)
        rights = message.rights
        assert (rights.learning, rights.roster) == ("submit" in scopes, "roster" in scopes)
    assert len(sent.messages) == 3


def test_a_resumed_import_has_the_mark_of_who_resumed_it(
    app: FastAPI, sent: Sent, caller: Caller
) -> None:
    """Out: `caller.person` in the route, or `person` in `resume`. The rights stay those of the one who imported."""
    answer = asyncio.run(ask(app, "POST", "/v1/jobs/j1/resume"))
    assert answer.status_code == 200, answer.text
    [message] = sent.messages
    assert isinstance(message, ImportJob)
    marks = (person_mark("j1", caller.person),) if caller.person else ()
    assert message.rights == STORED.rights.model_copy(update={"resumed_by": marks})


def test_letters_that_are_sent_again_are_given_the_person(
    app: FastAPI, sent: Sent, caller: Caller
) -> None:
    """Out: `caller.person` in either route."""
    for path in ("/v1/dead-letters/data_import/t1/replay", "/v1/dead-letters/data_import/replay"):
        assert asyncio.run(ask(app, "POST", path)).status_code == 200
    assert sent.replayed == [
        ("data_import", "t1", caller.person),
        ("data_import", 100, caller.person),
    ]


ACTION = {"student_id": "s1", "course_id": "math", "spoken": True, "text": "Homework"}
TEACHER = Caller("k1", ("read:own",), ("teacher",), "T1")


def test_the_author_of_an_action_is_the_caller(tmp_path: Path, sent: Sent) -> None:
    """Out: `teacher_id` in `_record`, a field of the rights, or the model of the request, which knows no author."""
    app = application(tmp_path, sent, TEACHER, (TEACHER, "s1", "math"))
    answer = asyncio.run(ask(app, "POST", "/v1/actions", json=ACTION))
    assert answer.status_code == 202, answer.text
    [message] = sent.messages
    assert isinstance(message, ImportJob)
    rights = message.rights
    assert (rights.learning, rights.roster, rights.operate, rights.acts) == (
        False,
        False,
        False,
        True,
    )
    assert (rights.client, rights.source) == ("k1", "page-actions")
    [record] = message.records or ()
    assert record["data"] == {**ACTION, "teacher_id": "T1"}
    assert record["timestamp"] == "2026-03-02T00:00:00.000000Z"
    for more in ({"teacher_id": "T2"}, {"timestamp": "2026-01-01"}, {"record_id": "x"}):
        answer = asyncio.run(ask(app, "POST", "/v1/actions", json=ACTION | more))
        assert answer.status_code == 422, answer.text
    assert len(sent.messages) == 1


@pytest.mark.parametrize(
    ("caller", "permit"),
    [
        (TEACHER, None),
        (TEACHER, (TEACHER, "s2", "math")),
        (TEACHER, (TEACHER, "s1", "physics")),
        (TEACHER, (Caller("k2", ("read:own",), ("teacher",), "T1"), "s1", "math")),
        (Caller("k1", SCOPES, ("teacher", "head")), (Caller("k1", SCOPES, ("teacher", "head")), "s1", "math")),
    ],
    ids=["none", "another student", "another course", "another caller", "no person"],
)  # fmt: skip
def test_no_action_is_taken_without_a_permit(
    tmp_path: Path, sent: Sent, caller: Caller, permit: Any
) -> None:
    """Out: the question to the permits, or the one about the person, in `_author`."""
    app = application(tmp_path, sent, caller, permit)
    answer = asyncio.run(ask(app, "POST", "/v1/actions", json=ACTION))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "rows")
    assert sent.messages == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"spoken": False, "text": " "},
        {"text": "x" * 2_001},
        {"not_until": "2026-02-30"},
        {"not_until": "2026-03-02T00:00:00Z"},
        {"student_id": ""},
    ],
    ids=str,
)
def test_an_action_that_says_nothing_or_too_much_is_refused(
    tmp_path: Path, sent: Sent, wrong: dict[str, Any]
) -> None:
    app = application(tmp_path, sent, TEACHER, (TEACHER, "s1", "math"))
    answer = asyncio.run(ask(app, "POST", "/v1/actions", json=ACTION | wrong))
    assert answer.status_code == 422, answer.text
    assert sent.messages == []


READER = Caller("k1", ("read:own", "personal"), ("teacher",), "T1")
BASIS = DraftBasis.model_validate(
    {
        "kind": "feedback",
        "course_id": "math",
        "students": [{"student_id": "s1", "name": "Anna"}],
        "records": [
            {
                "number": 1,
                "record_id": "r1",
                "student_id": "s1",
                "at": "2026-01-05",
                "text": "2/5",
            }
        ],
    }
)


@pytest.mark.parametrize(
    ("kind", "of"), [("feedback", ("student", "s1")), ("summary", ("course", "math"))]
)
def test_a_permitted_draft_is_asked_of_the_analyzer_and_noted(
    tmp_path: Path, sent: Sent, kind: str, of: tuple[str, str]
) -> None:
    """Out: `_note`, the deadline, or the permit in the message."""
    basis = BASIS.model_copy(update={"kind": kind})
    noted: list[Any] = []
    audit = SimpleNamespace(
        record=lambda who, action, what, *_, **more: noted.append((who, action, what, more["of"]))
    )
    permit = permit_of(READER, basis)
    app = application(tmp_path, sent, READER, draft_permit=permit, audit=audit)
    answer = asyncio.run(ask(app, "POST", "/v1/drafts", json=basis.model_dump(mode="json")))
    assert answer.status_code == 202, answer.text
    [message] = sent.messages
    assert isinstance(message, WriteDraft)
    assert (message.basis, message.permit) == (basis, permit)
    assert message.deadline == NOW.timestamp() + 300
    assert noted == [("k1", "draft.ask", kind, of)]


@pytest.mark.parametrize(
    ("caller", "change", "reason"),
    [
        (READER, {"course_id": "physics"}, "rows"),
        (READER, {"records": [{**BASIS.records[0].model_dump(), "text": "my own words"}]}, "rows"),
        (Caller("k2", READER.scopes, READER.roles, "T1"), {}, "rows"),
        (Caller("k1", READER.scopes, READER.roles, "T2"), {}, "rows"),
        (Caller("k1", ("read:own",), ("teacher",), "T1"), {}, "scope"),
        (Caller("k1", ("personal",), ("teacher",), "T1"), {}, "scope"),
    ],
    ids=["another course", "another text", "another key", "another person", "not personal", "no reader"],
)  # fmt: skip
def test_no_draft_is_asked_for_without_a_permit_for_these_very_records(
    tmp_path: Path, sent: Sent, caller: Caller, change: dict[str, Any], reason: str
) -> None:
    """Out: the question to the permits; the client, the person or the basis in the key; the scope in the route."""
    permit = permit_of(READER, BASIS)
    app = application(tmp_path, sent, caller, draft_permit=permit)
    # The double of the admission lets everybody in.
    app.state.gateway = dataclasses.replace(
        app.state.gateway, admission=SimpleNamespace(admit=partial(admitted, caller))
    )
    body = BASIS.model_dump(mode="json") | change
    answer = asyncio.run(ask(app, "POST", "/v1/drafts", json=body))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, reason)
    assert sent.messages == []


WORDS = WordsBasis(
    text="How is <s1>?",
    today="2026-11-11",
    course_ids=("math",),
    student_ids=("s1",),
    named=(NamedThing(mark="s1"),),
    questions=(AskableQuestion(name="student", title="One student", parameters=()),),
)


def test_a_permitted_text_is_given_to_the_analyzer(tmp_path: Path, sent: Sent) -> None:
    """Out: the deadline, or the permit in the message."""
    permit = permit_of(READER, WORDS)
    app = application(tmp_path, sent, READER, draft_permit=permit)
    answer = asyncio.run(ask(app, "POST", "/v1/questions", json=WORDS.model_dump(mode="json")))
    assert answer.status_code == 202, answer.text
    [message] = sent.messages
    assert isinstance(message, ChooseQuestion)
    assert (message.basis, message.permit) == (WORDS, permit)
    assert message.deadline == NOW.timestamp() + 60


@pytest.mark.parametrize(
    ("caller", "change", "reason"),
    [
        (READER, {"text": "How is Anna Keller?"}, "rows"),
        (READER, {"questions": [{"name": "roster", "title": "t", "parameters": []}]}, "rows"),
        (Caller("k2", READER.scopes, READER.roles, "T1"), {}, "rows"),
        (Caller("k1", READER.scopes, READER.roles, "T2"), {}, "rows"),
        (Caller("k1", ("submit",), ("teacher",), "T1"), {}, "scope"),
    ],
    ids=["another text", "another question", "another key", "another person", "no reader"],
)  # fmt: skip
def test_no_text_is_given_to_the_analyzer_that_insights_did_not_mark(
    tmp_path: Path, sent: Sent, caller: Caller, change: dict[str, Any], reason: str
) -> None:
    """Out: the question to the permits; the scope in the route."""
    app = application(tmp_path, sent, caller, draft_permit=permit_of(READER, WORDS))
    # The double of the admission lets everybody in.
    app.state.gateway = dataclasses.replace(
        app.state.gateway, admission=SimpleNamespace(admit=partial(admitted, caller))
    )
    body = WORDS.model_dump(mode="json") | change
    answer = asyncio.run(ask(app, "POST", "/v1/questions", json=body))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, reason)
    assert sent.messages == []


async def admitted(caller: Caller, _token: str, *any_of: Any) -> Caller:
    if not caller.may(*any_of):
        raise missing_scope(caller, *any_of)
    return caller


def test_who_asks_for_an_estimate_may_read_what_analyzers_answer(
    app: FastAPI, sent: Sent, caller: Caller
) -> None:
    """Out: `note_estimates`. The texts are those of the caller's sources, which `analysed_by` names."""
    answer = asyncio.run(ask(app, "POST", "/v1/analyses/again/estimate?course=c"))
    job_id = answer.json()["job_id"]
    kinds = ("interaction", "error", "knowledge_points")
    expected = [(task_id_for(job_id, f"estimate-{kind}"), caller.client_id) for kind in kinds]
    assert sent.owners == expected
    [message] = sent.messages
    assert isinstance(message, messages.ReadAgain)
    assert (message.estimate, message.sources) == (True, ("default",))
