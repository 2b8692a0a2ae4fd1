"""Compare the speed of this checkout with that of another one: `make bench-compare OTHER=PATH`.

The machine's speed drifts, so the two take turns (other, this, other, this, …), and the ratio of each pair counts:

- import: records a second from the upload of a file to the last commit, two importer processes
- analyze: items a second of 1,000 texts whose answers are all in the cache, eight processes

One table, JSON beside it; exits 1 when the median ratio of one is more than 5 % below 1. Each checkout uses its own
environment, its own benches and its own servers, which `make env-dev test-servers` starts (`servers` in older ones).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
SLOWER = 0.95
# What runs in each checkout: the functions of its own benches, whose names have not changed.
IMPORT = """
import json, sys, tempfile
from contextlib import nullcontext
from pathlib import Path
import bench_import as bench
number = int(sys.argv[1])
with getattr(bench, "bench", nullcontext)(), tempfile.TemporaryDirectory() as folder:
    with bench.real_engine(Path(folder)) as engine:
        path = bench.write_records(Path(folder) / "records.ndjson", number)
        bench.empty_graph(engine.environment)
        rate = bench.pipeline(engine, path, number, 2, {})
        bench.empty_graph(engine.environment)
print(json.dumps({"rate": rate}))
"""
ANALYZE = """
import json
from contextlib import nullcontext
import bench_analyze as bench
from engines import given
with getattr(bench, "bench", nullcontext)():
    *_, same = bench.runs([1], 10)
    result = bench.perform(same, given("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"])
print(json.dumps({"rate": result["second_items_per_second"]}))
"""


def rate_of(checkout: Path, program: str, *arguments: str) -> float:
    """Return what one run of `program` in a checkout measured. Exits with its output where it fails."""
    run = checkout / ".run"
    addresses = next((run / name for name in ("test-servers.env", "servers.env") if (run / name).exists()), None)
    if addresses is None:
        sys.exit(f"{checkout} has no servers for benches: run `make env-dev test-servers` there")
    shell = f'set -a; source {addresses}; set +a; PYTHONPATH=.:tests:benchmarks exec .venv/bin/python -c "$@"'
    command = ["bash", "-c", shell, "bench", program, *arguments]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the bench failed in {checkout}:\n{done.stdout[-2_000:]}\n{done.stderr[-2_000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the speed of this checkout with that of another one.")
    parser.add_argument("other", type=Path, help="another checkout, set up by `make env-dev`")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--records", type=int, default=60_000)
    given = parser.parse_args()
    this, other = HERE.parent, given.other.resolve()
    results: dict[str, dict[str, object]] = {}
    missed = []
    for name, unit, program, arguments in (
        ("import", "records/s", IMPORT, (str(given.records),)),
        ("analyze", "cached items/s", ANALYZE, ()),
    ):
        pairs = [
            (rate_of(other, program, *arguments), rate_of(this, program, *arguments)) for _ in range(given.turns)
        ]
        ratios = [here / there for there, here in pairs]
        print(f"{name:<9}", *(f"{there:>8,.0f} -> {here:>7,.0f} ({here / there:.2f})" for there, here in pairs), unit)
        print(f"{name:<9} median ratio {median(ratios):.3f} (goal at least {SLOWER})")
        results[name] = {"pairs": pairs, "ratios": ratios, "median_ratio": median(ratios)}
        if median(ratios) < SLOWER:
            missed.append(name)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "compare.json").write_text(json.dumps(results | {"missed": missed}, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
