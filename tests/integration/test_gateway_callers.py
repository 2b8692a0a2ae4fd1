"""Nothing but health is open; a key does what its scopes say, and no more once it is revoked."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_alone import RECORD, Gateway, api_key, gateway, virtual_host
from waiting import until

from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.job_store import connect

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path_factory.mktemp("guarded"), auth="on") as running,
    ):
        yield running


@pytest.fixture
def client(guarded: Gateway) -> Iterator[httpx.Client]:
    with guarded.client() as http:
        yield http


OPEN = {"/healthz", "/readyz", "/xapi/about"}
# A signature takes the place of a key here. Without it the answer is that of a source that takes no signed requests.
SIGNED = "/v1/sources/{name}/signed"


def _operations(client: httpx.Client, headers: dict[str, str]) -> list[tuple[str, str]]:
    document = client.get("/openapi.json", headers=headers).json()
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


def test_every_operation_but_health_asks_for_a_key(guarded: Gateway, client: httpx.Client) -> None:
    operations = _operations(client, api_key(guarded.environment, "read"))
    assert len(operations) > 8
    for method, path in operations:
        status = client.request(method, path.replace("{", "").replace("}", "")).status_code
        if path == SIGNED:
            assert status == 404, method
        else:
            assert (status == 401) == (path not in OPEN), (method, path, status)
    assert client.get("/openapi.json").status_code == 401
    assert client.get("/docs").status_code == 401


@pytest.mark.parametrize("token", ["eg_", "eg_x_y", "nonsense", "eg_" + "0" * 12 + "_" + "0" * 64])
def test_a_wrong_key_is_401(client: httpx.Client, token: str) -> None:
    answer = client.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_secret_of_another_key_is_401(guarded: Gateway, client: httpx.Client) -> None:
    one, other = (
        api_key(guarded.environment, "read")["Authorization"].split("_") for _ in range(2)
    )
    mixed = {"Authorization": "_".join([*one[:2], other[2]])}
    assert client.get("/v1/jobs", headers=mixed).status_code == 401


def test_a_scope_opens_its_own_operations_only(guarded: Gateway, client: httpx.Client) -> None:
    reader, submitter = (api_key(guarded.environment, scope) for scope in ("read", "submit"))
    body = {"records": [RECORD]}
    assert client.get("/v1/jobs", headers=reader).status_code == 200
    assert client.post("/v1/imports", json=body, headers=reader).status_code == 403
    assert client.post("/v1/imports", json=body, headers=submitter).status_code == 202
    assert client.get("/v1/jobs", headers=submitter).status_code == 403


# A key that has the scope erase alone may ask these. No answer names a person: tombstones are keyed hashes, and of its
# own tasks it sees the counts.
OF_ERASERS = {
    ("delete", "/v1/students/{student_id}"),
    ("get", "/v1/erasures"),
    ("post", "/v1/erasures/replay"),
    ("delete", "/v1/erasures/{student_id}"),
    ("post", "/v1/students/{student_id}/restriction"),
    ("post", "/v1/students/{student_id}/restriction/lift"),
    ("get", "/v1/caller"),
    ("get", "/v1/tasks/{task_id}"),
    ("get", "/xapi/about"),
    ("get", "/healthz"),
    ("get", "/readyz"),
}


def test_a_key_that_erases_reads_nobody(guarded: Gateway, client: httpx.Client) -> None:
    """Out: let `Exporter`, `PersonalOfficer`, `PersonalReader` or another dependency admit `erase`."""
    eraser = api_key(guarded.environment, "erase")
    operations = _operations(client, api_key(guarded.environment, "read"))
    answered = set()
    for method, path in operations:
        answer = client.request(
            method, path.replace("{", "").replace("}", ""), headers=eraser, content=b"{}"
        )
        if path == SIGNED:
            assert answer.status_code == 404, method
        elif answer.status_code != 403:
            answered.add((method, path))
    assert answered == OF_ERASERS


def test_an_operator_renames_courses_and_no_persons(guarded: Gateway, client: httpx.Client) -> None:
    """Out: `of` of Renamable, or the comparison of both ids in `rename_in_graph`."""
    operator = api_key(guarded.environment, "operate")
    course = {"of": "course", "id": "4", "to": "2026-4"}
    for params, status in (
        (course, 202),
        (course | {"of": "student"}, 422),
        (course | {"to": "4"}, 422),
        (course | {"to": "4\n"}, 422),
    ):
        answer = client.post("/v1/graph/rename", params=params, headers=operator)
        assert answer.status_code == status, (params, answer.text)


def test_a_revoked_key_ends_within_seconds_and_an_expired_one_at_once(
    guarded: Gateway, client: httpx.Client
) -> None:
    keys, now = ApiKeys(connect(guarded.environment["EDUGRAPH_REDIS_URL"])), datetime.now(UTC)
    made, old = (
        keys.create("a", ["read"], now),
        keys.create("b", ["read"], now, expires=now - timedelta(seconds=1)),
    )
    header = {"Authorization": f"Bearer {made.token}"}
    assert client.get("/v1/jobs", headers=header).status_code == 200
    assert keys.revoke(made.key.key_id)
    until(lambda: client.get("/v1/jobs", headers=header).status_code == 401, 8)
    assert (
        client.get("/v1/jobs", headers={"Authorization": f"Bearer {old.token}"}).status_code == 401
    )


def test_no_secret_is_in_redis_or_in_the_log(guarded: Gateway, client: httpx.Client) -> None:
    header = api_key(guarded.environment, "read")
    secret = header["Authorization"].rsplit("_", 1)[1]
    client.get("/v1/jobs", headers=header)
    client.get("/v1/jobs", headers={"Authorization": f"Bearer x{secret}"})
    stored = connect(guarded.environment["EDUGRAPH_REDIS_URL"]).hgetall("edugraph:keys")
    assert secret not in str(stored)
    assert secret not in guarded.log.read_text()


def test_streams_are_limited_for_each_key_and_end_with_it(
    guarded: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Out: `_open` in EventStreams.take, `_give_back` in EventStream, `admission.holds` in follow_job."""
    keys, now = ApiKeys(connect(guarded.environment["EDUGRAPH_REDIS_URL"])), datetime.now(UTC)
    made, other = keys.create("a", ["read", "submit"], now), keys.create("b", ["read"], now)
    header, others = ({"Authorization": f"Bearer {key.token}"} for key in (made, other))
    folder = tmp_path_factory.mktemp("streams")
    with (
        gateway(guarded.environment, folder, auth="on", max_streams_per_client="2") as running,
        running.client() as client,
    ):
        answer = client.post("/v1/imports", json={"records": [RECORD]}, headers=header)
        job = answer.json()["job_id"]
        path = f"/v1/jobs/{job}/events"

        def status(headers: dict[str, str]) -> int:
            with client.stream("GET", path, headers=headers) as stream:
                return stream.status_code

        with client.stream("GET", path, headers=header) as first:
            lines = first.iter_lines()
            next(lines)
            with client.stream("GET", path, headers=header):
                assert status(header) == 429
                assert status(others) == 200
            until(lambda: status(header) == 200, 3)
            begun = time.monotonic()
            assert keys.revoke(made.key.key_id)
            list(lines)
            assert time.monotonic() - begun < 5


def test_headers_that_do_not_come_end_the_connection(guarded: Gateway) -> None:
    """Out: `http=ImpatientProtocol` in main.py (the connections stay open for ever)."""
    address = urlsplit(guarded.url)
    begun, sent = (
        time.monotonic(),
        (
            b"",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /",
        ),
    )
    opened = [socket.create_connection((address.hostname, address.port), timeout=15) for _ in sent]
    for connection, data in zip(opened, sent, strict=True):
        connection.sendall(data)
    for connection in opened:
        while connection.recv(4096):
            pass
        connection.close()
    assert time.monotonic() - begun < 13
