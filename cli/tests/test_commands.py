"""Usage: what is said without any server, and with which exit code."""

import json
import stat
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from edugraph_cli.commands.importing import source_of
from edugraph_cli.main import app
from edugraph_client import Client
from edugraph_common.contracts.api import Accepted

runner = CliRunner()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUGRAPH_URL", "http://127.0.0.1:1")
    for name in ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL", "EDUGRAPH_BLOB_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_missing_file_an_empty_folder_and_an_empty_file_are_one_sentence(tmp_path: Path) -> None:
    empty, folder = tmp_path / "empty.ndjson", tmp_path / "folder"
    empty.touch()
    folder.mkdir()
    for path, words in (
        (tmp_path / "nope", "no such file"),
        (folder, "there is no file in it"),
        (empty, "is empty"),
    ):
        done = runner.invoke(app, ["import", str(path)])
        assert done.exit_code == 2
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.loopback("a port where nothing listens")
@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "list"],
        ["jobs", "show", "x"],
        ["graph", "digest"],
        ["tasks", "show", "x"],
        ["dead", "list"],
        ["forget", "s", "--yes"],
        ["doctor"],
    ],
)
def test_a_gateway_that_is_not_there_is_exit_code_3(arguments: list[str]) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code == 3
    assert "EDUGRAPH_URL" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["topology", "check"], ["keys", "list"], ["cache", "stats"], ["analyzer", "fits"]]
)
def test_a_direct_command_names_the_settings_it_lacks(arguments: list[str]) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert "EDUGRAPH_REDIS_URL" in done.stderr


@pytest.mark.parametrize("command", ["create", "print", "update"])
def test_users_of_redis_need_two_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    arguments = ["redis-users", command]
    if command != "update":
        arguments.append(str(tmp_path / "logins"))
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert "EDUGRAPH_REDIS_URL" in done.stderr
    monkeypatch.setenv("EDUGRAPH_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("EDUGRAPH_REDIS_KEY_PREFIX", "edugraph:")
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert "EDUGRAPH_REDIS_KEY_PREFIX" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["cache", "stats"],
        ["cache", "clear", "--yes"],
        ["provider", "check"],
        ["analyzer", "fit", "records.ndjson", "labels.ndjson"],
    ],
)
def test_without_the_analyzer_its_commands_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL", "EDUGRAPH_BLOB_URL"):
        monkeypatch.setenv(name, "redis://127.0.0.1:1")
    for name in [name for name in sys.modules if name.startswith("edugraph_analyzer.")]:
        # Python does not look at the package of a module that it has loaded.
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "edugraph_analyzer", None)
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert "edugraph-cli[analyzer]" in done.stderr


@pytest.fixture
def own_blobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL", "EDUGRAPH_BLOB_URL"):
        monkeypatch.setenv(
            name, "redis://127.0.0.1:1" if name != "EDUGRAPH_BLOB_URL" else str(tmp_path / "blobs")
        )
    return tmp_path / "blobs"


