"""Requests that a tool signs, at a real gateway with a real broker and Redis."""

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from gateway_alone import Gateway, api_key, gateway, virtual_host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signers import hmac_headers, hmac_sender, new_secret, standard_headers, standard_sender

from edugraph_common.contracts.messages import ImportRights
from edugraph_common.runtime.messaging.packed_rows import unpack_rows
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_gateway.api.routes.signed import BODY_SECONDS
from edugraph_gateway.gateway import UNPROVEN_AT_A_TIME

pytestmark = pytest.mark.real
RUN = uuid4().hex[:8]
LMS = "https://lms.example"
TOOL, OTHER, LOG = (f"{each}-{RUN}" for each in ("tool", "other", "log"))
TYPEFORM, TALLY, GITHUB = (f"{each}-{RUN}" for each in ("typeform", "tally", "github"))
# A sender of a source that nobody registered, and of one whose kind signed requests do not write.
MISSING, ROSTER = (f"{each}-{RUN}" for each in ("missing", "roster"))
# A source whose mapping reads answer sheets.
TABLE = f"table-{RUN}"
MAPPING = """
type: attempt_record
columns: {pupil: student_id, Submit Date (UTC): timestamp}
constants: {course_id: geo}
items: {columns: ["1 + 1?"], scale: 2}
ignore_other_columns: true
"""
OLD_SECRET, SECRET = new_secret(), new_secret()
OTHER_SECRET, LOG_SECRET, MISSING_SECRET, TABLE_SECRET, ROSTER_SECRET = (
    new_secret() for _ in range(5)
)
PLAIN = {
    TYPEFORM: hmac_sender("the secret of Typeform", "Typeform-Signature", "base64", "sha256="),
    TALLY: hmac_sender("the secret of Tally", "Tally-Signature", "base64"),
    GITHUB: hmac_sender("the secret of GitHub", "X-Hub-Signature-256", "hex", "sha256="),
}
SENDERS = {
    TOOL: standard_sender(SECRET, OLD_SECRET),
    OTHER: standard_sender(OTHER_SECRET),
    LOG: standard_sender(LOG_SECRET),
    MISSING: standard_sender(MISSING_SECRET),
    TABLE: hmac_sender(TABLE_SECRET, "Typeform-Signature", "base64", "sha256="),
    ROSTER: standard_sender(ROSTER_SECRET),
    **PLAIN,
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(
            addresses,
            tmp_path_factory.mktemp("signed"),
            auth="on",
            signed_senders=json.dumps(SENDERS),
            privacy_secret="of the tests alone",
        ) as running,
    ):
        settings_of = {
            LOG: {"kind": "xapi"},
            TABLE: {"kind": "table", "mapping": MAPPING},
            ROSTER: {"kind": "roster"},
        }
        with running.client(headers=api_key(running.environment, "operate")) as client:
            for name in SENDERS:
                if name != MISSING:
                    body = {"name": name, **settings_of.get(name, {"kind": "records"})}
                    client.post("/v1/sources", json=body).raise_for_status()
        yield running


@pytest.fixture(autouse=True)
def empty_queue(guarded: Gateway) -> None:
    guarded.take("live_records")


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "course_content",
        "record_id": f"r{number}",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {"course_id": "c-1", "content": f"分数 {number} é"},
        **more,
    }


def body_of(*records: Any) -> bytes:
    return json.dumps({"records": records}, ensure_ascii=False).encode()


def send(guarded: Gateway, body: bytes, headers: Any, source: str = TOOL) -> httpx.Response:
    with guarded.client() as client:
        return client.post(f"/v1/sources/{source}/signed", content=body, headers=headers)


def sent_rows(guarded: Gateway) -> list[tuple[ImportRights, Any]]:
    """Return the rows of all messages that wait for the importer with their rights, and take the messages away."""
    found = []
    for _, [args, _, _] in guarded.take("live_records"):
        for part in args[-1]["parts"]:
            for row in unpack_rows(part["packed"]):
                found.append((ImportRights.model_validate(part["rights"]), row))
    return found


