"""A source is made once, keeps its name and kind, and is written only by its own keys."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import httpx
import pytest
from gateway_alone import RECORD, Gateway, gateway, virtual_host

from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.job_store import connect, keys_of_job
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry
from edugraph_common.sources import load_mapping

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("sources")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as running:
        yield running


class Key:
    """A client with a new key."""

    def __init__(self, guarded: Gateway, *scopes: Scope) -> None:
        keys = ApiKeys(connect(guarded.environment["EDUGRAPH_REDIS_URL"]))
        made = keys.create("test", scopes, datetime.now(UTC))
        self.key_id = made.key.key_id
        self.http = httpx.Client(
            base_url=guarded.url, headers={"Authorization": f"Bearer {made.token}"}, timeout=20
        )

    def create(self, name: str, *keys: "Key", kind: str = "records", **more: Any) -> httpx.Response:
        ids = [key.key_id for key in keys]
        return self.http.post("/v1/sources", json={"name": name, "kind": kind, "keys": ids, **more})

    def change(self, name: str, *keys: "Key", kind: str = "records", **more: Any) -> httpx.Response:
        ids = [key.key_id for key in keys]
        return self.http.put(f"/v1/sources/{name}", json={"kind": kind, "keys": ids, **more})

    def import_record(self, **options: Any) -> httpx.Response:
        return self.http.post("/v1/imports", json={"records": [RECORD], **options})

    def job(self, accepted: httpx.Response) -> dict[str, Any]:
        assert accepted.status_code == 202, accepted.text
        report: dict[str, Any] = self.http.get(f"/v1/jobs/{accepted.json()['job_id']}").json()
        return report


@pytest.fixture
def operator(guarded: Gateway) -> Iterator[Key]:
    key = Key(guarded, "operate")
    with key.http:
        yield key


@pytest.fixture
def sender(guarded: Gateway) -> Iterator[Key]:
    key = Key(guarded, "submit", "read:own")
    with key.http:
        yield key


@pytest.fixture
def other_sender(guarded: Gateway) -> Iterator[Key]:
    key = Key(guarded, "submit", "read:own")
    with key.http:
        yield key


def new_name() -> str:
    return f"lms-{token_hex(4)}"


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:edugraph:problem:")


def test_one_of_several_callers_creates_a_source(operator: Key) -> None:
    """Out: hset in place of hsetnx."""
    name = new_name()
    platforms = [f"https://lms-{number}.example" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: operator.create(name, platform=one), platforms))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(made) == 1, answers[0].text
    assert {problem(answer) for answer in answers if answer.status_code != 201} == {(409, "exists")}
    assert operator.http.get(f"/v1/sources/{name}").json() == made[0]


@pytest.mark.parametrize(
    "name", ["", "学校", "Canvas", "a b", "a/b", "a\n", "é", "a" * 41, "default", "a\x00", "аbc"]
)
def test_a_name_is_small_letters_digits_and_hyphens(operator: Key, name: str) -> None:
    assert operator.create(name).status_code == 422
    assert name not in [each["name"] for each in operator.http.get("/v1/sources").json()["sources"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "any"},
        {"time_zone": "Mars/Base"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "/etc/passwd"},
        {"mapping": "columns: ["},
        {"default_course": ""},
        {"default_course": "x" * 129},
        {"kind": "xapi", "default_course": "MATH7"},
        {"keys": ["000000000000"]},
        {"keys": ["键"]},
        {"platform": ""},
        {"other": 1},
    ],
)
def test_settings_that_cannot_be_used_are_refused(operator: Key, wrong: dict[str, Any]) -> None:
    name = new_name()
    answer = operator.http.post("/v1/sources", json={"name": name, "kind": "table", **wrong})
    assert answer.status_code == 422, answer.text
    assert operator.http.get(f"/v1/sources/{name}").status_code == 404


def test_an_import_belongs_to_the_only_source_of_its_key(
    guarded: Gateway, operator: Key, sender: Key
) -> None:
    """Out: `own` without the check of the keys; rights without the source."""
    assert sender.job(sender.import_record())["source_name"] == "default"
    assert sender.job(sender.import_record(source="default"))["source_name"] == "default"
    name = new_name()
    operator.create(name, sender)
    upload = sender.http.post(
        "/v1/imports", content=json.dumps(RECORD), headers={"Content-Type": "application/x-ndjson"}
    )
    for accepted in (sender.import_record(), sender.import_record(source=name), upload):
        report = sender.job(accepted)
        assert report["source_name"] == name
        assert stored_import(guarded, report)["rights"]["source"] == name
    assert problem(sender.import_record(source="default")) == (422, "source")


def stored_import(guarded: Gateway, report: dict[str, Any]) -> dict[str, Any]:
    redis = connect(guarded.environment["EDUGRAPH_REDIS_URL"])
    [[_, message, _]] = json.loads(str(redis.get(keys_of_job(report["job_id"])[1])))
    return dict(message)


def test_the_settings_of_a_source_count_for_its_imports(
    guarded: Gateway, operator: Key, sender: Key
) -> None:
    """Out: `_mapping_of`, `_platform_of` or `_may_analyze` without the source; `default_course` of a mapping."""
    own_mapping = "{type: course_record, columns: {S: student_id, C: course_id, D: timestamp}}"
    tables = new_name()
    settings = {
        "mapping": own_mapping,
        "time_zone": "Asia/Shanghai",
        "default_course": "MATH7",
        "analyse": False,
    }
    assert operator.create(tables, sender, kind="table", **settings).status_code == 201
    query = {"format": "csv", "analyze": "true", "source": tables}
    rows = "S,C,D\ns1,c1,2026-01-05 08:00\n"
    csv = {"Content-Type": "text/csv"}
    accepted = sender.http.post("/v1/imports", content=rows, headers=csv, params=query)
    report = sender.job(accepted)
    assert stored_import(guarded, report).get("analyze", False) is False
    blobs = Blobs(guarded.environment["EDUGRAPH_BLOB_URL"])
    mapping = load_mapping(blobs, report["job_id"])
    assert mapping is not None
    assert (mapping.columns["S"], mapping.time_zone) == ("student_id", "Asia/Shanghai")
    in_rome = own_mapping.replace("D: timestamp}", "D: timestamp}, time_zone: Europe/Rome")
    csv["Edugraph-Mapping"] = base64.b64encode(in_rome.encode()).decode()
    accepted = sender.http.post("/v1/imports", content=rows, headers=csv, params=query)
    mapping = load_mapping(blobs, sender.job(accepted)["job_id"])
    assert mapping is not None
    assert mapping.time_zone == "Europe/Rome"
    assert "course_id" not in mapping.constants
    without_course = own_mapping.replace("C: course_id", "C: null")
    csv["Edugraph-Mapping"] = base64.b64encode(without_course.encode()).decode()
    accepted = sender.http.post("/v1/imports", content=rows, headers=csv, params=query)
    mapping = load_mapping(blobs, sender.job(accepted)["job_id"])
    assert mapping is not None
    assert mapping.constants["course_id"] == "MATH7"
    shown = operator.http.get(f"/v1/sources/{tables}").json()
    assert shown["default_course"] == "MATH7"

    logs = new_name()
    assert operator.create(logs, sender, kind="openedx", platform="https://a.example").is_success
    query = {"format": "openedx", "source": logs, "analyze": "true"}
    binary = {"Content-Type": "application/octet-stream"}
    accepted = sender.http.post("/v1/imports", content="{}\n", headers=binary, params=query)
    job = stored_import(guarded, sender.job(accepted))
    assert (job["platform"], job["analyze"]) == ("https://a.example", True)


def test_a_source_may_say_that_each_import_is_its_newest_state(
    guarded: Gateway, operator: Key, sender: Key
) -> None:
    """Out: the source in `_change_time`, or `changed_at` of an inline import."""
    snapshots, ordinary = new_name(), new_name()
    assert operator.create(snapshots, sender, changed_at="import").status_code == 201
    assert operator.create(ordinary, sender).status_code == 201
    lines = {"Content-Type": "application/x-ndjson"}
    for name, expected in ((snapshots, "import"), (ordinary, "record")):
        upload = sender.http.post(
            "/v1/imports", content=json.dumps(RECORD), headers=lines, params={"source": name}
        )
        for accepted in (upload, sender.import_record(source=name)):
            job = stored_import(guarded, sender.job(accepted))
            assert job.get("changed_at", "record") == expected
    answer = operator.http.put(f"/v1/sources/{ordinary}", json={"kind": "records", "changed_at": 1})
    assert answer.status_code == 422


def test_records_to_analyse_belong_to_a_source(
    guarded: Gateway, operator: Key, sender: Key
) -> None:
    """Out: `_keyed` in start_analysis, or the check of `analyse`."""
    name, silent = new_name(), new_name()
    operator.create(name, sender)
    operator.create(silent, sender, analyse=False)
    data = {"student_id": "s", "course_id": "c", "error_text": "1/2 = 2"}
    record = RECORD | {"type": "error_record", "record_id": "r", "data": data}

    def analyse(source: str, *ids: str) -> httpx.Response:
        records = [record | {"record_id": each} for each in ids]
        body = {"records": records, "source": source}
        return sender.http.post("/v1/analyses/errors", json=body)

    accepted = analyse(name, "r")
    assert sender.job(accepted)["source_name"] == name
    [sent] = stored_import(guarded, accepted.json())["records"]
    assert sent["record_id"] == f"@{name}/r"
    assert problem(analyse(silent, "r")) == (403, "source")
    assert problem(analyse("others", "r")) == (422, "source")
    too_long = analyse(name, "x" * 128)
    assert problem(too_long) == (422, "invalid-records")
    assert "is too long for the source" in too_long.json()["detail"]


def test_texts_of_a_keys_own_sources_are_read_again_if_they_are_analysed(
    guarded: Gateway, operator: Key, sender: Key, other_sender: Key
) -> None:
    """Out: each condition in `analysed_by`."""
    name, silent, others = new_name(), new_name(), new_name()
    operator.create(name, sender)
    operator.create(silent, sender, analyse=False)
    operator.create(others, other_sender)
    registry = SourceRegistry(connect(guarded.environment["EDUGRAPH_REDIS_URL"]))
    assert registry.analysed_by(sender.key_id) == (name,)
    assert registry.analysed_by("a key without sources") == ("default",)
    everything = registry.analysed_by("nobody", may_any=True)
    assert {name, others, "default"} <= set(everything)
    assert silent not in everything


def test_a_key_of_several_sources_must_name_one(operator: Key, sender: Key) -> None:
    names = sorted((new_name(), new_name()))
    for name in names:
        operator.create(name, sender)
    answer = sender.import_record()
    assert problem(answer) == (422, "source")
    assert ", ".join(names) in answer.json()["detail"]
    assert sender.job(sender.import_record(source=names[1]))["source_name"] == names[1]


def test_a_key_names_only_its_own_sources_and_learns_of_no_other(
    operator: Key, sender: Key, other_sender: Key
) -> None:
    """Out: `own` without the check of the keys; `seen_by` without `own`."""
    name = new_name()
    operator.create(name, sender)
    foreign = other_sender.import_record(source=name)
    unknown = other_sender.import_record(source=name[::-1])
    assert problem(foreign) == problem(unknown) == (422, "source")
    assert foreign.json()["detail"].replace(name, "") == unknown.json()["detail"].replace(
        name[::-1], ""
    )
    assert other_sender.http.get("/v1/sources").json()["sources"] == []
    assert other_sender.http.get(f"/v1/sources/{name}").status_code == 404
    for answer in (other_sender.change(name, other_sender), other_sender.create(new_name())):
        assert problem(answer) == (403, "scope")


def test_only_operators_see_the_other_keys_of_a_source(
    operator: Key, sender: Key, other_sender: Key
) -> None:
    name = new_name()
    operator.create(name, sender, other_sender)
    both = [sender.key_id, other_sender.key_id]
    assert operator.http.get(f"/v1/sources/{name}").json()["keys"] == both
    assert sender.http.get(f"/v1/sources/{name}").json()["keys"] == [sender.key_id]


def test_a_source_in_use_keeps_its_kind(operator: Key, sender: Key) -> None:
    """Out: KindIsFixed; `sadd` in `use`."""
    name = new_name()
    operator.create(name, sender, kind="table")
    assert problem(sender.import_record()) == (422, "source")
    assert not operator.http.get(f"/v1/sources/{name}").json()["in_use"]
    assert operator.change(name, sender, kind="records").status_code == 200
    sender.job(sender.import_record())
    assert operator.http.get(f"/v1/sources/{name}").json()["in_use"]
    assert problem(operator.change(name, sender, kind="xapi")) == (409, "in-use")
    changed = operator.change(name, sender, kind="records", analyse=False)
    assert changed.status_code == 200
    assert changed.json()["analyse"] is False
    assert problem(operator.change(new_name())) == (404, "not-found")


def test_kind_and_first_import_are_decided_in_one_order(operator: Key, sender: Key) -> None:
    """At most one succeeds of a change of the kind and a first import at the same time.

    Out: the transaction in `use`, or the watched keys in `change`.
    """
    for _ in range(6):
        name = new_name()
        operator.create(name, sender)
        with ThreadPoolExecutor(8) as pool:
            imports = [pool.submit(sender.import_record, source=name) for _ in range(4)]
            changes = [pool.submit(operator.change, name, sender, kind="xapi") for _ in range(4)]
        kind = operator.http.get(f"/v1/sources/{name}").json()["kind"]
        accepted = [each.result().status_code == 202 for each in imports]
        changed = [each.result().status_code == 200 for each in changes]
        assert kind == ("xapi" if any(changed) else "records")
        assert any(accepted) != any(changed)
        operator.change(name, kind=kind)


def test_a_key_that_lost_its_source_neither_resumes_nor_undoes(operator: Key, sender: Key) -> None:
    """A job that was accepted goes on with its source. Out: `check_source`."""
    name = new_name()
    operator.create(name, sender)
    job_id = sender.job(sender.import_record())["job_id"]
    operator.change(name)
    assert sender.http.get(f"/v1/jobs/{job_id}").json()["source_name"] == name
    assert sender.job(sender.import_record())["source_name"] == "default"
    assert sender.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    for action in ("resume", "undo"):
        assert problem(sender.http.post(f"/v1/jobs/{job_id}/{action}")) == (403, "source")
    assert operator.http.post(f"/v1/jobs/{job_id}/resume").status_code == 200


def test_making_and_changing_a_source_is_in_the_audit_log(guarded: Gateway, operator: Key) -> None:
    name = new_name()
    operator.create(name)
    operator.create(name)
    operator.change(name)
    redis = connect(guarded.environment["EDUGRAPH_REDIS_URL"])
    audit = Audit(redis, guarded.environment["EDUGRAPH_PRIVACY_SECRET"])
    entries = [
        (each.action, each.outcome) for each in audit.newest(None) if each.who == operator.key_id
    ]
    assert entries[::-1] == [
        ("source.create", "accepted"),
        ("source.create", "accepted"),
        ("source.create", "failed"),
        ("source.change", "accepted"),
    ]
