"""`edugraph pull folder`: each new or changed file once, from a folder and from a real S3 server."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from gateway_alone import RECORD, Gateway, gateway, virtual_host
from pulls import Pulled, Target, pull, target
from s3_server import bucket_on, s3_server
from s3fs import S3FileSystem
from typer.testing import CliRunner
from waiting import until

from edugraph_cli.main import app
from edugraph_cli.pulling.rounds import Part
from edugraph_cli.pulling.rounds import pull as pull_round
from edugraph_client import Client, Unreachable
from edugraph_common.contracts.data_sources import MOST_PLACES

pytestmark = pytest.mark.real
OLD_SECONDS = 60
MAPPING = """
type: attempt_record
columns: {Pupil: student_id, Item: item_id, Right: correct, Day: timestamp}
"""
HEADER = "Pupil,Item,Right,Day\n"
ROW = "s1,i1,1,2026-05-01\n"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("pulls")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as running:
        yield running


@pytest.fixture
def records(guarded: Gateway) -> Iterator[Target]:
    with target(guarded, kind="records") as own:
        yield own


def line(text: str) -> str:
    return json.dumps({**RECORD, "data": {"course_id": "C", "content": text}}) + "\n"


def write(path: Path, text: str, *, age_seconds: float = OLD_SECONDS) -> None:
    """Write a file that changed some time ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    changed = time.time() - age_seconds
    os.utime(path, (changed, changed))


def test_each_new_or_changed_file_is_imported_once(records: Target, tmp_path: Path) -> None:
    """Out: the comparison of versions, the place of a part, or saving the cursor."""
    write(tmp_path / "a.ndjson", line("a"))
    write(tmp_path / "term/b.ndjson", line("b"))
    write(tmp_path / ".hidden.ndjson", line("hidden"))
    write(tmp_path / ".cache/c.ndjson", line("hidden"))
    assert pull("folder", records.name, tmp_path).names == ["a.ndjson", "term/b.ndjson"]
    assert pull("folder", records.name, tmp_path).names == []
    write(tmp_path / "a.ndjson", line("a changed"), age_seconds=30)
    write(tmp_path / "d.ndjson", line("d"))
    assert pull("folder", records.name, tmp_path) == Pulled(0, ["a.ndjson", "d.ndjson"], [])
    assert records.imported() == Counter({"a.ndjson": 2, "term/b.ndjson": 1, "d.ndjson": 1})


def test_the_cursor_names_no_file_and_forgets_files_that_are_gone(
    records: Target, tmp_path: Path
) -> None:
    """Out: the hash of the name, or `kept`."""
    write(tmp_path / "Marked Student.ndjson", line("a"))
    write(tmp_path / "b.ndjson", line("b"))
    pull("folder", records.name, tmp_path)
    cursor = records.get(f"/v1/sources/{records.name}/cursor")
    assert len(cursor["places"]) == 2
    assert "Marked" not in json.dumps(cursor)
    (tmp_path / "b.ndjson").unlink()
    pull("folder", records.name, tmp_path)
    assert len(records.get(f"/v1/sources/{records.name}/cursor")["places"]) == 1
    (tmp_path / "Marked Student.ndjson").unlink()
    pull("folder", records.name, tmp_path)
    kept = records.get(f"/v1/sources/{records.name}/cursor")["places"]
    assert len(kept) == 1, "an empty folder may be one that is not mounted"


def test_a_file_that_may_be_unfinished_waits_for_the_next_round(
    records: Target, tmp_path: Path
) -> None:
    """Out: `_may_be_unfinished`."""
    write(tmp_path / "a.ndjson", line("a"), age_seconds=1)
    assert pull("folder", records.name, tmp_path).names == []
    write(tmp_path / "a.ndjson", line("a"), age_seconds=11)
    assert pull("folder", records.name, tmp_path).names == ["a.ndjson"]