def test_a_signed_body_is_sent_on_with_the_rights_of_its_source(guarded: Gateway) -> None:
    """Out: the scopes of the sender, or the name of the source."""
    body = body_of(record(1), record(2))
    answer = send(guarded, body, standard_headers(body, SECRET))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2}), answer.text
    sent = sent_rows(guarded)
    assert [row["record_id"] for _, row in sent] == ["r1", "r2"]
    assert sent[0][1] == record(1)
    for rights, _ in sent:
        assert rights == ImportRights(client=f"signed:{TOOL}", source=TOOL)


# The names of the tests must be the same in each process that runs some of them.
@pytest.mark.parametrize("source", list(PLAIN), ids=range(len(PLAIN)))
def test_tools_that_sign_the_body_alone(guarded: Gateway, source: str) -> None:
    """Each refusal is counted at its source. Out: `noting_refusals`."""
    body = body_of(record(1))
    headers = hmac_headers(body, PLAIN[source])
    assert send(guarded, body, headers, source).status_code == 202
    assert send(guarded, body + b" ", headers, source).status_code == 401
    assert send(guarded, body, {"Content-Type": "application/json"}, source).status_code == 401
    assert len(sent_rows(guarded)) == 1
    with guarded.client(headers=api_key(guarded.environment, "operate")) as client:
        listed = client.get("/v1/live-sources").raise_for_status().json()["sources"]
    [latest] = [each["latest"] for each in listed if each["source"]["name"] == source]
    assert (latest["accepted"], latest["refused"], latest["last_refusal"]) == (1, 2, "signature")


Change = Callable[[bytes, dict[str, str]], tuple[bytes, Any]]
WRONG: dict[str, tuple[Change, int, str]] = {
    "one bit": (lambda body, headers: (bytes([body[0] ^ 1]) + body[1:], headers), 401, "not that of this body"),
    "cut off": (lambda body, headers: (body[:-1], headers), 401, "not that of this body"),
    "empty": (lambda _, headers: (b"", headers), 401, "not that of this body"),
    "same JSON in another order": (
        lambda body, headers: (json.dumps(json.loads(body), sort_keys=True).encode(), headers),
        401,
        "not that of this body",
    ),
    "of another source": (
        lambda body, _: (body, standard_headers(body, OTHER_SECRET)),
        401,
        "not that of this body",
    ),
    "old": (
        lambda body, _: (body, standard_headers(body, SECRET, age_seconds=310)),
        401,
        "five minutes",
    ),
    "of the future": (
        lambda body, _: (body, standard_headers(body, SECRET, age_seconds=-310)),
        401,
        "five minutes",
    ),
    "no signature": (lambda body, headers: (body, without(headers, "webhook-signature")), 401, "webhook-signature"),
    "no id": (lambda body, headers: (body, without(headers, "webhook-id")), 401, "webhook-id"),
    "no time": (lambda body, headers: (body, without(headers, "webhook-timestamp")), 401, "webhook-timestamp"),
    "signed twice": (
        lambda body, headers: (
            body,
            [*headers.items(), ("webhook-signature", headers["webhook-signature"])],
        ),
        401,
        "once",
    ),
    "another id": (lambda body, headers: (body, {**headers, "webhook-id": "m2"}), 401, "not that of this body"),
    "signature that is not ASCII": (
        lambda body, headers: (body, {**headers, "webhook-signature": "v1,\xe9\xe8"}.items()),
        401,
        "not that of this body",
    ),
    "packed": (
        lambda body, headers: (gzip.compress(body), {**headers, "Content-Encoding": "gzip"}),
        415,
        "not packed",
    ),
    "another type": (
        lambda body, headers: (body, {**headers, "Content-Type": "text/plain"}),
        415,
        "application/json",
    ),
    "too large": (lambda _, headers: (b" " * (1 << 21), headers), 413, "more than"),
}  # fmt: skip


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_wrong_request_gets_one_sentence_and_sends_nothing(guarded: Gateway, wrong: str) -> None:
    """Out: the guard of this case in `claim_of`, `is_signed`, `_one_header` or `json_body`."""
    change, status, words = WRONG[wrong]
    # Not sorted, since another order of its fields is another body.
    body = b'{"records": [' + json.dumps(record(1)).encode() + b"]}"
    changed, headers = change(body, standard_headers(body, SECRET))
    raw = headers if isinstance(headers, dict) else _as_bytes(headers)
    answer = send(guarded, changed, raw)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert SECRET not in answer.text
    assert sent_rows(guarded) == []


