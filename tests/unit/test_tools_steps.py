"""Steps of a night and of CI: each is timed, a failure is not lost, and two rows of steps run beside each other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engines import CHECKOUT
from waiting import until

from tools import steps

# `one` and `other` each end when the other one has begun. `long` and `deaf` take at least ten seconds, and write `ended`
# then. `long` writes a file when it is interrupted, as a step does that takes its cluster down.
MAKEFILE = """
good last:
	@echo $@ says hello
bad:
	@exit 2
one:
	@touch one.begun; until [ -e other.begun ]; do sleep 0.05; done
other:
	@touch other.begun; until [ -e one.begun ]; do sleep 0.05; done
long:
	@trap 'touch cleaned; exit 1' INT; touch long.begun; for n in $$(seq 200); do sleep 0.05; done; touch ended
deaf:
	@trap '' INT; touch long.begun; for n in $$(seq 200); do sleep 0.05; done; touch ended
says-why:
	@seq -f 'line %g' 50; echo the reason; exit 2
bad-beside-long:
	@until [ -e long.begun ]; do sleep 0.05; done; exit 2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(steps, "SECONDS_BETWEEN_LOOKS", 0.05)
    return tmp_path


def table(printed: str) -> dict[str, str]:
    """Return the results of the table: target -> result."""
    lines = printed[printed.rindex("\nstep ") :].splitlines()[2:]
    results = {}
    for line in lines:
        *target, result, _seconds = line.split()
        results[" ".join(target)] = result
    return results


def test_the_others_run_after_one_that_failed(capfd: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["good", "bad X=1", "last"]) == 1
    printed = capfd.readouterr().out
    assert table(printed) == {"good": "ok", "bad X=1": "failed", "last": "ok", "": "all"}
    assert "last says hello" in printed


def test_with_stop_nothing_runs_after_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["--stop", "bad", "last"]) == 1
    assert "make last" not in capfd.readouterr().out


def test_all_good_is_good() -> None:
    assert steps.main(["good", "last"]) == 0


def test_two_steps_run_at_the_same_time(capfd: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["one", "last", "--beside", "other", "good"]) == 0
    printed = capfd.readouterr().out
    assert set(table(printed)) == {"one", "last", "other", "good", ""}
    assert printed.count("good says hello") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["long", "last", "--beside", "bad-beside-long", "good"],
        ["bad-beside-long", "good", "--beside", "long", "last"],
    ],
)
def test_with_stop_a_failure_interrupts_the_step_beside_it(
    arguments: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert steps.main(["--stop", *arguments]) == 1
    printed = capfd.readouterr().out
    assert table(printed) == {"bad-beside-long": "failed", "long": "stopped", "": "all"}
    assert (folder / "cleaned").exists()
    assert not (folder / "ended").exists()
    assert "make good" not in printed
    assert "make last" not in printed


def test_without_stop_a_failure_interrupts_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["bad", "last", "--beside", "bad X=1", "good"]) == 1
    results = table(capfd.readouterr().out)
    assert results == {"bad": "failed", "last": "ok", "bad X=1": "failed", "good": "ok", "": "all"}


def test_the_last_lines_of_a_failure_beside_the_others_stand_before_the_table(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert steps.main(["last", "--beside", "says-why", "good"]) == 1
    printed = capfd.readouterr().out
    before_the_table, _, _ = printed.rpartition("\nstep ")
    _, _, last_lines = before_the_table.rpartition(
        "== the last lines of make says-why, which failed\n"
    )
    assert last_lines.count("the reason") == 1
    assert "line 50\n" in last_lines
    assert "line 1\n" not in last_lines
    assert "== the last lines of make good" not in printed


def test_a_step_that_does_not_end_when_it_is_interrupted_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "SECONDS_TO_END", 0.2)
    assert steps.main(["--stop", "bad-beside-long", "--beside", "deaf"]) == 1
    assert not (folder / "ended").exists()
    assert table(capfd.readouterr().out)["deaf"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [["long"], ["good", "--beside", "long"]])
def test_who_interrupts_the_run_interrupts_its_steps(
    arguments: list[str], number: signal.Signals, folder: Path
) -> None:
    command = [sys.executable, "-m", "tools.steps", *arguments]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as run:
        until((folder / "long.begun").exists, 60)
        run.send_signal(number)
        printed, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert table(printed)["long"] == "stopped"
    assert (folder / "cleaned").exists()
