"""The receiver of xAPI statements behind a real gateway, and the client `tincan` as senders use it."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import tincan
from gateway_alone import (
    XAPI_VERSION,
    Gateway,
    XapiSender,
    api_key,
    gateway,
    virtual_host,
)
from service_settings import settings_from
from waiting import until

from edugraph_common.runtime.messaging.packed_rows import unpack_rows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.live_counts import LiveCounts
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.recent_statements import (
    MOMENTS,
    MOST_BYTES,
    STATEMENTS,
    Moment,
    Recent,
    RecentStatements,
    packed_statement,
)
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry
from edugraph_gateway.operations.broker_figures import QueueFigures, look_by_management
from edugraph_gateway.operations.live_sources import LiveDays

pytestmark = pytest.mark.real
LMS = "https://lms.example"
# The folder into which npm installed @xapi/xapi.
NODE_MODULES = os.environ.get("XAPI_NODE_MODULES", "")
# The beginning of ten minutes in the future: Redis deletes a key whose end has passed.
NOW = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(
            addresses,
            tmp_path_factory.mktemp("xapi"),
            auth="on",
            xapi_origins=f"{LMS} http://localhost:3000",
            platform_prefixes=json.dumps({LMS: "lms:"}),
        ) as running,
    ):
        yield running


@pytest.fixture
def sender(guarded: Gateway) -> XapiSender:
    guarded.take("live_records")
    return XapiSender(guarded, "submit", "personal")


def statement(student: str = "ann", **more: Any) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": LMS, "name": student}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": f"{LMS}/q/1"},
        "result": {"success": True},
        "timestamp": "2026-09-21T09:00:00Z",
        **more,
    }


def sent_statements(guarded: Gateway) -> list[dict[str, Any]]:
    """Return the statements of all messages that wait for the importer, and take the messages away."""
    found = []
    for _, [args, _, _] in guarded.take("live_records"):
        for part in args[-1]["parts"]:
            # Out: `platform_key` in gateway.py.
            assert part["platforms"] == {"lms.example": "lms:"}
            for row in unpack_rows(part["packed"]):
                for student in row["students"]:
                    assert student["student_id"].startswith("lms:") or "@" in student["student_id"]
                found.append(row["data"])
    return found


def test_tincan_sends_reads_and_is_told_of_a_conflict(guarded: Gateway, sender: XapiSender) -> None:
    """Out: Basic, the answer of About, PUT, the list of ids, or GET by id."""
    store = tincan.RemoteLRS(
        endpoint=f"{guarded.url}/xapi/",
        version="1.0.1",
        username=sender.key_id,
        password=sender.secret,
    )
    about = store.about()
    assert about.success
    assert "1.0.3" in about.content.version

    said = tincan.Statement(
        actor=tincan.Agent(mbox="mailto:ann@school.example", name="Ann"),
        verb=tincan.Verb(id="http://adlnet.gov/expapi/verbs/passed"),
        object=tincan.Activity(id=f"{LMS}/q/7"),
        result=tincan.Result(success=True),
    )
    saved = store.save_statement(said)
    assert saved.success, saved.data
    many = [
        tincan.Statement(statement("ben", id=str(uuid4()))),
        tincan.Statement(statement("cem", timestamp="2026-09-21T09:10:00Z")),
    ]
    all_saved = store.save_statements(many)
    assert all_saved.success, all_saved.data
    found = store.retrieve_statement(many[0].id)
    assert found.success, found.data
    assert found.content.actor.account.name == "ben"
    sent = sent_statements(guarded)
    assert len(sent) == 3
    assert {each["actor"].get("mbox") or each["actor"]["account"]["name"] for each in sent} == {
        "mailto:ann@school.example",
        "ben",
        "cem",
    }
    # tincan sends a statement that has an id by PUT.
    other = tincan.Statement(statement("dan", id=str(many[0].id)))
    refused = store.save_statement(other)
    assert (refused.success, refused.response.status) == (False, 409)
    assert sent_statements(guarded) == []


@pytest.mark.skipif(not NODE_MODULES, reason="make xapi-js-test installs @xapi/xapi by npm")
def test_the_client_of_pages_sends_reads_and_is_told_of_a_conflict(
    guarded: Gateway, sender: XapiSender
) -> None:
    script = Path(__file__).with_name("xapi_client.js")
    done = subprocess.run(
        ["node", str(script), f"{guarded.url}/xapi/", sender.key_id, sender.secret],
        env={**os.environ, "NODE_PATH": NODE_MODULES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert "1.0.3" in answers["versions"]
    assert (answers["found"], answers["refused"]) == ("ben", 409)
    sent = sent_statements(guarded)
    assert [each["actor"]["name"] for each in sent] == ["ann", "ben", "cem"]
    assert [each["id"] for each in sent] == answers["ids"]


@pytest.mark.parametrize(
    ("version", "answered"),
    [
        ("1.0.3", "1.0.3"),
        ("1.0", "1.0.3"),
        ("1.0.1", "1.0.3"),
        ("2.0.0", "2.0.0"),
        ("2.0", "2.0.0"),
    ],
)
def test_both_versions_are_taken(sender: XapiSender, version: str, answered: str) -> None:
    headers = {**sender.bearer, "X-Experience-API-Version": version}
    answer = sender.request("POST", json=statement(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Experience-API-Version"] == answered
    [statement_id] = answer.json()
    found = sender.request("GET", params={"statementId": statement_id}, headers=headers)
    assert (found.status_code, found.json()["id"]) == (200, statement_id)


@pytest.mark.parametrize("version", [None, "", "0.95", "1.1.0", "3.0", "1.0.x", "é"])
def test_another_version_is_refused(sender: XapiSender, version: str | None) -> None:
    """Out: `check_version`. About needs no version."""
    headers: dict[str, Any] = dict(sender.bearer)
    if version is not None:
        headers["X-Experience-API-Version"] = version.encode()
    assert sender.request("POST", json=statement(), headers=headers).status_code == 400
    about = sender.request("GET", "/xapi/about", headers=headers)
    assert (about.status_code, about.json()) == (200, {"version": ["1.0.3", "2.0.0"]})
    assert about.headers["X-Experience-API-Version"] == "1.0.3"
    without_key = sender.request("GET", "/xapi/about", headers={})
    assert (without_key.status_code, without_key.json()) == (200, about.json())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_wrong_login_is_refused(sender: XapiSender, guarded: Gateway) -> None:
    right = basic(sender.key_id, sender.secret)
    wrong = (
        basic(sender.key_id, "0" * 64),
        basic("0" * 12, sender.secret),
        basic(sender.key_id, ""),
        basic(f"x_{sender.key_id}", sender.secret),
        "Basic é",
        "Basic " + "A" * 4_000,
        "Digest x",
        "",
    )
    for given in wrong:
        headers = {**XAPI_VERSION, "Authorization": given.encode()}
        answer = sender.request("POST", json=statement(), headers=headers)
        assert answer.status_code == 401, given
        assert answer.headers["X-Experience-API-Version"] == "1.0.3"
    headers = {**XAPI_VERSION, "Authorization": right}
    assert sender.request("POST", json=statement(), headers=headers).status_code == 200
    reader = api_key(guarded.environment, "read", "personal")
    answer = sender.request("POST", json=statement(), headers={**XAPI_VERSION, **reader})
    assert answer.status_code == 403
    # The key has no scope personal, so it sends and does not read.
    without = XapiSender(guarded, "submit")
    [statement_id] = without.request("POST", json=statement()).json()
    assert without.request("GET", params={"statementId": statement_id}).status_code == 403


def test_pages_of_listed_origins_send_and_others_do_not(sender: XapiSender) -> None:
    """Out: the middleware; its list."""
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type,x-experience-api-version",
    }
    for origin, is_listed in ((LMS, True), ("https://evil.example", False), ("null", False)):
        preflight = sender.request("OPTIONS", headers={**asked, "Origin": origin})
        assert (preflight.status_code == 200) == is_listed
        headers = {**sender.bearer, **XAPI_VERSION, "Origin": origin}
        sent = sender.request("POST", json=statement(), headers=headers)
        allowed = sent.headers.get("Access-Control-Allow-Origin")
        assert allowed == (LMS if is_listed else None)
        if is_listed:
            assert "X-Experience-API-Version" in sent.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in sent.headers
            refused = sender.request("POST", json=statement(), headers={"Origin": origin})
            assert refused.status_code == 401
            assert refused.headers["Access-Control-Allow-Origin"] == origin
        other = sender.request("GET", "/v1/jobs", headers=headers)
        assert "Access-Control-Allow-Origin" not in other.headers


def test_put_needs_the_id_and_answers_without_content(sender: XapiSender, guarded: Gateway) -> None:
    statement_id = str(uuid4())
    params = {"statementId": statement_id}
    for status, given, body in (
        (400, {}, statement()),
        (400, params, [statement()]),
        (400, params, statement(id=str(uuid4()))),
        (400, {**params, "other": "x"}, statement()),
        (204, params, statement()),
        (204, params, statement(id=statement_id.upper())),
        (409, params, statement("ben")),
    ):
        answer = sender.request("PUT", params=given, json=body)
        assert answer.status_code == status, answer.text
        assert (answer.content == b"") == (status == 204)
    [sent] = sent_statements(guarded)
    assert sent["id"] == statement_id


def test_files_are_counted_and_dropped(sender: XapiSender, guarded: Gateway) -> None:
    """Out: the counts of `Attachments`; the bytes would be in the message."""
    with_file = statement(
        attachments=[
            {
                "usageType": "http://id.example/usage",
                "display": {"en": "essay"},
                "contentType": "text/plain",
                "length": 6,
                "sha2": "a" * 64,
            }
        ]
    )
    body = (
        b"--b\r\nContent-Type: application/json\r\n\r\n"
        + json.dumps(with_file).encode()
        + b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n"
        + b"X-Experience-API-Hash: "
        + b"a" * 64
        + b"\r\n\r\nsecret\r\n--b--\r\n"
    )
    headers = {**sender.bearer, **XAPI_VERSION, "Content-Type": "multipart/mixed; boundary=b"}
    assert sender.request("POST", content=body, headers=headers).status_code == 200
    [sent] = sent_statements(guarded)
    assert "secret" not in json.dumps(sent)
    counted = sender.live_day()
    assert (counted["attachments"], counted["attachment_bytes"]) == (1, 6)
    too_large = body.replace(b"secret", b"x" * (5 << 20))
    assert sender.request("POST", content=too_large, headers=headers).status_code == 413
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {**sender.bearer, **XAPI_VERSION, "Content-Type": kind}
        assert sender.request("POST", content=b"{}", headers=headers).status_code == 400


def test_a_full_queue_refuses_statements_and_keeps_what_it_took(
    guarded: Gateway, sender: XapiSender
) -> None:
    """Nobody takes messages, as without Neo4j. Out: the refusal of the broker in the publisher."""
    vhost = guarded.environment["EDUGRAPH_BROKER_URL"].rpartition("/")[2]
    url = (
        f"{guarded.environment['EDUGRAPH_BROKER_MANAGEMENT_URL']}/api/policies/{vhost}/little-room"
    )
    definition = {"max-length-bytes": 20_000, "overflow": "reject-publish"}
    policy = {
        "pattern": "^live_records$",
        "apply-to": "queues",
        "priority": 99,
        "definition": definition,
    }
    accepted = []
    refused = None
    httpx.put(url, json=policy, timeout=10).raise_for_status()
    try:
        for _ in range(40):
            sent = statement("ann", id=str(uuid4()), result={"response": os.urandom(4_000).hex()})
            answer = sender.request("POST", json=sent)
            if answer.status_code != 200:
                refused = answer
                break
            accepted += answer.json()
        addresses = ("BROKER_URL", "BROKER_MANAGEMENT_URL", "REDIS_URL", "BLOB_URL")
        names = [f"EDUGRAPH_{each}" for each in addresses]
        settings = settings_from({name: guarded.environment[name] for name in names})

        def figures() -> QueueFigures:
            return look_by_management(settings).queues["live_records"]

        # The broker tells its figures each five seconds.
        until(lambda: (figures().bytes or 0) > 10_000, 20)
        assert figures().most_bytes == 20_000
    finally:
        httpx.delete(url, timeout=10).raise_for_status()
    assert refused is not None
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert len(accepted) >= 3, "there was room for three"
    assert [each["id"] for each in sent_statements(guarded)] == accepted

    def is_accepted() -> bool:
        return sender.request("POST", json=statement("ann", id=str(uuid4()))).status_code == 200

    # The broker removes the policy a moment later.
    until(is_accepted, 20)


def test_the_figures_of_a_source_have_the_rows_that_wait(
    guarded: Gateway, sender: XapiSender
) -> None:
    """Out: `first_accepted` is replaced by each request."""
    begin = datetime.now(UTC)
    assert sender.request("POST", json=statement("ann")).status_code == 200
    between = datetime.now(UTC)
    assert sender.request("POST", json=statement("ben")).status_code == 200
    client = connect(guarded.environment["EDUGRAPH_REDIS_URL"])

    def tomorrow() -> datetime:
        return datetime.now(UTC) + timedelta(days=1)

    days = LiveDays(
        SourceRegistry(client), LiveCounts(client), LiveWaiting(client), Jobs(client), tomorrow
    )
    [recent] = [each for each in days.recent() if each.source.name == sender.source]
    [found] = [each for each in recent.days if each.accepted]
    # Nothing takes the messages of this gateway, so the first statement is the one that waits.
    assert recent.oldest_waiting is not None
    assert begin <= recent.oldest_waiting <= between
    assert found.oldest_waiting == recent.oldest_waiting
    assert (found.accepted, found.waiting) == (2, 2)
    assert found.first_accepted is not None
    assert begin <= found.first_accepted <= between
    assert found.last_accepted is not None
    assert found.last_accepted >= between


@pytest.mark.parametrize(
    ("live", "status", "in_use"),
    [("on", 200, True), ("observe", 200, False), ("paused", 503, False)],
)
def test_only_a_source_that_takes_what_is_sent_is_in_use(
    guarded: Gateway, live: str, status: int, in_use: bool
) -> None:
    """Out: `is_live`. The kind of a source in use can never be changed."""
    sender = XapiSender(guarded, "submit", live=live)
    assert sender.request("POST", json=statement()).status_code == status
    with guarded.client(headers=api_key(guarded.environment, "operate")) as operator:
        source = operator.get(f"/v1/sources/{sender.source}").raise_for_status().json()
    assert source["in_use"] == in_use


def with_files(described: list[dict[str, Any]], *parts: tuple[str, str]) -> dict[str, Any]:
    """Return the request of a statement with these descriptions. A part is the hash of a file and its encoding."""
    body = "--b\r\nContent-Type: application/json\r\n\r\n"
    body += json.dumps(statement(attachments=described, timestamp=datetime.now(UTC).isoformat()))
    for sha2, encoding in parts:
        body += f"\r\n--b\r\nX-Experience-API-Hash: {sha2}\r\n"
        body += f"Content-Transfer-Encoding: {encoding}\r\n\r\nbytes"
    return {"content": body + "\r\n--b--\r\n"}


def file_with_hash(letter: str, **more: str) -> dict[str, Any]:
    return {
        "usageType": "http://id.example/usage",
        "display": {"en": "essay"},
        "contentType": "text/plain",
        "length": 5,
        "sha2": letter * 64,
        **more,
    }


def test_a_strict_source_compares_the_files_with_their_descriptions(guarded: Gateway) -> None:
    """Out: each sentence of `_wrong_files`."""
    strict = XapiSender(guarded, "submit", strict=True)
    of_parts = {"Content-Type": "multipart/mixed; boundary=b"}
    headers = {**strict.bearer, **XAPI_VERSION, **of_parts}
    a = ("a" * 64, "binary")
    b = ("b" * 64, "binary")
    elsewhere = file_with_hash("b", fileUrl="https://files.example/b")
    for status, request in (
        (200, with_files([file_with_hash("a")], a)),
        (200, with_files([file_with_hash("A")], a)),
        (200, with_files([file_with_hash("a"), elsewhere], a)),
        (200, with_files([elsewhere])),
        (400, with_files([file_with_hash("a")])),
        (400, with_files([file_with_hash("a")], b)),
        (400, with_files([file_with_hash("a")], a, b)),
        (400, with_files([file_with_hash("a")], (a[0], "base64"))),
    ):
        answer = strict.request("POST", headers=headers, **request)
        assert answer.status_code == status, answer.text
    alone = statement(attachments=[file_with_hash("a")])
    assert strict.request("POST", json=alone).status_code == 400


def test_a_voided_statement_is_not_shown(guarded: Gateway, sender: XapiSender) -> None:
    """Out: `hide`. Another source voids nothing of this one."""
    [statement_id] = sender.request("POST", json=statement()).json()
    void = {
        "actor": {"account": {"homePage": LMS, "name": "admin"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": statement_id.upper()},
        "timestamp": "2026-09-21T09:20:00Z",
    }
    params = {"statementId": statement_id}
    assert XapiSender(guarded, "submit").request("POST", json=void).status_code == 200
    assert sender.request("GET", params=params).status_code == 200
    assert sender.request("POST", json=void).status_code == 200
    assert sender.request("GET", params=params).status_code == 404
    # A statement that voids another one cannot be voided.
    [void_id] = sender.request("POST", json={**void, "id": str(uuid4())}).json()
    again = {**void, "object": {"objectType": "StatementRef", "id": void_id}}
    assert sender.request("POST", json=again).status_code == 200
    assert sender.request("GET", params={"statementId": void_id}).status_code == 200
    # Its id and its content are remembered: the same statement is known, and another one is a conflict.
    assert sender.request("PUT", params=params, json=statement()).status_code == 204
    assert sender.request("PUT", params=params, json=statement("ben")).status_code == 409


def test_an_answer_has_lists_of_activities_and_says_until_when_it_is_whole(
    sender: XapiSender,
) -> None:
    """Out: `with_lists_of_activities`, for a statement or its SubStatement; the header."""
    context = {"contextActivities": {"parent": {"id": f"{LMS}/course/view.php?id=7"}}}
    planned = statement("ben", objectType="SubStatement", context=context)
    sent = statement(context=context, object=planned)
    [statement_id] = sender.request("POST", json=sent).json()
    before = datetime.now(UTC)
    params = {"statementId": statement_id}
    found = sender.request("GET", params=params)
    for part in (found.json(), found.json()["object"]):
        assert isinstance(part["context"]["contextActivities"]["parent"], list)
    until_when = datetime.fromisoformat(found.headers["X-Experience-API-Consistent-Through"])
    assert before <= until_when <= datetime.now(UTC)
    modified = parsedate_to_datetime(found.headers["Last-Modified"])
    assert modified == datetime.fromisoformat(found.json()["stored"]).replace(microsecond=0)
    head = sender.request("HEAD", params=params)
    assert (head.status_code, head.content) == (200, b"")


def test_a_strict_source_refuses_what_a_lax_one_counts(
    guarded: Gateway, sender: XapiSender
) -> None:
    wrong = statement(context={"registration": "7"})
    answer = sender.request("POST", json=[statement(), wrong])
    assert answer.status_code == 200
    assert sender.live_day()["broken_rules"] == {"id": 1}
    strict = XapiSender(guarded, "submit", strict=True)
    answer = strict.request("POST", json=[statement(), wrong])
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:edugraph:problem:statement")
    assert "context.registration" in answer.json()["detail"]
    counted = strict.live_day()
    assert (counted["refused"], counted["accepted"]) == (1, 0)
    assert strict.request("POST", json=[statement()]).status_code == 200


def test_another_source_does_not_see_a_statement(guarded: Gateway, sender: XapiSender) -> None:
    """Out: the source in `_place`. Ids of two sources may be equal."""
    other = XapiSender(guarded, "submit", "personal")
    given = str(uuid4())
    assert sender.request("POST", json=statement(id=given)).status_code == 200
    assert other.request("GET", params={"statementId": given}).status_code == 404
    assert other.request("POST", json=statement("ben", id=given)).status_code == 200
    assert len(sent_statements(guarded)) == 2


def test_only_a_source_of_statements_takes_them(guarded: Gateway) -> None:
    key = api_key(guarded.environment, "submit")
    key_id = key["Authorization"].split("_")[1]
    operator = api_key(guarded.environment, "operate")
    with guarded.client(headers=operator) as client:
        body = {"name": f"t-{uuid4().hex[:8]}", "kind": "records", "keys": [key_id]}
        client.post("/v1/sources", json=body).raise_for_status()
    with guarded.client(headers={**key, **XAPI_VERSION}) as client:
        assert client.post("/xapi/statements", json=statement()).status_code == 422


def test_a_statement_is_not_shown_after_an_erasure_or_of_a_restricted_student(
    guarded: Gateway, sender: XapiSender
) -> None:
    """Out: the prefix of STATEMENTS, which `CourseMembers.forget` deletes; `may_be_shown`."""
    members = CourseMembers(connect(guarded.environment["EDUGRAPH_REDIS_URL"]))
    held = "lms:held"
    [shown_id, held_id] = sender.request("POST", json=[statement(), statement("held")]).json()
    for statement_id in (shown_id, held_id):
        assert sender.request("GET", params={"statementId": statement_id}).status_code == 200
    members.forget()
    members.tell_restricted([held], members.epoch())
    try:
        assert sender.request("GET", params={"statementId": shown_id}).status_code == 404
        sender.request("POST", json=[statement(), statement("held")])

        def status(statement_id: str) -> int:
            return sender.request("GET", params={"statementId": statement_id}).status_code

        until(lambda: (status(shown_id), status(held_id)) == (200, 404), 20)
    finally:
        members.forget()
        members.tell_restricted((), members.epoch())


def test_get_lists_nothing(sender: XapiSender) -> None:
    for params in ({}, {"agent": "x"}, {"statementId": str(uuid4()), "limit": "1"}):
        answer = sender.request("GET", params=params)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:edugraph:problem:not-lrs")
    assert sender.request("GET", params={"statementId": "no-such"}).status_code == 404


def test_many_messages_that_wait_refuse_no_statement(
    guarded: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Out: no look at the number of messages. An outage of hours leaves many small ones."""
    folder = tmp_path_factory.mktemp("deep")
    with (
        gateway(guarded.environment, folder, auth="off", max_queue_depth="1") as running,
        running.client(headers=XAPI_VERSION) as client,
    ):
        for _ in range(4):
            for _ in range(2):
                made = statement(id=str(uuid4()))
                assert client.post("/xapi/statements", json=made).status_code == 200
                records = {"records": [{"type": "error_record"}]}
                answer = client.post("/v1/sources/default/records", json=records)
                assert answer.status_code == 202
            time.sleep(0.4)
        assert running.queued("live_records") > 1
    guarded.take("live_records")


