"""A test that `make test` leaves out or skips as slow is run by some target: else nobody would see it fail."""

import ast
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What `make test` leaves out, and the step that runs it.
LEFT_OUT = {
    "services/flower/tests/*": "flower-test",
    "deploy/k8s/tests/*": "chart-test",
    "research/tests/*": "research-test",
    "tests/page/*": "page-test",
    "tests/login/*": "keycloak-test",
    "tests/chaos/*": "chaos-tests",
    "tests/mutation/*": "mutants",
    "tests/integration/test_traps_*": "traps-quick",
    "tests/e2e/test_traps_*": "traps",
}


def test_each_file_of_tests_is_run_in_ci_or_by_night_or_once_a_week() -> None:
    """To take the guard out: leave flower-test or traps-quick out of the steps, or a folder out of `testpaths`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pytest = project["tool"]["pytest"]["ini_options"]
    slow, fast = (
        re.search(rf"^{name} := .*", makefile, re.MULTILINE)
        for name in ("SLOW_TESTS", "WITHOUT_SERVERS")
    )
    assert slow is not None
    assert fast is not None
    ignored, ignored_by_fast = (
        re.findall(r"--ignore(?:-glob)?='?([\w*/.]+)", line[0]) for line in (slow, fast)
    )
    in_ci, later = set[str](), set[str]()
    for path, steps in ((ROOT / ".ci" / "run", in_ci), (ROOT / "make" / "nightly.mk", later)):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(
            r"^(?:NIGHTLY :=|.*-m tools\.steps(?: --stop)?) (.*)", text, re.MULTILINE
        ):
            steps |= {step.split()[0] for step in shlex.split(line)}
    for path in (
        ROOT / folder
        for folder in (
            "libs",
            "services",
            "cli",
            "tests",
            "deploy/k8s/tests",
            "benchmarks",
            "research",
        )
    ):
        for file in (each.relative_to(ROOT).as_posix() for each in path.rglob("test_*.py")):
            left_out = [step for pattern, step in LEFT_OUT.items() if fnmatch(file, pattern)]
            if left_out:
                assert {*left_out} <= in_ci | later, file
            else:
                assert "test-rest" in in_ci
                assert {"fast", "unit"} & in_ci
                assert any(file.startswith(f"{folder}/") for folder in pytest["testpaths"]), file
                assert not any(
                    fnmatch(file, name) or file.startswith(f"{name}/") for name in ignored
                ), file
                # `make test-rest` runs what is marked alone, so what `make fast` ignores besides has to be.
                if any(fnmatch(file, name) for name in ignored_by_fast):
                    assert "pytest.mark.real" in (ROOT / file).read_text(encoding="utf-8"), file


def test_each_file_with_slow_tests_is_named_by_a_target_that_runs_them() -> None:
    recipes = [
        path.read_text(encoding="utf-8").replace("\\\n", "")
        for path in sorted((ROOT / "make").glob("*.mk"))
    ]
    lines = [line for text in recipes for line in text.splitlines()]
    run = [
        name
        for line in lines
        if "EDUGRAPH_SLOW=1" in line
        for name in re.findall(r"tests/[\w*./]+", line)
    ]
    slow = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if any(
            isinstance(node, ast.ImportFrom)
            and {"slow", "both_slow", "SLOW"} & {name.name for name in node.names}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert slow
    assert [
        path
        for path in slow
        if not any(fnmatch(path, name) or path.startswith(f"{name}/") for name in run)
    ] == []
