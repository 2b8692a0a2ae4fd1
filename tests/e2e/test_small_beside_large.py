"""A small import does not wait for the large one that was sent before it."""

import time
from pathlib import Path

import httpx
import pytest
from engines import System
from made_records import made_records, write_records
from traps import slow
from waiting import until

from edugraph_common.contracts.outcomes import ENDED

ROWS, WITHIN = 60_000, 10.0  # seconds, of which the small one alone takes one or two


@slow
@pytest.mark.timeout(600)
def test_a_hundred_rows_behind_sixty_thousand_are_done_within_ten_seconds(clean: System, tmp_path: Path) -> None:
    """Out: URGENT in contracts.routes and in the importer's tasks."""
    if clean.engine.name != "real":
        pytest.skip("the embedded broker has no priorities")
    with httpx.Client(base_url=clean.url, timeout=20) as client:

        def report(links: dict[str, str]) -> dict[str, object]:
            found: dict[str, object] = client.get(links["self"]).raise_for_status().json()
            return found

        path = write_records(tmp_path / "large.ndjson", ROWS)
        headers = {"Content-Type": "application/x-ndjson"}
        large = (
            client.post("/v1/imports", content=path.read_bytes(), headers=headers).raise_for_status().json()["links"]
        )
        # Its batches are in the queue.
        until(lambda: report(large)["written"], 60)
        began = time.monotonic()
        records = list(made_records(100, seed=1))
        small = client.post("/v1/imports", json={"records": records}).raise_for_status().json()["links"]
        until(lambda: report(small)["state"] in ENDED, 120)
        took = time.monotonic() - began
        assert report(small)["written"] == len(records)
        assert report(large)["state"] not in ENDED, "the large one was done before the small one: nothing is shown"
        assert took < WITHIN