# The memory, in Redis and with a clock of the test.


def recent_statements(guarded: Gateway) -> RecentStatements:
    client = connect(guarded.environment["EDUGRAPH_REDIS_URL"])
    for key in client.scan_iter(match=f"{STATEMENTS}*"):
        client.delete(key)
    for key in client.scan_iter(match=f"{MOMENTS}*"):
        client.delete(key)
    return RecentStatements(client)


@pytest.mark.parametrize("begin", [NOW, NOW + timedelta(minutes=9, seconds=59)])
def test_a_statement_is_remembered_for_ten_minutes(guarded: Gateway, begin: datetime) -> None:
    """Out: the keys of the ten minutes before; the comparison with KEPT."""
    memory = recent_statements(guarded)
    memory.remember("lms", {"a": Recent("c", begin, packed_statement({"id": "a"}))}, begin)
    for seconds, is_there in ((0, True), (599, True), (600, False), (1_300, False)):
        now = begin + timedelta(seconds=seconds)
        found = memory.find("lms", ["a", "b"], now)
        assert ("a" in found) == is_there, seconds
    assert memory.find("lms", ["a"], begin)["a"] == Recent(
        "c", begin, packed_statement({"id": "a"})
    )
    assert memory.find("other", ["a"], begin) == {}


def test_a_moment_is_that_of_the_first_sending_for_ten_minutes(guarded: Gateway) -> None:
    memory = recent_statements(guarded)
    begin = NOW + timedelta(minutes=9)
    first = Moment("a", begin)
    for seconds, name in ((0, "a"), (300, "a"), (599, "a")):
        now = begin + timedelta(seconds=seconds)
        given = {"content": Moment("a" if not seconds else "b", now)}
        assert memory.moments("lms", given, now) == {"content": first}, name
    now = begin + timedelta(seconds=2_000)
    assert memory.moments("lms", {"content": Moment("z", now)}, now) == {
        "content": Moment("z", now)
    }


