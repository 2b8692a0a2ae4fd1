"""A file outside the store is read where it is, by the importer and by the analyzer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engines import System, real_engine

from edugraph_cli.serving import Pools

pytestmark = pytest.mark.real


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


@pytest.fixture
def system(tmp_path: Path, exports: Path) -> Iterator[System]:
    with real_engine(tmp_path) as engine:
        allowed = {**engine.environment, "EDUGRAPH_IMPORTS_FROM": f"file://{exports}/"}
        with replace(engine, environment=allowed).serve(Pools(importer=1, analyzer=1)) as running:
            yield running


def test_it_is_imported_and_read_by_the_model(system: System, exports: Path) -> None:
    records = [
        {
            "type": "course_content",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"outside-{exports.parent.name}-{number}",
            "data": {"course_id": "c-outside", "content": "Fractions are parts of a whole."},
        }
        for number in range(30)
    ]
    path = exports / "week.ndjson"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    done = system.edugraph("import", f"file://{path}", "--batch-size", "10", "--analyze", "--json")
    assert done.returncode == 0, done.stderr
    *_, report = system.client.follow(json.loads(done.stdout)["job_id"])
    assert (report.state, report.read, report.written, report.batches) == ("succeeded", 30, 30, 3)
    assert (report.analysis.done, report.analysis.failed) == (30, 0)
    assert path.exists()
    assert not list(Path(system.engine.environment["EDUGRAPH_BLOB_URL"]).glob("jobs/*/source*"))
