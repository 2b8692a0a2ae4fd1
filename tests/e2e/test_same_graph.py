"""One file, one graph: on every engine, with any number of importer processes and any batch size."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from addresses import in_a_run_of_workers
from engines import CHECKOUT, IMPORTERS, SHARED_RECORDS, System


@pytest.fixture(scope="session")
def digests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, with a file for each way: two workers may import on two engines."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if in_a_run_of_workers() else base) / "digests"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So few that they are also imported one by one."""
    shared = SHARED_RECORDS / "bridge.ndjson"
    path = tmp_path_factory.mktemp("records") / "records.ndjson"
    with (shared if shared.exists() else CHECKOUT / "examples" / "school_zh.ndjson").open(
        encoding="utf-8"
    ) as lines:
        path.write_text("".join(islice(lines, 60)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def restarted(system: System) -> Iterator[System]:
    """The system without the work of tests before. Later its importer has as many processes as before."""
    system.forget_work()
    yield system
    system.restart_importer(IMPORTERS)


@pytest.mark.parametrize("importers", [1, 4])
def test_the_digest_does_not_depend_on_how_the_file_was_imported(
    restarted: System, importers: int, records: Path, digests: Path
) -> None:
    engine = restarted.engine
    restarted.restart_importer(importers)
    for batch_size in (1, 7, 40, 1_000):
        engine.empty()
        report = restarted.import_and_report(records, "--batch-size", str(batch_size))
        assert report["state"] == "succeeded"
        way = f"{engine.name}, {importers} importers, batches of {batch_size}"
        # The counts say what differs, which a digest cannot.
        counts = restarted.client.graph_summary().model_dump_json(
            include={"nodes", "relationships"}
        )
        (digests / way).write_text(f"{restarted.client.graph_digest()} {counts}")
    ways_of: dict[str, list[str]] = {}
    for file in digests.iterdir():
        ways_of.setdefault(file.read_text(), []).append(file.name)
    assert len(ways_of) == 1, json.dumps(ways_of, indent=1)