def _as_bytes(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers]


@pytest.mark.parametrize("secrets", [(SECRET,), (OLD_SECRET,), (OLD_SECRET, SECRET)])
def test_while_a_secret_changes_the_old_one_is_right_too(
    guarded: Gateway, secrets: tuple[str, ...]
) -> None:
    body = body_of(record(1))
    assert send(guarded, body, standard_headers(body, *secrets)).status_code == 202
    wrong_first = standard_headers(body, OTHER_SECRET, *secrets)
    assert send(guarded, body, wrong_first).status_code == 202


def test_no_answer_tells_which_sources_there_are(guarded: Gateway) -> None:
    """Out: the one answer of sources without a sender, or the check before the source is looked for."""
    plain = f"plain-{RUN}"
    with guarded.client(headers=api_key(guarded.environment, "operate")) as client:
        client.post("/v1/sources", json={"name": plain, "kind": "records"}).raise_for_status()
    body = body_of(record(1))
    headers = standard_headers(body, SECRET)
    answers = []
    for name in (plain, f"no-{RUN}", "default", "page-actions"):
        answer = send(guarded, body, headers, name)
        answers.append((answer.status_code, answer.text.replace(name, "NAME")))
    assert len(set(answers)) == 1
    assert answers[0][0] == 404
    # The sender of a source that nobody registered learns of it by a right signature alone.
    assert send(guarded, body, headers, MISSING).status_code == 401
    assert send(guarded, body, standard_headers(body, MISSING_SECRET), MISSING).status_code == 404
    assert sent_rows(guarded) == []


def test_a_right_signature_is_no_key(guarded: Gateway) -> None:
    """A signature writes its source and opens nothing else. A key writes nothing here."""
    body = body_of(record(1))
    headers = standard_headers(body, SECRET)
    key = api_key(guarded.environment, "submit", "operate")
    assert send(guarded, body, {**key, "Content-Type": "application/json"}).status_code == 401
    with guarded.client(headers=headers) as client:
        for path in (f"/v1/sources/{TOOL}/records", "/v1/imports"):
            assert client.post(path, content=body).status_code == 401
        assert client.get(f"/v1/sources/{TOOL}").status_code == 401
    with guarded.client(headers=api_key(guarded.environment, "operate")) as client:
        shown = client.get("/v1/sources").text
    for sender in SENDERS.values():
        for secret in sender["secrets"]:
            assert secret not in shown
    assert sent_rows(guarded) == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"records": []}',
        b'{"records": [1]}',
        b"\xff",
        body_of(*[{}] * 1_001),
        b"null",
    ],
)
def test_a_signed_body_of_a_wrong_form_is_refused(guarded: Gateway, body: bytes) -> None:
    answer = send(guarded, body, standard_headers(body, SECRET))
    assert answer.status_code == 422, answer.text
    assert sent_rows(guarded) == []


def test_a_roster_has_no_signed_sender(guarded: Gateway) -> None:
    """Out: FORMATS in signed.py."""
    body = body_of(record(1))
    answer = send(guarded, body, standard_headers(body, ROSTER_SECRET), ROSTER)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:edugraph:problem:source")


def answer_sheet(points: object) -> bytes:
    question = {"id": "q", "title": "1 + 1?", "type": "number"}
    answer = {"type": "number", "number": points, "field": question}
    sheet = {
        "token": "t-1",
        "submitted_at": "2026-09-21T09:00:00Z",
        "hidden": {"pupil": "ann"},
        "definition": {"fields": [question]},
        "answers": [answer],
    }
    return json.dumps({"event_type": "form_response", "form_response": sheet}).encode()


