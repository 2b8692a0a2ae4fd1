"""Compare the speed of this checkout with that of another one: `make bench-compare OTHER=PATH`.

The machine's speed drifts, so the two checkouts take turns (other, this, this, other, …), and the ratio of each pair
counts:

- import: records a second from the upload of a file to the last commit, with two importer processes
- analyze: items a second, with eight processes, if all answers are in the cache

Both use the servers of this checkout's tests, which have no data, constraints and indexes at the start of each run.
Both import the same file. The other checkout makes it, because it may not know all types of records of this one. Each
checkout runs its own benches in its own environment (`make env-dev` there). The command prints one table and writes
it as JSON. It exits with 1 if a median ratio is below the goal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import guard
from engines import bench, own_vhost

HERE = Path(__file__).resolve().parent
GOAL = 0.95
# The programs that run in each checkout. They call functions of its own benches, whose names have not changed since
# the first version. They get the addresses of the servers, because this program claims, empties and releases the
# servers.
RECORDS = "import sys, pathlib, bench_import; bench_import.write_records(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
IMPORT = """
import json, sys, tempfile
from pathlib import Path
import bench_import as bench
from engines import Engine
servers, number, path = json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:
    environment = servers | {"EDUGRAPH_BLOB_URL": f"{folder}/blobs", "EDUGRAPH_AUTH": "off"}
    print(bench.pipeline(Engine("real", environment, Path(folder)), path, number, 2, {}))
"""
# The time runs from the word "go" to the last answer, without the quarter of a second in which a process ends.
ANALYZE = """
import json, subprocess, sys, time
from dataclasses import replace
import bench_analyze as bench
import redis
from beside import scripted_provider
address = json.loads(sys.argv[1])["EDUGRAPH_REDIS_URL"]
run = replace(bench.runs([1], 10)[-1], items=int(sys.argv[2]))
packs, asked = list(bench.packs_of(run)), []
with redis.Redis.from_url(address, socket_timeout=bench.MOST_SECONDS) as server, scripted_provider(run.script) as url:
    until = time.time() + bench.MOST_SECONDS
    told = {"name": run.name, "url": url, "redis": address, "pack": run.pack, "until": until}
    told |= {"threads": 1, "connect_seconds": 0.0}  # what benches of before do not know: theirs have one thread
    for _ in ("asked", "cached"):
        server.delete(*(f"{run.name}:{what}" for what in ("packs", "done", "ready", "go")))
        server.rpush(f"{run.name}:packs", *packs)
        command = [sys.executable, bench.__file__, "--work", json.dumps(told)]
        workers = [subprocess.Popen(command) for _ in range(run.processes)]
        for _ in workers:
            assert server.blpop([f"{run.name}:ready"], timeout=60), "a process did not begin"
        began = time.monotonic()
        server.rpush(f"{run.name}:go", *(until for _ in workers))  # benches of before read the end from `told` alone
        while server.llen(f"{run.name}:done") < len(packs):
            assert any(worker.poll() is None for worker in workers), "the processes ended before the packs did"
            time.sleep(0.01)
        seconds = time.monotonic() - began
        for worker in workers:
            worker.wait()
        asked.append(len(bench.requests_at(url)))
    found = sum(len(json.loads(done)["found"]) for done in server.lrange(f"{run.name}:done", 0, -1))
assert (found, asked[1]) == (run.items, asked[0]), "not all came from the cache"
print(run.items / seconds)
"""


def empty(servers: dict[str, str]) -> None:
    """Delete the data of the last run from the servers, including constraints and indexes."""
    guard.ask(servers)
    for server in guard.servers_of(servers):
        if isinstance(server, guard.GraphServer):
            server.empty()
            with server.connected() as run:
                for row in run("SHOW CONSTRAINTS YIELD name"):
                    run(f"DROP CONSTRAINT `{row['name']}`")
                for row in run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'"):
                    run(f"DROP INDEX `{row['name']}`")
            server.claim()
        elif isinstance(server, guard.RedisServer):
            server.empty()


def output_of(checkout: Path, program: str, *arguments: str) -> str:
    """Run `program` in a checkout and return its output. If it fails, exit with its output."""
    done = subprocess.run(
        [checkout / ".venv" / "bin" / "python", "-c", program, *arguments],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((".", "tests", "benchmarks"))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the bench failed in {checkout}:\n{done.stdout[-2_000:]}\n{done.stderr[-2_000:]}")
    return done.stdout


def rate_of(checkout: Path, program: str, number: int, records: Path) -> float:
    """Return the rate that one run of `program` in a checkout measured."""
    with own_vhost() as servers:
        empty(servers)
        output = output_of(checkout, program, json.dumps(servers), str(number), str(records))
    return float(output.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Compare the speed of this checkout with that of another one."
    )
    parser.add_argument("other", type=Path, help="another checkout, set up by `make env-dev`")
    parser.add_argument("--only", choices=("import", "analyze"), help="measure only this one")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--records", type=int, default=60_000, help="of an import")
    parser.add_argument("--items", type=int, default=10_000, help="of an analysis")
    given = parser.parse_args()
    benches = {
        "import": ("records/s", IMPORT, given.records),
        "analyze": ("cached items/s", ANALYZE, given.items),
    }
    this, other = HERE.parent, given.other.resolve()
    results: dict[str, dict[str, object]] = {}
    missed = []
    with bench(), tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records.ndjson"
        output_of(other, RECORDS, str(records), str(given.records))
        for name in [given.only] if given.only else benches:
            unit, program, number = benches[name]
            pairs = []
            for turn in range(given.turns):
                # The two checkouts take turns in being first, so that being first is not an advantage.
                turns = (other, this) if turn % 2 == 0 else (this, other)
                rates = {
                    checkout: rate_of(checkout, program, number, records) for checkout in turns
                }
                pairs.append((rates[other], rates[this]))
            ratios = [here / there for there, here in pairs]
            for there, here in pairs:
                print(f"{name:<9}{there:>8,.0f} -> {here:>8,.0f} {unit:<15}{here / there:>6.2f}")
            print(
                f"{name:<9}median ratio {median(ratios):.3f} of {len(ratios)} (goal at least {GOAL})",
                flush=True,
            )
            results[name] = {"pairs": pairs, "ratios": ratios, "median_ratio": median(ratios)}
            if median(ratios) < GOAL:
                missed.append(name)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "compare.json").write_text(
        json.dumps(results | {"missed": missed}, indent=1) + "\n"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
