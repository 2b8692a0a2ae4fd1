"""Runs targets of make one after another and prints how long each took.

    python3 -m tools.steps [--stop] TARGET [TARGET ...]     a target may have variables: "chaos CHAOS_SEEDS=1"

After a step that failed the others still run, so that one night shows all failures. With --stop, as in CI, the first
failure ends the run. The table at the end has each step, its result and its seconds. Exit code 1 means that a step
failed.
"""

import argparse
import shlex
import subprocess
import sys
import time


def main(arguments: list[str] | None = None) -> int:
    """Run the steps."""
    parser = argparse.ArgumentParser(prog="tools.steps", description="Targets of make, timed.")
    parser.add_argument("--stop", action="store_true", help="end at the first step that fails")
    parser.add_argument("targets", nargs="+")
    chosen = parser.parse_args(arguments)
    ended: list[tuple[str, str, float]] = []
    for target in chosen.targets:
        print(f"== make {target}", flush=True)
        began = time.monotonic()
        code = subprocess.call(["make", "--no-print-directory", *shlex.split(target)])
        ended.append((target, "failed" if code else "ok", time.monotonic() - began))
        if code and chosen.stop:
            break
    print(f"\n{'step':<50}{'':<8}{'seconds':>8}")
    for target, end, seconds in ended:
        print(f"{target:<50}{end:<8}{seconds:>8.0f}")
    print(f"{'all':<58}{sum(seconds for _, _, seconds in ended):>8.0f}", flush=True)
    return int(any(end == "failed" for _, end, _ in ended))


if __name__ == "__main__":
    sys.exit(main())
