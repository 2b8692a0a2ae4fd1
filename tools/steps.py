"""Runs targets of make one after another and prints how long each took.

    python3 -m tools.steps [--stop] TARGET [TARGET ...] [--beside TARGET [TARGET ...]]

A target may have variables: "chaos CHAOS_SEEDS=1". The targets after --beside run at the same time as the others,
also one after another. A step that mostly waits costs no time beside one that computes. Their output is printed when
each of them has ended, and is in .run/steps while they run.

After a step that failed the others still run, so that one night shows all failures. With --stop, as in CI, the first
failure ends the run, and the step that runs beside it is interrupted. The last lines of a step that failed beside the
others are printed once more at the end, because who keeps only the end of a log must find the cause there. The table
after them has each step, its result and its seconds. Exit code 1 means that a step failed or was interrupted.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

LOGS = Path(".run/steps")
# A step that is interrupted takes its cluster or its servers down first.
SECONDS_TO_END = 120
SECONDS_BETWEEN_LOOKS = 1
LINES_OF_A_FAILURE = 40


@dataclass(frozen=True)
class Ended:
    """A step that ran. `result` is "ok", "failed" or "stopped"."""

    target: str
    result: str
    seconds: float


class Steps:
    """The steps of one run."""

    def __init__(self, *, stop_at_failure: bool) -> None:
        self.ended: list[Ended] = []
        # The output of each step that failed beside the others: target -> text.
        self.failed_beside: dict[str, str] = {}
        self._stop_at_failure = stop_at_failure
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_interrupted = False
        # The time at which a step that was interrupted is killed, or None while nothing is interrupted.
        self._kill_at: float | None = None

    def run(self, targets: list[str]) -> None:
        """Run the targets one after another."""
        for target in targets:
            print(f"== make {target}", flush=True)
            if not self._run(target, output=None):
                return

    def run_beside(self, targets: list[str]) -> None:
        """Run the targets one after another, and print the output of each when it has ended."""
        LOGS.mkdir(parents=True, exist_ok=True)
        for target in targets:
            log = LOGS / f"{shlex.split(target)[0]}.log"
            print(f"\n== make {target}, beside the other steps: its output is in {log}", flush=True)
            goes_on = self._run(target, output=log)
            if log.exists():
                text = log.read_text(encoding="utf-8", errors="replace")
                print(f"\n== the output of make {target}\n{text}\n== its end", flush=True)
                if self.ended_with(target) == "failed":
                    self.failed_beside[target] = text
            if not goes_on:
                return

    def ended_with(self, target: str) -> str | None:
        """Return the result of a step, or None if it has not ended. The last one counts when it ran twice."""
        with self._lock:
            for step in reversed(self.ended):
                if step.target == target:
                    return step.result
        return None

    def interrupt(self) -> None:
        """Let the run stop soon. This is for a signal handler, which may not wait for the lock of `stop`."""
        self._is_interrupted = True

    def stop(self) -> None:
        """Interrupt all steps that run, once, and start no other."""
        with self._lock:
            if self._kill_at is not None:
                return
            self._kill_at = time.monotonic() + SECONDS_TO_END
            for process in self._running:
                _signal(process, signal.SIGINT)

    def _run(self, target: str, output: Path | None) -> bool:
        """Run one step, and return whether the next one may begin."""
        began = time.monotonic()
        process = self._start(target, output)
        if process is None:
            return False
        code = self._wait(process)
        with self._lock:
            self._running.remove(process)
            is_stopped = self._kill_at is not None
            result = "ok"
            if code:
                result = "stopped" if is_stopped else "failed"
            self.ended.append(Ended(target, result, time.monotonic() - began))
        if result == "failed" and self._stop_at_failure:
            self.stop()
            return False
        return not is_stopped

    def _start(self, target: str, output: Path | None) -> subprocess.Popen[bytes] | None:
        """Start one step, or return None if the run was stopped before."""
        command = ["make", "--no-print-directory", *shlex.split(target)]
        with self._lock:
            if self._kill_at is not None or self._is_interrupted:
                return None
            # In a process group of its own, so that a signal reaches all programs of this step and of no other.
            if output is None:
                process = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL)
            else:
                with output.open("wb") as log:
                    process = subprocess.Popen(
                        command,
                        process_group=0,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
            self._running.append(process)
        return process

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while True:
            try:
                return process.wait(SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                if self._is_interrupted:
                    self.stop()
                if self._kill_at is not None and time.monotonic() > self._kill_at:
                    _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a step and to the programs that it started. A step that has ended gets none."""
    if process.poll() is None:
        os.killpg(process.pid, number)


def main(arguments: list[str] | None = None) -> int:
    """Run the steps."""
    parser = argparse.ArgumentParser(prog="tools.steps", description="Targets of make, timed.")
    parser.add_argument("--stop", action="store_true", help="end at the first step that fails")
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--beside", nargs="+", default=[], metavar="TARGET")
    chosen = parser.parse_args(arguments)
    steps = Steps(stop_at_failure=chosen.stop)
    # The steps are in other process groups, so a signal to this process does not reach them.
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, lambda *_: steps.interrupt())
    try:
        return _run_all(steps, chosen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_all(steps: Steps, chosen: argparse.Namespace) -> int:
    """Run all steps, print the table, and return the exit code."""
    began = time.monotonic()
    beside = threading.Thread(target=steps.run_beside, args=(chosen.beside,))
    if chosen.beside:
        beside.start()
    steps.run(chosen.targets)
    if chosen.beside:
        beside.join()
    for target, text in steps.failed_beside.items():
        last_lines = text.splitlines()[-LINES_OF_A_FAILURE:]
        print(f"\n== the last lines of make {target}, which failed")
        print("\n".join(last_lines))
    print(f"\n{'step':<50}{'':<8}{'seconds':>8}")
    for step in steps.ended:
        print(f"{step.target:<50}{step.result:<8}{step.seconds:>8.0f}")
    print(f"{'all':<58}{time.monotonic() - began:>8.0f}", flush=True)
    is_good = len(steps.ended) == len(chosen.targets) + len(chosen.beside)
    for step in steps.ended:
        is_good = is_good and step.result == "ok"
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
