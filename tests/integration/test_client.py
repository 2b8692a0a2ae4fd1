"""The client against a gateway that runs: an answer that is lost on its way makes no second job."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest
from gateway_alone import RECORD, Gateway, gateway, virtual_host

from edugraph_client import AsyncClient, Client

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path_factory.mktemp("gateway")) as started,
    ):
        yield started


class LosesAnswers(httpx.HTTPTransport):
    """The gateway does what it is sent, and its first answers to submissions never arrive."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self._left = lost
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST":
            self.sent += 1
            if self._left:
                self._left -= 1
                answer.read()
                raise httpx.ReadError("lost", request=request)
        return answer


def test_lost_answers_make_one_job_of_records_and_one_of_a_file(
    running: Gateway, tmp_path: Path
) -> None:
    """Out: the Idempotency-Key of `submit`."""
    path, transport = tmp_path / "f.ndjson", LosesAnswers(lost=2)
    path.write_text('{"a": 1}\n' * 50_000, encoding="utf-8")
    before = running.queued("data_import")
    with Client(running.url, transport=transport, sleep=lambda _: None) as client:
        records = client.import_records([RECORD])
        assert (transport.sent, running.queued("data_import")) == (3, before + 1)
        transport._left = 1
        file = client.import_file(path)
        assert (transport.sent, running.queued("data_import")) == (5, before + 2)
        # The newest come first; behind them are those of all tests before.
        assert [job.job_id for job in islice(client.jobs(page=1), 2)] == [
            file.job_id,
            records.job_id,
        ]


def test_the_client_that_is_awaited_submits_pages_and_follows(running: Gateway) -> None:
    async def work() -> tuple[set[str], list[str], list[str]]:
        async with AsyncClient(running.url) as client:
            sent = {
                (await client.import_records([{**RECORD, "record_id": f"r{each}"}])).job_id
                for each in range(3)
            }
            found = list[str]()
            async for job in client.jobs(page=2):
                found.append(job.job_id)
                if len(found) == len(sent):
                    break
            states = list[str]()
            async for report in client.follow(min(sent)):
                states.append(report.state)
                if report.state == "queued":
                    await client.cancel(report.job_id)
            return sent, found, states

    sent, found, states = asyncio.run(work())
    assert sent == set(found)
    assert states == ["queued", "cancelled"]
