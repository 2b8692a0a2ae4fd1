"""Each command of the command line against gateway, workers and servers that are really there."""

import ast
import json
import os
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import neo4j
import pika
import pytest
from engines import System, real_engine
from typer.main import get_command
from waiting import until

from edugraph_cli.main import app
from edugraph_cli.serving import Pools
from edugraph_common.runtime.shared_state.audit import ENDED, ENTRIES
from edugraph_common.runtime.shared_state.job_store import connect

pytestmark = pytest.mark.real
# The demo starts servers of its own, insights too, and asks it. Drafts need insights and a model, and have the tests of
# test_drafts.py of the command line. Users of Redis have test_redis_users_command.py, with a Redis of its own.
OWN_TEST = {
    ("ask",),
    ("demo",),
    ("draft", "feedback"),
    ("draft", "summary"),
    ("redis-users", "create"),
    ("redis-users", "print"),
    ("redis-users", "update"),
}


@dataclass(frozen=True)
class Commands:
    """Runs commands."""

    system: System

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self.system.edugraph(*arguments)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with (
        real_engine(tmp_path_factory.mktemp("commands")) as engine,
        engine.serve(Pools(importer=1, findings=1, analyzer=1)) as running,
    ):
        yield Commands(running)


def _commands(command: Any = None, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    inner = getattr(command or get_command(app), "commands", None)
    if inner is None:
        return {path}
    return {found for name, each in inner.items() for found in _commands(each, (*path, name))}


def _file(folder: Path, student: str, number: int = 20, course: str = "c") -> Path:
    path = folder / "records.ndjson"
    data = {
        "student_id": student,
        "course_id": course,
        "error_text": "1/2 + 1/3 = 2/5",
        "question": "1/2 + 1/3?",
    }
    records = [
        {
            "type": "error_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"{student}-{index}",
            "data": data,
        }
        for index in range(number)
    ]
    path.write_text(
        "".join(f"{json.dumps(record)}\n" for record in records) + '{"type": "nonsense"}\n'
    )
    return path


def _bury(commands: Commands, task_id: str) -> None:
    connection = pika.BlockingConnection(
        pika.URLParameters(commands.system.engine.environment["EDUGRAPH_BROKER_URL"])
    )
    headers = {"id": task_id, "task": "import_batch_task", "x-edugraph-reason": "made up"}
    body = json.dumps(
        [[{"version": 1, "job_id": "none", "batch": 0, "records": []}], {}, {}]
    ).encode()
    connection.channel().basic_publish(
        "",
        "data_import.dead",
        body,
        pika.BasicProperties("application/json", "utf-8", headers, delivery_mode=2),
    )
    connection.close()


def _damage(commands: Commands) -> None:
    servers = commands.system.engine.environment
    auth = (servers["EDUGRAPH_NEO4J_USER"], servers["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(servers["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        driver.execute_query("MATCH (s:Student) WITH s LIMIT 1 SET s.name = 'nobody says so'")


def test_of_what_nothing_names_nothing_is_removed_or_renamed(commands: Commands) -> None:
    assert commands.json("graph", "remove", "group", "nobody's", "--yes") == {
        "removed": 0,
        "left": 0,
        "finished": True,
    }
    assert commands.json("graph", "rename", "group", "nobody", "somebody", "--yes", code=1) == {
        "moved": 0,
        "finished": True,
        "refused": "missing",
    }


def test_work_is_handed_in_and_watched(commands: Commands, tmp_path: Path) -> None:
    student = f"s-{uuid4().hex[:8]}"
    file = _file(tmp_path, student)
    assert commands.json("import", str(file), "--dry-run", code=1)["valid"] == 20
    report = commands.json("import", str(file), "--follow", "--analyze")
    assert (report["state"], report["written"], report["rejected"]) == ("succeeded", 20, 1)
    assert report["analysis"]["done"] == 20
    assert "batch 1 of 1" in commands.run("import", str(file), "--follow")
    job = report["job_id"]
    assert commands.json("jobs", "show", job)["state"] == "succeeded"
    assert job in {each["job_id"] for each in commands.json("jobs", "list", "--state", "succeeded")}
    assert json.loads(commands.run("jobs", "rejects", job))["line"] == 21
    commands.run("jobs", "cancel", job, code=2)
    commands.run("jobs", "resume", job, code=2)
    assert commands.json("jobs", "delete", job, "--yes") == {"deleted": job}
    analysed = tmp_path / "analysed.ndjson"
    analysed.write_text("".join(file.read_text().splitlines(keepends=True)[:20]))
    estimate = commands.json("analyze", "errors", str(analysed), "--estimate")
    assert estimate["items"] == 20
    assert commands.json("analyze", "errors", str(analysed), "--follow")["analysis"]["done"] == 20
    assert commands.json("graph", "summary")["nodes"]["ErrorRecord"] >= 20
    assert commands.json("persons", "contested")["contested"] == []
    assert commands.json("persons", "show", student)["person"] is None
    joined = commands.json("persons", "join", student, "card-1", "--follow")
    assert (joined["state"], joined["written"]) == ("succeeded", 1)
    assert commands.json("persons", "show", "card-1")["person"]["owner"] == student
    parted = commands.json("persons", "part", "card-1", "--follow")
    assert (parted["state"], parted["replaced"]) == ("succeeded", 1)
    assert commands.json("persons", "show", "card-1")["person"]["ids"] == ["card-1"]
    withdrawn = commands.json("persons", "withdraw", "card-1", "card-2", "--follow")
    assert (withdrawn["written"], withdrawn["unknown"]) == (2, 1)
    assert commands.json("persons", "show", "card-1")["person"] is None
    digest = commands.json("graph", "digest")["digest"]
    assert len(digest) == 64
    assert commands.json("graph", "verify")["wrong"] == {}
    _damage(commands)
    assert commands.json("graph", "verify", code=1)["wrong"] == {"Student": 1}
    assert commands.json("graph", "rebuild")["wrong"] == {"Student": 1}
    assert commands.json("graph", "digest")["digest"] == digest
    assert commands.json("restrict", student) == {"found": True, "restricted": True}
    assert student in commands.json("restricted")
    assert commands.json("restrict", student, "--lift") == {"found": True, "restricted": False}
    commands.run("export-person", student, "-o", str(tmp_path / "person.zip"))
    assert "graph/records.ndjson" in zipfile.ZipFile(tmp_path / "person.zip").namelist()
    names = str(tmp_path / "pseudonyms.db")
    commands.run(
        "pseudonymize", str(file), "-o", str(tmp_path / "out.ndjson"), "--map", names, code=1
    )
    pseudonym = commands.run("pseudonym", student, "--map", names).strip()
    assert (
        json.loads((tmp_path / "out.ndjson").read_text().splitlines()[0])["data"]["student_id"]
        == pseudonym
    )
    with zipfile.ZipFile(tmp_path / "roster.zip", "w") as roster:
        for name in ("users.csv", "classes.csv", "enrollments.csv"):
            roster.writestr(name, "sourcedId\n")
    commands.run("roster", str(tmp_path / "roster.zip"), "-o", str(tmp_path / "roster.ndjson"))
    task = commands.json("forget", student, "--yes")["task_id"]
    until(lambda: commands.json("tasks", "show", task)["state"] == "SUCCESS", 30)
    erased = commands.json("erasures", "list")
    assert erased
    task = commands.json("erasures", "replay")["task_id"]
    until(lambda: commands.json("tasks", "show", task)["state"] == "SUCCESS", 30)
    task = commands.json("erasures", "admit", student, "--yes")["task_id"]
    until(lambda: commands.json("tasks", "show", task)["state"] == "SUCCESS", 30)
    assert set(commands.json("erasures", "list")) < set(erased)
    assert commands.json("formats")[0]["format"] == "ndjson"


def test_a_source_is_registered_and_an_import_belongs_to_it(
    commands: Commands, tmp_path: Path
) -> None:
    name = f"canvas-{uuid4().hex[:8]}"
    made = commands.json("sources", "create", name, "--kind", "records")
    assert (made["name"], made["in_use"]) == (name, False)
    file = str(_file(tmp_path, f"s-{uuid4().hex[:8]}"))
    job = commands.json("import", file, "--source", name, "--follow")["job_id"]
    assert commands.json("jobs", "show", job)["source_name"] == name
    commands.run("import", file, "--source", "nobody-registered-it", code=2)
    changed = commands.json("sources", "change", name, "--no-analyse", "--changed-at", "import")
    assert (changed["analyse"], changed["in_use"]) == (False, True)
    assert changed["changed_at"] == "import"
    assert commands.json("sources", "show", name) == changed
    assert changed in commands.json("sources", "list")
    day = commands.json("sources", "live", name, "--day", "2026-09-21")
    assert (day["job_id"], day["accepted"]) == (f"live-{name}-2026-09-21", 0)
    begin = "2026-09-21T00:00:00Z"
    paused = commands.json(
        "sources", "change", name, "--live", "paused", "--live-from", "2026-09-21"
    )
    assert (paused["live"], paused["live_from"], paused["analyse"]) == ("paused", begin, False)
    budget = ["--live-texts", "200", "--live-share", "10"]
    limited = commands.json("sources", "change", name, *budget)
    assert (limited["live_texts_a_day"], limited["live_share_percent"]) == (200, 10)
    none = commands.json("sources", "change", name, "--live-texts", "0")
    assert (none["live_texts_a_day"], none["live_share_percent"]) == (None, 10)
    hours = ["--silent-after", "30", "--school-hours", "07:30-15:00"]
    expected = commands.json("sources", "change", name, *hours)
    assert (expected["silent_after_minutes"], expected["school_hours"]) == (30, "07:30-15:00")
    commands.run("sources", "change", name, "--school-hours", "15:00-07:30", code=2)
    never = commands.json("sources", "change", name, "--silent-after", "0")
    assert never["silent_after_minutes"] is None


def test_a_source_is_tried_and_pulled(commands: Commands, tmp_path: Path) -> None:
    """A file that is pulled twice is in the graph once. Canvas and OneRoster are asked in tests of their own."""
    name = f"lms-{uuid4().hex[:8]}"
    commands.json("sources", "create", name, "--kind", "records")
    exports = tmp_path / "exports"
    exports.mkdir()
    file = _file(exports, f"s-{uuid4().hex[:8]}")
    hour_ago = time.time() - 3_600  # a file that is being written is left for the next round
    os.utime(file, (hour_ago, hour_ago))
    good_rows = 20
    tried = commands.json("sources", "test", name, str(file), code=1)  # one row is not a record
    assert (tried["report"]["valid"], tried["report"]["rejected"]) == (good_rows, 1)
    pulled = commands.json("pull", "folder", name, str(exports))
    (job,) = pulled["jobs"].values()
    until(lambda: commands.json("jobs", "show", job)["state"] == "succeeded", 60)
    report = commands.json("jobs", "show", job)
    assert (report["source_name"], report["written"]) == (name, good_rows)
    assert commands.json("pull", "folder", name, str(exports))["jobs"] == {}
    commands.run("pull", "canvas", name, "--url", "http://127.0.0.1:1", code=2)  # without a token
    commands.run("pull", "oneroster", name, "--url", "http://127.0.0.1:1", code=2)
    nowhere = "http://127.0.0.1:1"
    lti = ("--platform", nowhere, "--client-id", "x", "--token-url", nowhere, "--members", nowhere)
    commands.run("pull", "lti", name, *lti, code=2)  # without a key


def test_a_curriculum_is_imported(commands: Commands, tmp_path: Path) -> None:
    outline = tmp_path / "outline.csv"
    point = f"P-{uuid4().hex[:8]}"
    outline.write_text(f"id,label,description\n{point},1.1,Add fractions\n")
    report = commands.json("curriculum", "import", str(outline), "--follow")
    assert (report["state"], report["written"], report["rejected"]) == ("succeeded", 1, 0)


def test_texts_are_read_again_when_points_are_stated(commands: Commands, tmp_path: Path) -> None:
    """Out: the route of `read_again_task`, or the requests in `_start_reading`."""
    course = f"c-{uuid4().hex[:8]}"
    file = _file(tmp_path, f"s-{uuid4().hex[:8]}", course=course)
    assert commands.json("import", str(file), "--follow", "--analyze")["analysis"]["done"] == 20
    point = {"point_id": f"p {course}", "name": "Common denominators", "course_id": course}
    record = {"type": "point_record", "timestamp": "2026-01-05T08:00:00Z", "data": point}
    stated = tmp_path / "points.ndjson"
    stated.write_text(f"{json.dumps(record)}\n")
    assert commands.json("import", str(stated), "--follow")["written"] == 1
    estimate = commands.json("curriculum", "read-again", course, "--estimate")
    assert (estimate["texts"], estimate["not_kept"]) == ({"error": 20}, 0)
    report = commands.json("curriculum", "read-again", course, "--yes", "--follow")
    assert (report["kind"], report["state"], report["source"]) == (
        "analysis",
        "succeeded",
        f"course {course}",
    )
    assert report["analysis"]["done"] == 20
    assert commands.json("graph", "verify")["wrong"] == {}
    nothing = commands.json("curriculum", "read-again", "nobody's", "--estimate")
    assert (nothing["texts"], nothing["cost"]) == ({}, 0.0)


def test_an_import_is_undone(commands: Commands, tmp_path: Path) -> None:
    digest = commands.json("graph", "digest")["digest"]
    file = _file(tmp_path, f"s-{uuid4().hex[:8]}")
    job = commands.json("import", str(file), "--follow")["job_id"]
    undone = commands.json("imports", "undo", job, "--yes")
    assert undone == {
        "taken_back": 20,
        "came_back": 0,
        "not_restored": 0,
        "not_restored_ids": [],
        "activities_left": 0,
    }
    assert commands.json("graph", "digest")["digest"] == digest


def test_what_reviewers_say_is_kept_once(commands: Commands, tmp_path: Path) -> None:
    assert commands.json("reviews", "pair", "error_type", "E1", "sign errors", "same") == {
        "reviews": 1
    }
    said = tmp_path / "reviews.ndjson"
    said.write_text(commands.run("reviews", "export"))
    assert json.loads(said.read_text())["verdict"] == "same"
    assert commands.json("reviews", "send", str(said)) == {"reviews": 1}
    assert len(commands.run("reviews", "export").splitlines()) == 1
    assert commands.json("reviews", "prerequisite", "fractions", "sums", "rejected") == {
        "reviews": 1
    }
    assert '"requires":"sums"' in commands.run("reviews", "export")


def test_points_are_compared_when_somebody_asks(commands: Commands) -> None:
    asked = commands.json("reviews", "propose")
    assert asked["points"] >= 0
    assert asked["left_out"] == 0


def test_dead_letters_are_looked_at_sent_again_and_dropped(
    commands: Commands, tmp_path: Path
) -> None:
    for task_id in ("one", "two"):
        _bury(commands, task_id)
    until(lambda: commands.json("dead", "list")["counts"]["data_import"] == 2, 10)
    assert commands.json("dead", "show", "data_import", "one")["letter"]["reason"] == "made up"
    assert commands.json("dead", "replay", "data_import", "one")["replayed"] == 1
    kept = tmp_path / "dead.ndjson"
    kept.write_text(commands.run("dead", "export", "data_import"))
    assert commands.json("dead", "drop", "data_import", "two") == {"dropped": 1}
    assert commands.json("dead", "restore", str(kept)) == {"data_import": 1}
    until(lambda: commands.json("dead", "list")["counts"]["data_import"] == 1, 10)
    assert commands.json("dead", "drop", "data_import", "two") == {"dropped": 1}
    commands.run("dead", "show", "data_import", "two", code=2)


def test_what_an_operator_does(commands: Commands) -> None:
    # Other tests write into the log with secrets of their own, which is a broken chain.
    with connect(commands.system.engine.environment["EDUGRAPH_REDIS_URL"]) as client:
        client.delete(ENTRIES, ENDED)
    key = commands.json("keys", "create", "test", "--scope", "read")["key_id"]
    assert key in {each["key_id"] for each in commands.json("keys", "list")}
    assert commands.json("keys", "grant", key, "--scope", "personal")["scopes"] == [
        "read",
        "personal",
    ]
    assert commands.json("keys", "revoke", key) == {"revoked": key}
    assert [e["action"] for e in commands.json("audit", "list", "--limit", "3")] == [
        f"key.{each}" for each in ("revoke", "grant", "create")
    ]
    verified = commands.json("audit", "verify")
    assert verified["fault"] is None
    assert (
        commands.json("audit", "verify", "--expect", verified["last"])["last"] == verified["last"]
    )
    assert commands.json("audit", "end") == {"ended": 0}
    assert commands.json("sessions", "list") == []
    assert commands.json("sessions", "end", "oidc:nobody") == {"ended": 0}
    assert commands.json("topology", "check") == []
    assert commands.json("topology", "apply")
    assert commands.json("cache", "stats")["hits"] >= 0
    assert commands.json("cache", "clear", "--kind", "error", "--yes")["cleared"] >= 0
    assert commands.json("provider", "check")[0]["name"] == "provider"
    checks = commands.json("doctor")
    servers = {"broker", "redis", "graph", "blobs"}
    workers = {"importer", "splits", "findings", "analyzer", "splits: Redis", "analyzer: provider"}
    assert {each["name"] for each in checks if each["ok"]} >= servers | workers


def test_the_offline_analyser_is_taught_a_course(commands: Commands, tmp_path: Path) -> None:
    records, labels = tmp_path / "mistakes.ndjson", tmp_path / "labels.ndjson"
    records.write_text(
        "".join(_file(tmp_path, "taught", 100).read_text().splitlines(keepends=True)[:100])
    )
    said = (
        {"record_id": f"taught-{number}", "knowledge_point": "fractions"} for number in range(100)
    )
    labels.write_text("".join(f"{json.dumps(each)}\n" for each in said))
    (fitted,) = commands.json("analyzer", "fit", str(records), str(labels))
    assert commands.json("analyzer", "fits") == [fitted]
    assert (fitted["course_id"], fitted["items"]) == ("c", 100)
    commands.run("analyzer", "drop", "c", "--version", fitted["version"], "--yes")
    assert commands.json("analyzer", "fits") == []


def test_the_graph_is_exported(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "graph.graphml"
    exported = commands.json("graph", "export", str(path), "--format", "graphml")
    assert path.read_text(encoding="utf-8").count("<node ") == exported["nodes"]


def test_the_graph_becomes_tables(commands: Commands, tmp_path: Path) -> None:
    file = _file(tmp_path, f"s-{uuid4().hex[:8]}")
    commands.run("import", str(file), "--follow")
    folder = tmp_path / "warehouse"
    synced = commands.json("warehouse", "sync", str(folder))
    assert synced["students"] > 0
    assert synced["mistakes"] >= 20
    assert commands.json("warehouse", "sync", str(folder), "--whole") == synced


def test_a_school_is_made_up(commands: Commands, tmp_path: Path) -> None:
    made = tmp_path / "made.ndjson"
    commands.run("synthesize", "--students", "10", "--records", "1000", "-o", str(made))
    assert len(made.read_text(encoding="utf-8").splitlines()) > 500


def test_no_command_was_left_out() -> None:
    """Told from the text of this file, so that it holds alone and in any order."""
    calls = [
        node
        for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"commands.run", "commands.json"}
    ]
    tried = {command for command in _commands() for call in calls if _begins(call, command)}
    assert tried == _commands() - OWN_TEST


def _begins(call: ast.Call, command: tuple[str, ...]) -> bool:
    words = [word.value for word in call.args[: len(command)] if isinstance(word, ast.Constant)]
    return words == list(command)
