"""Degraded modes, a test for each row of the table in docs/operations.md: one server is away for a minute.

What is answered meanwhile, and that all which was accepted before and meanwhile is done afterwards, by itself or by the
one command that the table names.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from feeding import made
from ground import Ground, fresh_ground
from proxy import Proxy
from run import PROVIDER
from supervised import COMMANDS, Supervised
from traps import slow
from waiting import until

from edugraph_cli.serving import declare_topology
from edugraph_common.contracts.outcomes import ENDED

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), slow]
AWAY = float(os.environ.get("EDUGRAPH_AWAY", "60"))  # seconds
BACK_WITHIN = 240  # seconds from the server's return until all is done


@dataclass
class Stage:
    ground: Ground
    url: str
    insights: str
    blobs: Path
    provider: Proxy

    def answers(self) -> dict[str, int]:
        """What a client gets, by what it asks for."""
        body = {"records": []}
        asked = {
            "send": lambda: httpx.post(
                f"{self.url}/v1/imports", json=body | {"records": self.records(1)}, timeout=20
            ),
            "jobs": lambda: httpx.get(f"{self.url}/v1/jobs", timeout=20),
            "graph": lambda: httpx.get(f"{self.insights}/v1/graph/summary", timeout=30),
            "ready": lambda: httpx.get(f"{self.url}/readyz", timeout=20),
        }
        return {name: ask().status_code for name, ask in asked.items()}

    def send(self, number: int, *, analyze: bool = False) -> str:
        lines = "\n".join(made(number, seed=int(uuid4().hex[:6], 16)))
        options = {"name": "degraded", "batch_size": "50", "analyze": str(analyze).lower()}
        headers = {"Content-Type": "application/x-ndjson"}
        answer = httpx.post(
            f"{self.url}/v1/imports", content=lines, params=options, headers=headers, timeout=60
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def records(self, number: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "course_content",
                "timestamp": "2026-01-05T08:00:00Z",
                "record_id": uuid4().hex,
                "data": {"course_id": "c-1", "content": "Fractions are parts of a whole."},
            }
            for _ in range(number)
        ]

    def report(self, job: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/v1/jobs/{job}", timeout=20)
        return dict(answer.json()) if answer.is_success else {}

    def ended(self, job: str) -> dict[str, Any]:
        until(lambda: self.report(job).get("state") in ENDED, BACK_WITHIN, every=1)
        return self.report(job)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("degraded")
    with (
        fresh_ground(folder / "servers") as ground,
        scripted_provider(PROVIDER) as address,
        Proxy(address) as to_provider,
    ):
        blobs = folder / "store" / "blobs"
        own = {
            **ground.environment,
            "EDUGRAPH_BLOB_URL": str(blobs),
            "EDUGRAPH_OPENAI_API_KEY": "degraded",
            "EDUGRAPH_OPENAI_BASE_URL": to_provider.address,
            "EDUGRAPH_REQUESTS_PER_MINUTE": "6000",
        }
        declare_topology(own)
        with Supervised.run(own, folder / "logs", tuple(COMMANDS)) as system:
            yield Stage(ground, system.url, system.insights, blobs, to_provider)


@contextmanager
def away(end: Callable[[], object], come_back: Callable[[], object]) -> Iterator[None]:
    """For a minute, the block included."""
    began = time.monotonic()
    end()
    try:
        yield
        time.sleep(max(0, AWAY - (time.monotonic() - began)))
    finally:
        come_back()


# What is answered while the server is away.
ANSWERS = {
    # With authentication insights would ask Redis for the caller's key.
    "redis": {"send": 503, "jobs": 503, "graph": 200, "ready": 503},
    "rabbitmq": {"send": 503, "jobs": 200, "graph": 200, "ready": 503},
    "neo4j": {"send": 202, "jobs": 200, "graph": 503, "ready": 200},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_server_is_away_for_a_minute(stage: Stage, name: str) -> None:
    job = stage.send(2_000)
    with away(lambda: stage.ground.kill(name), lambda: stage.ground.up(name)):
        time.sleep(3)  # an answer of the readiness probe is kept for a second
        assert stage.answers() == ANSWERS[name]
    report = stage.ended(job)
    assert (report["state"], report["written"] + report["unchanged"]) == ("succeeded", 2_000)
    assert stage.answers() == {"send": 202, "jobs": 200, "graph": 200, "ready": 200}


def test_the_blob_store_is_away_for_a_minute(stage: Stage) -> None:
    """A folder that is not mounted: what came inline is done, files are refused, running imports go on afterwards."""
    job, elsewhere = stage.send(2_000), stage.blobs.parent.with_name("elsewhere")

    def end() -> None:
        stage.blobs.parent.rename(elsewhere)
        stage.blobs.parent.write_text("in the way")

    def come_back() -> None:
        stage.blobs.parent.unlink()
        elsewhere.rename(stage.blobs.parent)

    with away(end, come_back):
        time.sleep(3)
        assert stage.answers() == {"send": 202, "jobs": 200, "graph": 200, "ready": 503}
    finished(stage, job, 2_000)


def test_the_provider_is_away_for_a_minute(stage: Stage) -> None:
    """The import goes on; packs that were tried four times are dead letters, and done by a replay."""
    with away(stage.provider.refuse, stage.provider.heal):
        job = stage.send(100, analyze=True)
        until(
            lambda: stage.report(job)["written"] + stage.report(job)["unchanged"] == 100,
            AWAY,
            every=1,
        )
        assert stage.answers() == {"send": 202, "jobs": 200, "graph": 200, "ready": 200}
    before = stage.ended(job)
    assert (before["failed"], before["state"] in ("succeeded", "partly failed")) == (0, True)
    httpx.post(f"{stage.url}/v1/dead-letters/llm_analysis/replay", timeout=60).raise_for_status()
    until(lambda: stage.report(job)["analysis"]["failed"] == 0, BACK_WITHIN, every=1)
    assert stage.ended(job)["state"] == "succeeded"


def finished(stage: Stage, job: str, number: int) -> None:
    """By itself, or by `edugraph jobs resume` as the table says."""
    report = stage.ended(job)
    if report["state"] != "succeeded":
        httpx.post(f"{stage.url}/v1/jobs/{job}/resume", timeout=20).raise_for_status()
        report = stage.ended(job)
    assert (report["state"], report["written"] + report["unchanged"]) == ("succeeded", number)
