"""The messages, and their bytes, that an import with analysis keeps in `llm_analysis` while a slow model is asked.

    make bench-analysis-queue BENCH_ARGS="--rows 20000"

The bench prints one table and writes it to benchmarks/results/analysis_queue.json. It exits with 1 if the queue held
more than the window.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from beside import scripted_provider
from engines import System, bench, real_engine

from edugraph_cli.serving import Pools

HERE = Path(__file__).parent
QUEUE, PACKS_IN_QUEUE, LATENCY = "llm_analysis", 32, 2.0
SETTLED_SECONDS = 12.0  # the broker's figures are a few seconds old


def chats(path: Path, rows: int) -> Path:
    run = uuid4().hex[:8]
    people = {
        "student_id_from": f"{run}-a",
        "student_id_to": f"{run}-b",
        "interaction_type": "chat",
    }
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            data = {
                **people,
                "text": f"{run} {number}: I still do not see why we find a common denominator first.",
            }
            record = {
                "type": "student_interaction",
                "timestamp": "2026-01-05T08:00:00Z",
                "data": data,
            }
            file.write(json.dumps({**record, "record_id": f"{run}-{number}"}) + "\n")
    return path


def measure(system: System, rows: int, folder: Path) -> dict[str, Any]:
    """Return the largest figures of the queue, from the first row to some seconds after the last one was written."""
    environment = system.engine.environment
    vhost = environment["EDUGRAPH_BROKER_URL"].rsplit("/", 1)[1]
    most, began, written_after = {"messages": 0, "message_bytes": 0}, time.monotonic(), 0.0
    job = system.client.import_file(chats(folder / "chats.ndjson", rows), analyze=True).job_id
    with httpx.Client(base_url=environment["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20) as api:
        while not written_after or time.monotonic() - began < written_after + SETTLED_SECONDS:
            queue = api.get(f"/api/queues/{vhost}/{QUEUE}").raise_for_status().json()
            most = {name: max(kept, queue.get(name, 0)) for name, kept in most.items()}
            if not written_after and system.client.job(job).written == rows:
                written_after = time.monotonic() - began
            time.sleep(0.5)
    system.client.cancel(job)
    return {"rows": rows, **most, "written_after_seconds": round(written_after, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    chosen = parser.parse_args()
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        scripted_provider({"latency": LATENCY}) as provider,
        real_engine(Path(folder)) as servers,
    ):
        own = {
            "EDUGRAPH_OPENAI_API_KEY": f"queue-{uuid4().hex[:8]}",
            "EDUGRAPH_OPENAI_BASE_URL": provider,
            "EDUGRAPH_PACKS_IN_QUEUE": str(PACKS_IN_QUEUE),
        }
        engine = replace(servers, environment=servers.environment | own)
        with engine.serve(Pools(2, 1, 1)) as system:
            found = measure(system, chosen.rows, Path(folder))
    print("".join(f"{name:>24}" for name in found))
    print("".join(f"{value:>24,}" for value in found.values()))
    # One message may have begun, and one may be on its way.
    missed = found["messages"] > PACKS_IN_QUEUE + 2
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "analysis_queue.json").write_text(
        json.dumps({"result": found, "missed": missed}, indent=1)
    )
    print(f"MISS more than {PACKS_IN_QUEUE} packs were in the queue" if missed else "all held")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