def test_a_changed_header_is_one_sentence_and_stops_no_other_file(
    guarded: Gateway, tmp_path: Path
) -> None:
    """Out: `_OF_THE_FILE`; or note the place of a refused file."""
    with target(guarded, kind="table", mapping=MAPPING) as own:
        write(tmp_path / "a.csv", HEADER + ROW)
        write(tmp_path / "b.csv", HEADER.replace("Right", "Correct") + ROW)
        write(tmp_path / "c.txt", HEADER + ROW)
        done = pull("folder", own.name, tmp_path)
        assert (done.code, done.names) == (1, ["a.csv", "c.txt"])
        [sentence] = done.problems
        assert sentence.startswith("b.csv: ")
        assert "the header lacks Right" in sentence
        assert pull("folder", own.name, tmp_path).problems == [sentence]
        write(tmp_path / "b.csv", HEADER + ROW.replace("s1", "s2"))
        assert pull("folder", own.name, tmp_path) == Pulled(0, ["b.csv"], [])


def test_files_that_cannot_be_imported_are_sentences(records: Target, tmp_path: Path) -> None:
    write(tmp_path / "a.pdf", "%PDF-1.7\n\x00\x00")
    write(tmp_path / "b.ndjson", "")
    write(tmp_path / "c.csv", HEADER + ROW)
    write(tmp_path / "d.ndjson", line("d"))
    done = pull("folder", records.name, tmp_path)
    assert (done.code, done.names) == (1, ["d.ndjson"])
    assert [sentence.split(":")[0] for sentence in done.problems] == ["a.pdf", "b.ndjson", "c.csv"]


def test_strange_names_are_imported_and_special_files_left_out(
    records: Target, tmp_path: Path
) -> None:
    """Out: `_printable`, or the type in `Blobs.facts`: reading the pipe never ends."""
    write(tmp_path / "line\nbreak.ndjson", line("a"))
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.ndjson")), line("b"))
    write(tmp_path / "成绩 100% #1?.ndjson", line("c"))
    os.mkfifo(tmp_path / "pipe.ndjson")
    (tmp_path / "broken.ndjson").symlink_to(tmp_path / "missing")
    for name in ("pipe.ndjson", "broken.ndjson"):
        os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    done = pull("folder", records.name, tmp_path)
    assert sorted(done.names) == ["?.ndjson", "line?break.ndjson", "成绩 100% #1?.ndjson"]
    assert pull("folder", records.name, tmp_path).names == []