def test_an_answer_sheet_becomes_the_records_of_its_mapping(guarded: Gateway) -> None:
    """Out: the mapping of the source; the same id for the same sheet."""
    body = answer_sheet(1)
    for _ in range(2):
        answer = send(guarded, body, hmac_headers(body, SENDERS[TABLE]), TABLE)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1}), answer.text
    first, second = sent_rows(guarded)
    assert first == second
    rights, row = first
    assert rights == ImportRights(client=f"signed:{TABLE}", source=TABLE)
    assert row["timestamp"] == "2026-09-21T09:00:00.000000Z"
    assert row["data"] == {
        "student_id": "ann",
        "course_id": "geo",
        "item_id": "1 + 1?",
        "score": 0.5,
        "max_score": 2.0,
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (answer_sheet("private words"), "1 + 1? (data.score): is not of the mapping's form"),
        (answer_sheet(3), "1 + 1? (data.score): is not of the mapping's form"),
        (answer_sheet(1).replace(b"pupil", b"someone"), "the header lacks pupil"),
        (body_of(record(1)), "not an answer sheet of Typeform or Tally"),
        (b"[1]", "not an answer sheet of Typeform or Tally"),
    ],
)
def test_a_sheet_that_is_not_read_is_one_sentence_without_its_text(
    guarded: Gateway, body: bytes, words: str
) -> None:
    answer = send(guarded, body, hmac_headers(body, SENDERS[TABLE]), TABLE)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert "private words" not in answer.text
    assert sent_rows(guarded) == []


def statement(student: str, **more: Any) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": LMS, "name": student}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": f"{LMS}/q/{RUN}"},
        "result": {"success": True},
        "timestamp": "2026-09-21T09:00:00Z",
        **more,
    }


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"urn:uuid:{RUN}-0000-4000-8000-{number:012}",
        "type": "ViewEvent",
        "action": "Viewed",
        "actor": {"id": f"{LMS}/users/ann", "type": "Person"},
        "object": {"id": f"{LMS}/page/1", "type": "Document"},
        "group": {"id": f"{LMS}/courses/algebra", "type": "CourseOffering"},
        "eventTime": "2026-09-21T09:00:00Z",
    }


def test_statements_and_envelopes_are_sent_on_once(guarded: Gateway) -> None:
    """Out: an envelope in `_statements_of`, or the ids of statements."""
    envelope = {
        "sensor": f"{LMS}/sensor",
        "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "data": [event(1), event(2), {"id": f"{LMS}/users/ann", "type": "Person"}],
    }
    bodies = [[statement("ann"), statement("ben")], statement("cem"), envelope]
    for value, number in zip(bodies, (2, 1, 2), strict=True):
        body = json.dumps(value).encode()
        headers = standard_headers(body, LOG_SECRET)
        for _ in range(2):
            answer = send(guarded, body, headers, LOG)
            assert (answer.status_code, answer.json()) == (202, {"accepted": number}), answer.text
    rows = [row for _, row in sent_rows(guarded)]
    assert len(rows) == 5
    assert len({row["data"]["id"] for row in rows}) == 5


def test_a_statement_without_id_and_time_would_count_again(guarded: Gateway) -> None:
    """Out: `needs_both` in signed.py."""
    untimed = statement("ann")
    del untimed["timestamp"]
    for value in (untimed, [statement("ben"), untimed]):
        body = json.dumps(value).encode()
        answer = send(guarded, body, standard_headers(body, LOG_SECRET), LOG)
        assert answer.status_code == 400
        assert "needs an id or a timestamp" in answer.json()["detail"]
    body = body_of(record(1))
    assert send(guarded, body, standard_headers(body, LOG_SECRET), LOG).status_code == 400
    assert sent_rows(guarded) == []


def test_a_paused_source_refuses_and_an_observed_one_counts(guarded: Gateway) -> None:
    """Out: `refuse_paused`; the observing in RecordReceiver."""
    body = body_of(record(1), record(2, timestamp="yesterday"))
    with guarded.client(headers=api_key(guarded.environment, "operate")) as client:
        path = f"/v1/sources/{OTHER}"
        client.put(path, json={"kind": "records", "live": "paused"}).raise_for_status()
        paused = send(guarded, body, standard_headers(body, OTHER_SECRET), OTHER)
        assert (paused.status_code, paused.headers["Retry-After"]) == (503, "60")
        client.put(path, json={"kind": "records", "live": "observe"}).raise_for_status()
        answer = send(guarded, body, standard_headers(body, OTHER_SECRET), OTHER)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 0})
        day = client.get(f"{path}/live").json()
        client.put(path, json={"kind": "records"}).raise_for_status()
    assert (day["observed"], day["outcomes"]["course_content"]) == (2, 1)
    assert sent_rows(guarded) == []


