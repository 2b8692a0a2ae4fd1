"""One file, one graph: on every engine, with any number of importer processes and any batch size."""

from pathlib import Path

import pytest
from engines import CHECKOUT, SHARED_RECORDS, Engine

from edugraph_cli.serving import Pools

SEEN: dict[str, dict[str, str]] = {}  # file -> way of importing it -> digest


def _file() -> Path:
    shared = SHARED_RECORDS / "bridge.ndjson"
    return shared if shared.exists() else CHECKOUT / "examples" / "school_zh.ndjson"


@pytest.mark.parametrize("importers", [1, 4])
def test_the_digest_does_not_depend_on_how_the_file_was_imported(engine: Engine, importers: int) -> None:
    file = _file()
    digests = SEEN.setdefault(file.name, {})
    with engine.serve(Pools(importer=importers, findings=1, analyzer=1)) as system:
        for batch_size in (1, 7, 1_000):
            engine.empty()
            report = system.import_and_report(file, "--batch-size", str(batch_size))
            assert report["state"] == "succeeded"
            digests[f"{engine.name}, {importers} importers, batches of {batch_size}"] = system.client.graph_digest()
    assert len(set(digests.values())) == 1, digests
