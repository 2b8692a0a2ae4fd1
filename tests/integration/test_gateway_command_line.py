"""The command line against a real gateway; what workers would report is reported here."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import edugraph, edugraph_here
from gateway_alone import RECORD, Gateway, gateway, virtual_host

from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("cli")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as started:
        yield started


def _edugraph(
    running: Gateway, *arguments: str, key: str = "", stdin: str | None = None
) -> "subprocess.CompletedProcess[str]":
    environment = {**running.environment, "EDUGRAPH_URL": running.url, "EDUGRAPH_API_KEY": key}
    if stdin is None:
        return edugraph_here(environment, *arguments)
    return edugraph(environment, *arguments, stdin=stdin)


@pytest.fixture(scope="module")
def key(running: Gateway) -> str:
    scopes = [
        part for scope in ("read", "submit", "operate", "erase") for part in ("--scope", scope)
    ]
    made = _edugraph(running, "keys", "create", "test", *scopes, "--json")
    return str(json.loads(made.stdout)["key"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "records.ndjson"
    path.write_text(f"{json.dumps(RECORD)}\n" * 50)
    return path


def _work(running: Gateway, job_id: str, batches: int) -> None:
    """As the importer reports it, the last batch failing."""
    jobs, now = Jobs(connect(running.environment["EDUGRAPH_REDIS_URL"])), datetime.now(UTC)
    jobs.begin(job_id, batches, now)
    for batch in range(batches):
        time.sleep(0.3)
        failed = batch == batches - 1
        counts = {"failed": 10, "error": "Neo4j is away"} if failed else {"written": 10}
        state = "failed" if failed else "written"
        jobs.settle_batch(
            BatchOutcome(job_id=job_id, batch=batch, state=state, read=10, **counts), now
        )
    jobs.imported(job_id, now)
    jobs.finish_if_complete(job_id, now)


def test_an_import_is_followed_to_its_end(running: Gateway, key: str, file: Path) -> None:
    accepted = json.loads(_edugraph(running, "import", str(file), "--json", key=key).stdout)
    worker = threading.Thread(target=_work, args=(running, accepted["job_id"], 5))
    worker.start()
    shown = _edugraph(running, "jobs", "show", accepted["job_id"], "--follow", key=key)
    worker.join()
    lines = [line for line in shown.stdout.splitlines() if "batch" in line]
    numbers = [int(line.split("batch ")[1].split(" of")[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 5
    assert shown.returncode == 1
    assert "partly failed" in shown.stdout


def test_a_malformed_file_is_the_gateways_sentence_and_exit_code_2(
    running: Gateway, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "half.ndjson"
    path.write_bytes(b'{"type": "course_con')
    done = _edugraph(running, "import", str(path), "--follow", key=key)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "cut off" in done.stderr


def test_a_file_of_one_endless_line_is_refused_while_it_is_sent(
    running: Gateway, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "long.ndjson"
    path.write_bytes(b"x" * 50_000_000)
    done = _edugraph(running, "import", str(path), key=key)
    assert done.returncode == 2
    assert "longer than" in done.stderr


def test_without_a_key_it_is_exit_code_4(running: Gateway) -> None:
    done = _edugraph(running, "jobs", "list")
    assert done.returncode == 4
    assert "keys create" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "list"],
        ["jobs", "list", "--json"],
        ["tasks", "show", "nobody-knows"],
        ["dead", "list"],
        ["dead", "list", "--json"],
        ["dead", "replay", "data_import", "--all"],
        ["dead", "drop", "data_import", "--all"],
        ["keys", "list"],
        ["keys", "list", "--json"],
        ["topology", "apply"],
        ["topology", "check"],
        ["forget", "s-1", "--yes"],
        ["topology", "apply", "--json"],
        ["topology", "check", "--json"],
        ["forget", "s-2", "--yes", "--json"],
        ["formats"],
        ["formats", "--json"],
        ["sources", "list"],
        ["sources", "list", "--json"],
        ["sources", "live"],
        ["sources", "live", "--json"],
        ["doctor", "--json"],
        ["cache", "stats"],
        ["cache", "stats", "--json"],
        ["cache", "clear", "--kind", "error", "--yes", "--json"],
        ["provider", "check"],
        ["provider", "check", "--json"],
    ],
    ids=" ".join,
)
def test_each_command_does_its_work(running: Gateway, key: str, arguments: list[str]) -> None:
    done = _edugraph(running, *arguments, key=key)
    assert done.returncode in ({0, 1} if arguments[0] == "doctor" else {0}), done.stderr
    if "--json" in arguments:
        json.loads(done.stdout)


def test_a_dry_run_writes_nothing_and_completion_is_there(running: Gateway, file: Path) -> None:
    done = _edugraph(running, "import", str(file), "--dry-run", "--json")
    assert json.loads(done.stdout)["valid"] == 50
    script = subprocess.run(
        [Path(sys.executable).with_name("edugraph")],
        env={**os.environ, "_EDUGRAPH_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "complete" in script.stdout


def test_cancel_resume_and_revoke(running: Gateway, key: str, file: Path) -> None:
    job = json.loads(_edugraph(running, "import", str(file), "--json", key=key).stdout)["job_id"]
    assert "cancelled" in _edugraph(running, "jobs", "cancel", job, key=key).stdout
    assert "running" in _edugraph(running, "jobs", "resume", job, key=key).stdout
    assert _edugraph(running, "jobs", "show", job, key=key).returncode == 0
    assert _edugraph(running, "jobs", "rejects", job, key=key).stdout == ""
    wrong = _edugraph(running, "keys", "create", "x", "--scope", "read", "--expires", "soon")
    assert (wrong.returncode, "90d" in wrong.stderr) == (2, True)
    ends = ("--expires", "90d", "--json")
    other = json.loads(_edugraph(running, "keys", "create", "x", "--scope", "read", *ends).stdout)
    created, expires = (datetime.fromisoformat(other[name]) for name in ("created", "expires"))
    assert expires - created == timedelta(days=90)
    assert _edugraph(running, "keys", "revoke", other["key_id"]).returncode == 0
    assert _edugraph(running, "keys", "revoke", other["key_id"]).returncode == 2


def test_analyses_and_standard_input(running: Gateway, key: str, file: Path) -> None:
    done = _edugraph(running, "analyze", "knowledge-points", str(file), "--json", key=key)
    assert json.loads(done.stdout)["job_id"]
    piped = _edugraph(
        running, "import", "-", "--json", key=key, stdin=file.read_text(encoding="utf-8")
    )
    assert json.loads(piped.stdout)["job_id"]
