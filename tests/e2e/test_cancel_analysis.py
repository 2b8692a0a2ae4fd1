"""A job that is cancelled costs no more: the real processes on the real servers, and a provider that counts."""

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
from waiting import stays, until

from edugraph_cli.serving import Pools

pytestmark = pytest.mark.real
CHATS, PACK, ANALYZERS = 120, 10, 3
# One request each second or so, and answers that take two: most analyzers wait for a place, some for an answer.
PER_MINUTE, LATENCY = 60, 2.0


@pytest.fixture
def provider() -> Iterator[str]:
    with scripted_provider({"latency": LATENCY}) as url:
        yield url


@pytest.fixture
def system(provider: str, tmp_path: Path) -> Iterator[System]:
    own = {
        "EDUGRAPH_OPENAI_API_KEY": f"cancel-{uuid4().hex[:8]}",
        "EDUGRAPH_OPENAI_BASE_URL": provider,
        "EDUGRAPH_REQUESTS_PER_MINUTE": str(PER_MINUTE),
        "EDUGRAPH_PACK_SIZE": str(PACK),
    }
    with (
        real_engine(tmp_path) as servers,
        replace(servers, environment=servers.environment | own).serve(
            Pools(1, 1, ANALYZERS)
        ) as system,
    ):
        yield system


def _chats(path: Path) -> Path:
    # Letters only: digits beside the text's number could look like a private number, which redaction would replace.
    run = uuid4().hex[:8].translate(str.maketrans("0123456789", "ghijklmnop"))
    with path.open("w", encoding="utf-8") as file:
        for number in range(CHATS):
            people = {
                "student_id_from": f"{run}-a",
                "student_id_to": f"{run}-b",
                "interaction_type": "chat",
            }
            data = {**people, "text": f"{run} {number}: why a common denominator?"}
            record = {
                "type": "student_interaction",
                "timestamp": "2026-01-05T08:00:00Z",
                "data": data,
            }
            file.write(json.dumps({**record, "record_id": f"{run}-{number}"}) + "\n")
    return path


def test_a_cancelled_analysis_asks_no_more_and_resumed_pays_nothing_twice(
    system: System, provider: str, tmp_path: Path
) -> None:
    def log() -> list[dict[str, Any]]:
        answer = httpx.get(f"{provider.removesuffix('/v1')}/log", timeout=20)
        return list(answer.json()["requests"])

    def requests() -> list[float]:
        """When each arrived."""
        return [float(request["at"]) for request in log()]

    job = system.client.import_file(_chats(tmp_path / "chats.ndjson"), analyze=True).job_id
    until(lambda: len(requests()) >= 4, 60)
    system.client.cancel(job)
    cancelled = time.time()
    time.sleep(ANALYZERS * 60 / PER_MINUTE + LATENCY)
    assert stays(lambda: max(requests()) < cancelled + 0.8, 3), "asked after the cancel"

    # The requests under way were finished.
    until(lambda: system.client.job(job).analysis.done == PACK * len(requests()), 20)
    stopped = system.client.job(job)
    assert stopped.state == "cancelled"
    assert (stopped.written, stopped.analysis.expected, stopped.analysis.failed) == (
        CHATS,
        CHATS,
        0,
    )
    assert stopped.analysis.done < CHATS

    system.client.resume(job)
    *_, ended = system.client.follow(job)
    assert (ended.state, ended.written) == ("succeeded", CHATS)
    assert (ended.analysis.done, ended.analysis.failed) == (CHATS, 0)
    texts = [text for request in log() for text in request["texts"]]
    assert [text for text in texts if texts.count(text) > 1] == []
    assert len(texts) == CHATS