def test_a_course_is_fitted_from_files_listed_and_dropped(own_blobs: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.ndjson" for name in ("records", "labels")}
    numbers = [
        (course, number)
        for course, count in (("algebra", 100), ("small", 99))
        for number in range(count)
    ]
    with files["records"].open("w") as records, files["labels"].open("w") as labels:
        for course, number in numbers:
            said = ("kept the sign when moving a term", "added both denominators")[number % 2]
            data = {"student_id": f"s{number}", "course_id": course, "error_text": said}
            record = {
                "type": "error_record",
                "timestamp": "2026-01-05",
                "record_id": f"{course} {number}",
            }
            records.write(json.dumps({**record, "data": data}) + "\n")
            labels.write(
                json.dumps({"record_id": f"{course} {number}", "knowledge_point": f"p{number % 2}"})
                + "\n"
            )
    paths = [str(path) for path in files.values()]
    done = runner.invoke(app, ["analyzer", "fit", *paths])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split("\t")[:1] == ["algebra"]
    assert "small has 99 labelled mistakes" in done.stdout + done.stderr
    (fitted,) = json.loads(runner.invoke(app, ["analyzer", "fits", "--json"]).stdout)
    assert (fitted["course_id"], fitted["items"], fitted["held_out"]["hit@1_same_question"]) == (
        "algebra",
        100,
        1.0,
    )
    assert runner.invoke(app, ["analyzer", "fit", *paths, "--course", "small"]).exit_code == 1
    assert runner.invoke(app, ["analyzer", "drop", "small", "--yes"]).exit_code == 2
    assert runner.invoke(app, ["analyzer", "drop", "algebra", "--yes"]).exit_code == 0
    assert [path for path in own_blobs.rglob("*") if path.is_file()] == []


ESTIMATE = {"items": 2, "different": 1, "input_tokens": 1_234, "cost": None, "minutes": 0.25}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.ndjson"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    return path


def _gateway_that_estimates(
    monkeypatch: pytest.MonkeyPatch, task: dict[str, object]
) -> list[httpx.Request]:
    """A gateway that knows only the two requests of an estimate; returns the list of the requests that it got."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/v1/analyses/errors/estimate":
            return httpx.Response(202, json={"job_id": "j", "task_id": "t"})
        return httpx.Response(
            200 if request.url.path == "/v1/tasks/t" else 404, json={"task_id": "t", **task}
        )

    client = Client("http://gateway", transport=httpx.MockTransport(answer))
    monkeypatch.setattr(Client, "from_environment", lambda: client)
    return asked


def _gateway_that_accepts(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Let a gateway accept all work. Return the list of the requests that it gets."""
    asked = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        return httpx.Response(202, json={"job_id": "j", "task_id": "t", "links": {}})

    # A client that was used is closed, so each command gets a new one.
    monkeypatch.setattr(
        Client,
        "from_environment",
        lambda: Client("http://gateway", transport=httpx.MockTransport(answer)),
    )
    return asked


def test_an_estimate_is_asked_of_the_api(monkeypatch: pytest.MonkeyPatch, records: Path) -> None:
    asked = _gateway_that_estimates(
        monkeypatch, {"state": "SUCCESS", "result": ESTIMATE, "error": None}
    )
    done = runner.invoke(app, ["analyze", "errors", str(records), "--estimate", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, ESTIMATE)
    assert json.loads(asked[0].content) == {"records": [{"a": 1}, {"a": 2}]}
    assert [request.url.path for request in asked] == [
        "/v1/analyses/errors/estimate",
        "/v1/tasks/t",
    ]


def test_economy_is_asked_of_the_api_and_needs_an_analysis(
    monkeypatch: pytest.MonkeyPatch, records: Path
) -> None:
    asked = _gateway_that_accepts(monkeypatch)
    analyze = ["analyze", "errors", str(records), "--economy", "--source", "lms"]
    assert runner.invoke(app, analyze).exit_code == 0
    assert json.loads(asked[0].content)["source"] == "lms"
    assert runner.invoke(app, ["import", str(records), "--analyze", "--economy"]).exit_code == 0
    assert (
        runner.invoke(app, ["import", "s3://a/b.ndjson", "--analyze", "--economy"]).exit_code == 0
    )
    assert [json.loads(asked[number].content)["economy"] for number in (0, 2)] == [True, True]
    assert asked[1].url.params["economy"] == "true"
    refused = runner.invoke(app, ["import", str(records), "--economy"])
    assert (refused.exit_code, "--analyze" in refused.stderr, len(asked)) == (2, True, 3)


def test_an_estimate_is_shown_to_a_person(monkeypatch: pytest.MonkeyPatch, records: Path) -> None:
    _gateway_that_estimates(monkeypatch, {"state": "SUCCESS", "result": ESTIMATE, "error": None})
    done = runner.invoke(app, ["analyze", "errors", str(records), "--estimate"])
    assert done.exit_code == 0
    assert "EDUGRAPH_PRICES" in done.stdout
    assert "1,234" in done.stdout


def test_an_estimate_of_an_economy_job_is_asked_for_and_shown_as_such(
    monkeypatch: pytest.MonkeyPatch, records: Path
) -> None:
    cheap = {**ESTIMATE, "cost": 0.5, "minutes": 1_500.0, "economy": True}
    asked = _gateway_that_estimates(
        monkeypatch, {"state": "SUCCESS", "result": cheap, "error": None}
    )
    done = runner.invoke(app, ["analyze", "errors", str(records), "--estimate", "--economy"])
    assert json.loads(asked[0].content)["economy"] is True
    assert "0.5000" in done.stdout
    assert "at most 1500.0" in done.stdout


def test_an_estimate_that_failed_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, records: Path
) -> None:
    _gateway_that_estimates(
        monkeypatch, {"state": "FAILURE", "result": None, "error": "Rejected: no such model"}
    )
    done = runner.invoke(app, ["analyze", "errors", str(records), "--estimate"])
    assert done.exit_code == 1
    assert "no such model" in done.stdout


def test_all_dead_letters_must_be_asked_for_by_name() -> None:
    done = runner.invoke(app, ["dead", "drop", "data_import"])
    assert done.exit_code == 2
    assert "--all" in done.stderr


def test_every_command_has_a_help_page() -> None:
    for command in (
        ["import"], ["analyze"], ["sources"], ["doctor"], ["forget"], ["demo"], ["jobs", "cancel"],
        ["keys", "create"], ["dead", "replay"], ["topology", "apply"], ["graph", "summary"],
        ["cache", "clear"], ["erasures", "admit"], ["provider", "check"], ["persons", "show"],
    ):  # fmt: skip
        assert runner.invoke(app, [*command, "--help"]).exit_code == 0


def test_what_an_erasure_left_is_said_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {
        "store": "files",
        "job_id": "j1",
        "key": "jobs/j1/source.csv",
        "reason": "its job has not ended",
    }
    removed = {
        "graph": {"Student": 1},
        "files": {"files": 2, "rows": 3, "rejects": 0},
        "jobs": {"texts": 0},
    }
    mention = {"label": "Interaction", "record_id": "r-7"}
    result = {
        "removed": removed,
        "left": [left],
        "left_in_all": 5,
        "mentions": [mention],
        "mentions_in_all": 2,
        "ids": [{"student_id": "4"}, {"student_id": "S04"}],
        "claims": [
            {"person_id": "S04", "also": ["4", "shared"]},
            {"person_id": "S05", "also": ["shared"]},
            {"person_id": "S06", "also": ["4", "S06-moodle"]},
        ],
        "claims_in_all": 4,
    }
    task = {"task_id": "t", "state": "SUCCESS", "error": None, "result": result}
    monkeypatch.setattr(
        Client, "forget", lambda *_, **__: Accepted(job_id="j", task_id="t", links={})
    )
    monkeypatch.setattr(Client, "follow_task", lambda *_: task)
    done = runner.invoke(app, ["forget", "4", "--yes", "--follow"])
    assert "Left in jobs/j1/source.csv (files): its job has not ended." in done.output
    assert "Left in 4 more places." in done.output
    assert "The text of Interaction r-7 names the person" in done.output
    assert "So do 1 more texts." in done.output
    assert "Ids of this person: 4, S04." in done.output
    assert "S04 claims 4, shared.\nNot erased, since others claim it too: shared." in done.output
    assert "S05 claims shared.\nS06 claims" in done.output
    assert "S06 stays, but each row of a list by which they claim 4 is removed" in done.output
    assert "S05 stays" not in done.output
    assert "S04 stays" not in done.output
    assert "1 more persons claim" in done.output
    assert "'rows': 3" in done.output
    assert "texts': 0" not in done.output
    as_json = runner.invoke(app, ["forget", "4", "--yes", "--follow", "--json"])
    assert json.loads(as_json.stdout)["result"] == result


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("a.ndjson", b'{"type": 1}\n', ("ndjson", None)),
        ("a.csv", b"a,b\n1,2\n", ("csv", None)),
        ("a.ndjson.gz", b"\x1f\x8b\x08\x00", ("ndjson", "gzip")),
        # The gateway says what is wrong with this file.
        ("broken.bin", b"\xff\xfe\x00\xd8", ("ndjson", None)),
    ],
)
def test_what_a_file_is_is_found_out(
    tmp_path: Path, name: str, body: bytes, expected: tuple[str, str | None]
) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    path.chmod(stat.S_IRUSR)
    source = source_of(path, None, None)
    assert (source.format, source.compression) == expected