def test_a_refusal_is_in_the_audit_log_and_no_text_is_in_the_log(guarded: Gateway) -> None:
    """Out: Refusal in signatures.py."""
    mark = f"mark-{uuid4().hex}"
    body = body_of(record(1, data={"course_id": "c-1", "content": mark}))
    send(guarded, body, standard_headers(body, OTHER_SECRET))
    send(guarded, body, standard_headers(body, SECRET))
    log = guarded.log.read_text(encoding="utf-8")
    for unwanted in (mark, SECRET, OTHER_SECRET, *standard_headers(body, SECRET).values()):
        if unwanted not in ("application/json", "msg_1"):
            assert unwanted not in log
    audit = Audit(connect(guarded.environment["EDUGRAPH_REDIS_URL"]), "of the tests alone", 1)
    refused = []
    for entry in islice(audit.newest(), 20):
        if entry.what == "POST /v1/sources/{name}/signed":
            refused.append((entry.who, entry.action, entry.outcome))
    assert refused[0] == ("unknown", "refused", "refused")


def test_a_sender_has_a_rate_of_its_own_that_nobody_else_spends(
    guarded: Gateway, tmp_path: Path
) -> None:
    """Out: `admit_signed`; or its place behind the check of the signature."""
    body = body_of(record(1))
    name = f"slow-{uuid4().hex[:8]}"
    slow = {"client_requests_per_minute": "1", "client_burst_requests": "2"}
    senders = json.dumps({name: standard_sender(SECRET)})
    with gateway(guarded.environment, tmp_path, auth="on", signed_senders=senders, **slow) as other:
        with guarded.client(headers=api_key(guarded.environment, "operate")) as client:
            client.post("/v1/sources", json={"name": name, "kind": "records"}).raise_for_status()
        for _ in range(3):
            wrong = send(other, body, standard_headers(body, OTHER_SECRET), name)
            assert wrong.status_code == 401
        answers = []
        for _ in range(3):
            answers.append(send(other, body, standard_headers(body, SECRET), name))
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


@given(
    records=st.lists(
        st.dictionaries(
            st.text(max_size=8), st.one_of(st.none(), st.integers(-(2**40), 2**40), st.text())
        ),
        min_size=1,
        max_size=5,
    ),
    indent=st.sampled_from([None, 0, 3]),
    is_ascii=st.booleans(),
    place=st.integers(0, 10_000),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_body_is_taken_as_it_was_signed_and_not_otherwise(
    guarded: Gateway, records: Any, indent: int | None, is_ascii: bool, place: int
) -> None:
    text = json.dumps({"records": records}, indent=indent, ensure_ascii=is_ascii)
    body = text.encode(errors="surrogatepass")
    headers = standard_headers(body, SECRET)
    changed = bytearray(body)
    changed[place % len(body)] ^= 4
    assert send(guarded, bytes(changed), headers).status_code == 401
    assert sent_rows(guarded) == []
    assert send(guarded, body, headers).status_code == 202
    assert [row for _, row in sent_rows(guarded)] == records


def test_senders_without_a_proof_hold_no_more_than_their_places(guarded: Gateway) -> None:
    """Out: `unproven_slots`, or BODY_SECONDS."""
    host = urlsplit(guarded.url)
    body = body_of(record(1))
    headers = standard_headers(body, SECRET)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    begin = f"POST /v1/sources/{TOOL}/signed HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 9000\r\n\r\n "
    opened = []
    began = time.monotonic()
    try:
        for _ in range(UNPROVEN_AT_A_TIME):
            connection = socket.create_connection((str(host.hostname), host.port or 0), 30)
            connection.sendall(begin.encode())
            opened.append(connection)
        busy = _when(lambda: send(guarded, body, headers), 503)
        assert busy.json()["type"] == "urn:edugraph:problem:busy"
        assert busy.headers["Retry-After"]
        first = opened[0].recv(4_096).decode()
        assert first.startswith("HTTP/1.1 408")
        assert time.monotonic() - began >= BODY_SECONDS - 1
        assert _when(lambda: send(guarded, body, headers), 202).json() == {"accepted": 1}
    finally:
        for connection in opened:
            connection.close()


def _when(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    end = time.monotonic() + 15
    answer = ask()
    while answer.status_code != status and time.monotonic() < end:
        time.sleep(0.1)
        answer = ask()
    assert answer.status_code == status, answer.text
    return answer
