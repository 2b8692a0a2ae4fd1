"""A statement that is sent live waits for a few batches of a large file, however many batches wait."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import neo4j
import pytest
from engines import System, real_engine
from made_records import write_records
from waiting import until

from edugraph_cli.serving import Pools

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]
ROWS, BATCH, MOST_STATEMENTS, LEAST_STATEMENTS = 60_000, 200, 8, 2
# Two batches run, and the worker holds two more that it took before the statement. The rest is begun while the test
# looks. Without a consumer of its own a statement would stand behind the 64 batches of a window.
MOST_BATCHES_BEFORE = 16


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with (
        real_engine(tmp_path) as engine,
        engine.serve(Pools(importer=2, findings=1, analyzer=1)) as system,
    ):
        yield system


def statement(statement_id: str) -> dict[str, Any]:
    return {
        "id": statement_id,
        "actor": {"account": {"homePage": "https://lms.example", "name": "live"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": "https://lms.example/q/1"},
        "result": {"success": True},
        "timestamp": "2026-02-01T08:00:00Z",
    }


def test_a_live_statement_waits_for_few_batches_of_a_file(system: System, tmp_path: Path) -> None:
    """Out: live_records in the queues of the importer's group, or its route to a queue of its own."""
    client = system.client
    huge = client.import_file(
        write_records(tmp_path / "huge.ndjson", ROWS), batch_size=BATCH
    ).job_id
    until(lambda: client.job(huge).batches_done, 90)
    environment = system.engine.environment
    auth = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    headers = {"X-Experience-API-Version": "1.0.3"}
    done_meanwhile = []
    with neo4j.GraphDatabase.driver(
        environment["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
    ) as driver:

        def is_there(statement_id: str) -> bool:
            query = "MATCH (n:Attempt {id: $id}) RETURN n.id"
            return bool(driver.execute_query(query, id=statement_id).records)

        for _ in range(MOST_STATEMENTS):
            statement_id = str(uuid4())
            url = f"{system.url}/xapi/statements"
            answer = httpx.post(url, json=statement(statement_id), headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
            before = client.job(huge).batches_done
            until(lambda wanted=statement_id: is_there(wanted), 60)  # type: ignore[misc]
            after = client.job(huge)
            if after.state != "running":
                break
            done_meanwhile.append(after.batches_done - before)
    assert len(done_meanwhile) >= LEAST_STATEMENTS, "the file was done too soon: nothing is shown"
    assert max(done_meanwhile) <= MOST_BATCHES_BEFORE, done_meanwhile
    client.cancel(huge)
