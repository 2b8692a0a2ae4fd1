"""One trace of an import with a retry: the request, both deliveries, the transaction, the model's call."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from engines import SLOW, real_engine
from proxy import Proxy

from edugraph_cli.serving import Pools

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# A new text each time: a known one would be answered from the cache.
RECORD = {
    "type": "error_record",
    "timestamp": "2026-03-01T10:00:00Z",
    "data": {
        "student_id": "s-1",
        "course_id": "c-1",
        "error_text": f"1/2 + 1/3 = 2/5, try {uuid4()}",
    },
}


def real(test: Any) -> Any:
    return pytest.mark.real(pytest.mark.skipif(not SLOW, reason="EDUGRAPH_SLOW=1")(test))


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("tracing")
    with real_engine(folder) as plain, scripted_provider() as provider:
        with Proxy(plain.environment["EDUGRAPH_NEO4J_URI"]) as proxy:
            ours = {
                "EDUGRAPH_TRACING": f"file:{folder / 'spans.ndjson'}",
                "EDUGRAPH_NEO4J_URI": proxy.address,
                "OPENAI_BASE_URL": provider,
            }
            _import(replace(plain, environment={**plain.environment, **ours}), proxy)
        yield [json.loads(line) for line in (folder / "spans.ndjson").read_text().splitlines()]


def _import(engine: Any, proxy: Proxy) -> None:
    """The first try of the batch finds no database."""
    with engine.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
        proxy.refuse()
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        job = _post(system.url, headers)
        time.sleep(2.5)
        proxy.heal()
        assert list(system.client.follow(job))[-1].state == "succeeded"


def _post(url: str, headers: dict[str, str]) -> str:
    answer = httpx.post(
        f"{url}/v1/imports",
        json={"records": [RECORD], "analyze": True},
        headers=headers,
        timeout=20,
    )
    return str(answer.raise_for_status().json()["job_id"])


@real
def test_everything_is_in_the_callers_trace(spans: list[dict[str, Any]]) -> None:
    ours = [span for span in spans if span["trace_id"] == TRACE]
    names = [span["name"] for span in ours]
    assert "POST /v1/imports" in names
    assert names.count("run import_records_with_callback") == 2, "both deliveries"
    assert {
        "publish import_batch_task",
        "run import_batch_task",
        "batch: write",
        "run record_findings_task",
    } <= set(names)
    assert {"run analyze_error_task", "wait for a place"} <= set(names)
    assert any(name.startswith("chat ") for name in names)
    assert {span["service"] for span in ours} == {
        "edugraph-gateway",
        "edugraph-importer",
        "edugraph-analyzer",
    }


@real
def test_each_span_hangs_on_another_one(spans: list[dict[str, Any]]) -> None:
    ours = {span["span_id"]: span for span in spans if span["trace_id"] == TRACE}
    roots = [span["name"] for span in ours.values() if span["parent_id"] not in ours]
    assert roots == ["POST /v1/imports"], "the caller's own span is the only one that is not here"
    tries = [span for span in ours.values() if span["name"] == "run import_records_with_callback"]
    assert sorted((span["attributes"]["tries"], span["attributes"]["state"]) for span in tries) == [
        (1, "RETRY"),
        (2, "SUCCESS"),
    ]
    for span in tries:
        assert span["attributes"]["messaging.destination.name"] == "data_import"


@real
def test_no_span_holds_a_text(spans: list[dict[str, Any]]) -> None:
    assert "1/2 + 1/3" not in json.dumps(spans)


def test_off_it_imports_nothing(tmp_path: Path) -> None:
    code = """
import sys
import edugraph_importer.worker, edugraph_analyzer.worker, edugraph_gateway.main
from edugraph_common.runtime.service import tracing
with tracing.span("x", "client", a=1) as span:
    span.say(b=2)
# redis-py loads the API for its own metrics where it finds it.
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))])
"""
    environment = {
        "EDUGRAPH_BROKER_URL": "amqp://x//",
        "EDUGRAPH_REDIS_URL": "redis://x",
        "EDUGRAPH_BLOB_URL": "/tmp/x",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
