"""Live texts take their share of the model provider's limit, and a file beside them does not wait for them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from engines import System, real_engine
from killing import kill_analyzer
from waiting import until

from edugraph_cli.serving import Pools
from edugraph_common.contracts.outcomes import ENDED

pytestmark = pytest.mark.real

LIMIT_A_MINUTE = 240
SHARE_PERCENT = 25
LIVE_REQUESTS_A_SECOND = LIMIT_A_MINUTE * SHARE_PERCENT / 100 / 60
PACK = 2
# Each text is of another student, and a request has the texts of one student, so this is the number of requests.
LIVE_TEXTS = 24
FILE_TEXTS = 40


@pytest.fixture
def provider() -> Iterator[str]:
    with scripted_provider({"latency": 0.1}) as address:
        yield address


@pytest.fixture
def system(tmp_path: Path, provider: str) -> Iterator[System]:
    with real_engine(tmp_path) as servers:
        own = {
            "EDUGRAPH_OPENAI_API_KEY": f"share-{uuid4().hex[:8]}",
            "EDUGRAPH_OPENAI_BASE_URL": provider,
            "EDUGRAPH_REQUESTS_PER_MINUTE": str(LIMIT_A_MINUTE),
            "EDUGRAPH_PACK_SIZE": str(PACK),
        }
        engine = replace(servers, environment=servers.environment | own)
        with engine.serve(Pools(1, 1, 1)) as running:
            yield running


def mistakes(word: str, number: int) -> list[dict[str, Any]]:
    """Return mistakes with this word in their texts, each of another student.

    No text is the same as another, because equal texts are asked about once. Digits could look like a private number.
    """
    made = []
    for each in range(number):
        letters = ascii_lowercase[each // 26] + ascii_lowercase[each % 26]
        data = {
            "student_id": f"{word}-student-{each}",
            "course_id": "course-of-shares",
            "error_text": f"{word} {letters}: I added the lower numbers",
        }
        made.append(
            {
                "type": "error_record",
                "record_id": f"{word}-{each}",
                "timestamp": "2026-02-03T08:00:00Z",
                "data": data,
            }
        )
    return made


def moments(provider: str, word: str) -> list[float]:
    """Return when the provider was asked about texts with this word, in seconds, the first first."""
    address = provider.removesuffix("/v1")
    log = httpx.get(f"{address}/log?bodies=1", timeout=20).raise_for_status().json()
    found = []
    for request in log["requests"]:
        if word in json.dumps(request["body"]):
            found.append(request["at"])
    return sorted(found)


def most_within(at: list[float], seconds: float) -> int:
    """Return the largest number of these moments within a time of this length."""
    most = 0
    for first, begin in enumerate(at):
        within = [moment for moment in at[first:] if moment < begin + seconds]
        most = max(most, len(within))
    return most


def test_live_texts_take_their_share_and_a_file_takes_the_rest(
    system: System, provider: str, tmp_path: Path
) -> None:
    """The analyzer is killed meanwhile, and packs whose turns have passed do not begin together.

    Out: `await_turn` in the analyzer's service, or `has_missed_turn` in take_live_turn.lua.
    """
    source = f"s-{uuid4().hex[:8]}"
    system.client.create_source(
        {
            "name": source,
            "kind": "records",
            "live_texts_a_day": LIVE_TEXTS,
            "live_share_percent": SHARE_PERCENT,
        }
    )
    body = {"records": mistakes("porcupine", LIVE_TEXTS)}
    answer = httpx.post(f"{system.url}/v1/sources/{source}/records", json=body, timeout=20)
    live_job = answer.raise_for_status().json()["job_id"]
    until(lambda: len(moments(provider, "porcupine")) > 0, 60)

    path = tmp_path / "file.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in mistakes("hedgehog", FILE_TEXTS)))
    file_job = system.client.import_file(path, analyze=True).job_id
    until(lambda: len(moments(provider, "hedgehog")) > FILE_TEXTS // 4, 60)
    kill_analyzer(system)

    until(lambda: system.client.job(file_job).state in ENDED, 120)
    live_texts_before = system.client.job(live_job).analysis.done
    until(lambda: system.client.job(live_job).analysis.done == LIVE_TEXTS, 120)
    assert system.client.job(file_job).analysis.done == FILE_TEXTS
    assert live_texts_before < LIVE_TEXTS, "the live texts were done first: nothing is shown"

    asked = moments(provider, "porcupine")
    # Two packs may begin together, and what was being asked when the analyzer was killed is asked again.
    together = 3 * PACK
    for seconds in (4.0, 8.0, 12.0):
        assert most_within(asked, seconds) <= seconds * LIVE_REQUESTS_A_SECOND + together
    assert LIVE_TEXTS <= len(asked) <= LIVE_TEXTS + PACK
