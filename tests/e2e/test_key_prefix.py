"""An import with its analysis, on servers whose keys all begin with the prefix of a school."""

from pathlib import Path

import httpx
import pytest
import redis
from engines import embedded_engine
from two_mistakes import TWO_MISTAKES

from edugraph_cli.serving import Pools, serving
from edugraph_client import Client

pytestmark = pytest.mark.embedded
PREFIX = "school-a:"


def test_no_key_of_an_import_is_without_the_prefix(tmp_path: Path) -> None:
    """Out: the prefix in `redis_of`, in Celery's options of the result store, or in those of kombu's transport."""
    with embedded_engine(tmp_path / "engine") as engine:
        environment = {**engine.environment, "EDUGRAPH_REDIS_KEY_PREFIX": PREFIX}
        with (
            serving(environment, tmp_path / "logs", Pools(1, 1, 1)) as (url, insights, _),
            Client(url, insights_url=insights) as client,
        ):
            accepted = client.import_records(TWO_MISTAKES, analyze=True)
            *_, report = client.follow(accepted.job_id)
            assert (report.state, report.written, report.analysis.done) == ("succeeded", 2, 2)
            state = {"kind": "page", "name": "student", "values": {"student": "s-1"}}
            view = {"name": "x", "state": state}
            httpx.post(f"{insights}/v1/insights/views", json=view).raise_for_status()
            names = set()
            for name in ("EDUGRAPH_BROKER_URL", "EDUGRAPH_REDIS_URL"):
                with redis.Redis.from_url(environment[name], decode_responses=True) as server:
                    names |= set(server.scan_iter())
    assert f"{PREFIX}edugraph:jobs" in names
    assert any(name.startswith(f"{PREFIX}_kombu.") for name in names)
    assert any(name.startswith(f"{PREFIX}celery-task-meta-") for name in names)
    assert {name for name in names if not name.startswith(PREFIX)} == set()
