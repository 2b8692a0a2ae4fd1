"""A small analysis beside a huge one, and a Redis that loses the huge one: the real processes on the real servers."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from engines import System, real_engine
from guard import RedisServer
from waiting import BESIDE_OTHERS, until

from edugraph_cli.serving import Pools
from edugraph_client import Refused
from edugraph_common.contracts.outcomes import ENDED

pytestmark = pytest.mark.real
CHATS, PACK, ANALYZERS, LATENCY, WINDOW, WITHIN = 3_000, 10, 2, 0.2, 8, 10.0
# Of the job that Redis loses: three batches, and 18 windows, of which it is asking the first.
LOST = 1_500


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Started once: each test has records of its own, and leaves no job that goes on."""
    folder = tmp_path_factory.mktemp("window")
    with scripted_provider({"latency": LATENCY}) as provider, real_engine(folder) as servers:
        own = {
            "EDUGRAPH_OPENAI_API_KEY": f"window-{uuid4().hex[:8]}",
            "EDUGRAPH_OPENAI_BASE_URL": provider,
            "EDUGRAPH_REQUESTS_PER_MINUTE": "6000",
            "EDUGRAPH_PACK_SIZE": str(PACK),
            "EDUGRAPH_PACKS_IN_QUEUE": str(WINDOW),
        }
        with replace(servers, environment=servers.environment | own).serve(
            Pools(1, 1, ANALYZERS)
        ) as system:
            yield system


def chats(run: str, number: int) -> list[dict[str, Any]]:
    # Letters only: digits beside the text's number could look like a private number, which redaction would replace.
    run = run.translate(str.maketrans("0123456789", "ghijklmnop"))
    people = {
        "student_id_from": f"{run}-a",
        "student_id_to": f"{run}-b",
        "interaction_type": "chat",
    }
    return [
        {
            "type": "student_interaction",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"{run}-{each}",
            "data": {**people, "text": f"{run} {each}: why a common denominator?"},
        }
        for each in range(number)
    ]


def huge(system: System, path: Path, number: int = CHATS) -> str:
    rows = chats(uuid4().hex[:8], number)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    job = system.client.import_file(path, analyze=True, batch_size=number // 3).job_id
    until(lambda: system.client.job(job).analysis.done >= 5 * PACK, 60)
    return job


def test_a_small_analysis_behind_a_huge_one_is_done_within_ten_seconds(
    system: System, tmp_path: Path
) -> None:
    """Out: the window in take_packs.lua (EDUGRAPH_PACKS_IN_QUEUE at 10,000 is the same), or `urgent` of its findings."""
    job = huge(system, tmp_path / "huge.ndjson")
    began = time.monotonic()
    body = {"records": chats(uuid4().hex[:8], 30)}
    small = (
        httpx.post(f"{system.url}/v1/analyses/interactions", json=body, timeout=20)
        .raise_for_status()
        .json()["job_id"]
    )
    until(lambda: system.client.job(small).state in ENDED, 120)
    took = time.monotonic() - began
    assert system.client.job(small).analysis.done == 30
    assert system.client.job(job).state not in ENDED, (
        "the huge one was done before the small one: nothing is shown"
    )
    assert took < BESIDE_OTHERS * WITHIN
    system.client.cancel(job)  # the next test begins in peace


@pytest.mark.parametrize("stored", [True, False])
def test_a_redis_that_loses_a_job_between_two_windows_loses_no_record(
    system: System, tmp_path: Path, stored: bool
) -> None:
    """Out: send_lost_job in the analyzer's service. The import, and an analysis of records that were stored."""
    if stored:
        body = {"records": chats(uuid4().hex[:8], 500)}
        answer = httpx.post(
            f"{system.url}/v1/analyses/interactions", json=body, timeout=20
        ).raise_for_status()
        job, records = answer.json()["job_id"], 500
        until(lambda: system.client.job(job).analysis.done >= PACK, 60)
    else:
        job, records = huge(system, tmp_path / "huge.ndjson", LOST), LOST
    RedisServer(system.engine.environment["EDUGRAPH_REDIS_URL"]).empty()

    def has_ended() -> bool:
        try:
            return system.client.job(job).state in ENDED
        except Refused:
            return False

    until(has_ended, 200)
    report = system.client.job(job)
    assert (report.state, report.analysis.done, report.analysis.failed) == ("succeeded", records, 0)