def test_a_process_that_dies_before_it_saved_submits_nothing_twice(
    records: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the idempotency key of the content."""
    for number in range(3):
        write(tmp_path / f"{number}.ndjson", line(str(number)))

    def dies(*_: object) -> None:
        raise Unreachable("The process died.")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "save_source_cursor", dies)
        command = ["pull", "folder", records.name, str(tmp_path)]
        assert CliRunner().invoke(app, command).exit_code == 3
    assert len(pull("folder", records.name, tmp_path).names) == 3
    assert set(records.imported().values()) == {1}


def test_a_killed_process_goes_on_where_it_was(records: Target, tmp_path: Path) -> None:
    """Out: SAVED_AFTER_PARTS: the second round submits all files again."""
    for number in range(120):
        write(tmp_path / f"{number:03}.ndjson", line(str(number)))
    command = [sys.executable, "-m", "edugraph_cli", "pull", "folder", records.name, str(tmp_path)]
    running = subprocess.Popen(command, env={**os.environ, **records.environment})
    until(lambda: records.imported().total() > 60, seconds=120)
    running.kill()
    running.wait()
    imported_before = records.imported().total()
    assert imported_before < 120
    rest = pull("folder", records.name, tmp_path).names
    assert rest[0] == "050.ndjson"
    assert rest[-1] == "119.ndjson"
    assert records.imported() == Counter({f"{number:03}.ndjson": 1 for number in range(120)})


def test_two_rounds_at_once_make_one_job_for_each_file(records: Target, tmp_path: Path) -> None:
    """Out: the version of the cursor, or the key: the loser of two would overwrite the cursor of the other."""
    for number in range(10):
        write(tmp_path / f"{number}.ndjson", line(str(number)))

    def once(_: int) -> int:
        command = [sys.executable, "-m", "edugraph_cli", "pull", "folder", records.name, tmp_path]
        environment = {**os.environ, **records.environment}
        return subprocess.run(command, env=environment, check=False, capture_output=True).returncode

    with ThreadPoolExecutor(2) as threads:
        codes = list(threads.map(once, range(2)))
    assert 0 in codes
    assert set(codes) <= {0, 2}
    assert records.imported() == Counter({f"{number}.ndjson": 1 for number in range(10)})


def test_a_part_with_too_many_places_is_not_imported_in_each_round(
    records: Target, tmp_path: Path
) -> None:
    """Out: the check of MOST_PLACES in `pull`. The import is accepted, and then the cursor is refused."""

    def part(name: str, number_of_places: int) -> Part:
        path = tmp_path / f"{name}.ndjson"
        write(path, line(name))
        inner = {f"{name}:{number}": "1" for number in range(number_of_places)}
        return Part(name, "1", path.name, lambda: nullcontext(path), "ndjson", inner)

    parts = [part("small", 10), part("large", MOST_PLACES), part("last", 10)]
    client = Client(records.gateway.url, api_key=records.token)
    for expected_jobs in ({"small.ndjson", "last.ndjson"}, set()):
        cursor = client.source_cursor(records.name)
        done = pull_round(client, client.source(records.name), cursor, parts)
        assert done.jobs.keys() == expected_jobs
        [problem] = done.problems
        assert problem.startswith("large.ndjson: its source would have more than 20,000 places;")
    assert records.imported() == Counter({"small.ndjson": 1, "last.ndjson": 1})


def test_a_cursor_is_replaced_only_by_who_has_read_it(records: Target) -> None:
    """Out: the comparison of versions in `save_cursor`."""
    address = f"{records.gateway.url}/v1/sources/{records.name}/cursor"
    headers = {"Authorization": f"Bearer {records.token}"}

    def put(version: int, **places: str) -> httpx.Response:
        body = {"version": version, "places": places}
        return httpx.put(address, json=body, headers=headers, timeout=20)

    assert put(0, a="1").json() == {"version": 1, "places": {"a": "1"}}
    assert put(0, a="2").status_code == 409
    assert put(2, a="2").status_code == 409
    assert put(1, b="3").json()["version"] == 2
    assert records.get(f"/v1/sources/{records.name}/cursor")["places"] == {"b": "3"}
    assert put(2, **{"a name with spaces": "1"}).status_code == 422
    assert put(2, a="Marked Student").status_code == 422
    assert httpx.get(address, timeout=20).status_code == 401


def test_a_source_of_others_cannot_be_pulled(records: Target, tmp_path: Path) -> None:
    write(tmp_path / "a.ndjson", line("a"))
    done = CliRunner().invoke(app, ["pull", "folder", "nowhere", str(tmp_path)])
    assert done.exit_code == 2
    missing = CliRunner().invoke(app, ["pull", "folder", records.name, str(tmp_path / "missing")])
    assert (missing.exit_code, "is not a folder" in missing.output) == (2, True)


def test_objects_of_s3_are_imported_once(records: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the etag of a version."""
    with s3_server() as server, bucket_on(server) as bucket:
        for name, value in bucket.server.environment(bucket.proxy.address).items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        fs = S3FileSystem(
            key=server.access_key,
            secret=server.secret_key,
            endpoint_url=server.address,
            skip_instance_cache=True,
        )
        url = f"s3://{bucket.name}/exports"
        assert pull("folder", records.name, url).names == []
        fs.pipe_file(f"{bucket.name}/exports/a.ndjson", line("a").encode())
        fs.pipe_file(f"{bucket.name}/exports/week 2/b.ndjson", line("b").encode())
        fs.pipe_file(f"{bucket.name}/other/c.ndjson", line("c").encode())
        assert pull("folder", records.name, url).names == ["a.ndjson", "week 2/b.ndjson"]
        assert pull("folder", records.name, url).names == []
        fs.pipe_file(f"{bucket.name}/exports/a.ndjson", line("x").encode())
        assert pull("folder", records.name, url).names == ["a.ndjson"]
    S3FileSystem.clear_instance_cache()
    done = CliRunner().invoke(app, ["pull", "folder", records.name, url])
    assert done.exit_code == 2
    assert "cannot be listed" in done.output