def test_a_content_that_comes_again_and_again_is_one_within_ten_minutes(guarded: Gateway) -> None:
    """Out: that a content which is known from the ten minutes before gets no entry in the present ones."""
    memory = recent_statements(guarded)
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    used: list[Moment] = []
    for number, (minutes, seconds) in enumerate(((9, 0), (11, 0), (19, 30), (21, 30), (29, 29))):
        now = midnight + timedelta(minutes=minutes, seconds=seconds)
        given = Moment(f"new-{number}", now)
        found = memory.moments("lms", {"content": given}, now)["content"]
        is_within = bool(used) and now - used[-1].at < timedelta(minutes=10)
        expected = used[-1] if is_within else given
        assert found == expected, (minutes, seconds)
        if not is_within:
            used.append(given)
    assert [each.statement_id for each in used] == ["new-0", "new-2"]


def test_the_memory_is_bounded(guarded: Gateway) -> None:
    """Out: the comparison with MOST_BYTES; LARGEST_STATEMENT_BYTES."""
    memory = recent_statements(guarded)
    client = connect(guarded.environment["EDUGRAPH_REDIS_URL"])
    memory.remember(
        "lms",
        {"large": Recent("c", NOW, packed_statement({"x": [uuid4().hex for _ in range(2_000)]}))},
        NOW,
    )
    assert memory.find("lms", ["large"], NOW)["large"].statement is None
    [key] = client.scan_iter(match=f"{STATEMENTS}*")
    client.hset(key, "bytes", MOST_BYTES)
    memory.remember("lms", {"a": Recent("c", NOW, "")}, NOW)
    assert memory.find("lms", ["a", "large"], NOW).keys() == {"large"}