def test_a_curriculum_is_sent_in_the_format_that_its_beginning_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Out: let `_detected` look at the name of the file alone."""
    asked = _gateway_that_accepts(monkeypatch)
    file = tmp_path / "curriculum"
    for text, form in (
        ('{"CFDocument": {}, "CFItems": []}', "case"),
        ("编号,名称\n1,数\n", "outline"),
        ('{"domains": {}, "standards": {}, "edges": []}', "coherence_map"),
        ("window.cc = {};", "coherence_map"),
        ("<collection/>", "openstax"),
        ('{"id": "b", "tree": {"contents": []}}', "openstax"),
    ):
        file.write_text(text, encoding="utf-8")
        command = ["curriculum", "import", str(file), "--source", "state"]
        done = runner.invoke(app, command)
        assert done.exit_code == 0
        assert asked[-1].url.params["format"] == form
        assert asked[-1].url.params["source"] == "state"
    file.write_text('{"items": []}', encoding="utf-8")
    refused = runner.invoke(app, ["curriculum", "import", str(file)])
    assert (refused.exit_code, len(asked)) == (2, 6)
    assert "is JSON of an unknown kind" in refused.stderr


def test_a_dry_run_of_a_curriculum_says_which_points_are_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "outline.csv"
    file.write_text("id,parent,name\na,,Number\nb,lost,Sums\n", encoding="utf-8")
    done = runner.invoke(app, ["curriculum", "import", str(file), "--dry-run", "--json"])
    report = json.loads(done.stdout)
    assert (done.exit_code, report["valid"], report["rejected"]) == (1, 1, 1)
    assert report["errors"][0]["reason"] == "is not there"
    book = tmp_path / "book.xml"
    book.write_text('<collection><content><module document="m1"/></content></collection>')
    done = runner.invoke(app, ["curriculum", "import", str(book), "--dry-run", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["valid"]) == (0, 1)
