"""The workflows call targets of make that exist, and the gates of .ci/run are those of CI."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# `make` at the beginning of a command or of a substitution, and its arguments.
CALL = re.compile(r"(?:^|[;&|(])\s*(?:[A-Z_]+=\S* +)*make +([^;&|)\n]+)", re.MULTILINE)


def workflow(name: str) -> dict[Any, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def targets_of_make() -> set[str]:
    """Every target that a rule of the makefiles has. No variable stands in the name of one that a person calls."""
    found: set[str] = set()
    for makefile in [ROOT / "Makefile", *(ROOT / "make").glob("*.mk")]:
        for line in makefile.read_text(encoding="utf-8").splitlines():
            rule = re.match(r"([a-z][a-z0-9 -]*):(?!=)", line)
            if rule:
                found.update(rule[1].split())
    return found


def commands(job: dict[str, Any]) -> Iterator[str]:
    """Every command of a job, once for each combination of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for values in itertools.product(*matrix.values()):
        for step in job["steps"]:
            command = step.get("run", "")
            for name, value in zip(matrix, values, strict=True):
                command = command.replace("${{ matrix." + name + " }}", value)
            yield command


def called(name: str) -> list[str]:
    found = []
    for job in workflow(name)["jobs"].values():
        for command in commands(job):
            for arguments in CALL.findall(command):
                for word in arguments.split():
                    if not word.startswith("-") and "=" not in word:
                        found.append(word)
    return found


@pytest.mark.parametrize(
    ("command", "targets"),
    [
        ("make a b", ["a", "b"]),
        ("A=1 make -s --quiet a B=2", ["a"]),
        ('test "v$(make -s a)" = x && make b; make c', ["a", "b", "c"]),
        ("apt-get install make python3", []),
        ("cd x\nmake a", ["a"]),
    ],
)
def test_calls_of_make_are_found_wherever_they_stand(
    command: str, targets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"steps": [{"run": command}]}
    monkeypatch.setattr(f"{__name__}.workflow", lambda _: {"jobs": {"one": job}})
    assert called("made-up.yml") == targets


def test_the_workflows_are_read_at_all() -> None:
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "release.yml", "scheduled.yml"}
    assert "fast" in called("ci.yml")
    assert {"version", "release-images"} <= set(called("release.yml"))
    assert set(called("scheduled.yml")) == {"nightly", "weekly", "end-of-life", "audit"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_target_that_a_workflow_calls_exists(path: Path) -> None:
    """To take the guard out: call `make release-image`."""
    assert sorted(set(called(path.name)) - targets_of_make()) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_variable_is_left_in_a_command(path: Path) -> None:
    """An expression in a command lets whoever names a branch run commands. Values come as environment variables."""
    for job in workflow(path.name)["jobs"].values():
        assert [command for command in commands(job) if "${{" in command] == []


def test_ci_runs_the_gates_of_a_change() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    gates = " ".join(re.findall(r"tools\.steps --stop (.+)", text)).split()
    # The servers end with the job.
    of_this_machine = [step for step in gates if step not in ("test-servers-stop", "--beside")]
    # A run here tries one part of the cluster's test, and GitHub, with a machine for each step, tries the whole.
    assert of_this_machine[-1] == "kube-test-part"
    assert called("ci.yml") == [*of_this_machine[:-1], "kube-test-all"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_rights_are_named(path: Path) -> None:
    whole = workflow(path.name)
    assert whole["permissions"] == {"contents": "read"}
    # YAML reads the key `on` as true.
    assert "pull_request_target" not in whole[True]
    for job in whole["jobs"].values():
        assert job["timeout-minutes"] > 0
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"])


def test_a_release_has_every_step_in_its_order() -> None:
    steps = called("release.yml")
    assert steps == [
        "version",
        "packages-test",
        "release-images",
        "release-chart",
        "release-sign",
        "sbom",
        "release-wheels",
    ]


def test_renovate_finds_what_it_shall_update() -> None:
    rules = json.loads((ROOT / ".github" / "renovate.json").read_text(encoding="utf-8"))
    for rule in rules["customManagers"]:
        (pattern,) = rule["managerFilePatterns"]
        files = [
            path
            for folder in ("deploy", "dev", "services", "tools")
            for path in (ROOT / folder).rglob("*")
            if re.search(pattern.strip("/"), path.relative_to(ROOT).as_posix())
        ]
        assert files, rule["description"]
        for file in files:
            for form in rule["matchStrings"]:
                wanted = form.replace("(?<", "(?P<")
                assert re.search(wanted, file.read_text(encoding="utf-8")), (file, form)


def test_the_gates_name_no_server_of_the_tests() -> None:
    """A name that begins with EDUGRAPH_TEST_ says that the first worker has servers, so the others would need some."""
    gates = [ROOT / ".ci" / "run", *WORKFLOWS]
    for gate in gates:
        assert "EDUGRAPH_TEST_" not in gate.read_text(encoding="utf-8"), gate.name