def event(number: int, student: str = "ann") -> dict[str, Any]:
    """Return an event of Caliper, whose id comes from its number."""
    return {
        "id": f"urn:uuid:00000000-0000-4000-8000-{number:012}",
        "type": "ViewEvent",
        "action": "Viewed",
        "actor": {"id": f"{LMS}/users/{student}", "type": "Person"},
        "object": {"id": f"{LMS}/page/1", "type": "Document"},
        "group": {"id": f"{LMS}/courses/algebra", "type": "CourseOffering"},
        "eventTime": "2026-09-21T09:00:00Z",
    }


def envelope(*data: Any, **more: Any) -> dict[str, Any]:
    return {
        "sensor": f"{LMS}/sensor",
        "sendTime": "2026-09-21T09:00:01Z",
        "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "data": data,
        **more,
    }


def test_the_events_of_an_envelope_are_sent_on_once(guarded: Gateway, sender: XapiSender) -> None:
    """Out: that an entity, or an envelope in the envelope, is left out."""
    path = f"/v1/sources/{sender.source}/caliper"
    described = {"id": f"{LMS}/users/ann", "type": "Person"}
    body = envelope(event(1), described, event(2, "ben"), envelope(event(3)))
    answer = sender.request("POST", path, json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": 2, "entities": 2}
    again = sender.request("POST", path, json=body)
    assert again.status_code == 202
    sent = sent_statements(guarded)
    assert [each["actor"]["account"]["name"] for each in sent] == ["ann", "ben"]
    assert sent[0]["id"] == "00000000-0000-4000-8000-000000000001"
    day = sender.live_day()
    assert (day["accepted"], day["known"]) == (2, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        envelope(event(1), dataVersion="http://purl.imsglobal.org/ctx/caliper/v9p9"),
        envelope(),
        envelope("text"),
        envelope(*[event(1)] * 1_001),
        {"data": [event(1)]},
        [event(1)],
    ],
)
def test_a_wrong_envelope_is_refused_as_a_whole(
    guarded: Gateway, sender: XapiSender, wrong: Any
) -> None:
    answer = sender.request("POST", f"/v1/sources/{sender.source}/caliper", json=wrong)
    assert answer.status_code == 422, answer.text
    assert sent_statements(guarded) == []


def test_an_envelope_needs_a_source_of_its_key(guarded: Gateway, sender: XapiSender) -> None:
    """Out: `use_source` with the name of the path."""
    other = XapiSender(guarded, "submit")
    for name in (other.source, "default", "nobody"):
        answer = sender.request("POST", f"/v1/sources/{name}/caliper", json=envelope(event(1)))
        assert answer.status_code == 404, (name, answer.text)
    assert sent_statements(guarded) == []
