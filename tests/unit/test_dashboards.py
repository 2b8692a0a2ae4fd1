"""The dashboards: current, and without a fault that shows before anybody opens them."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engines import missing

ROOT = Path(__file__).parents[2]
CODE, MADE = ROOT / "deploy" / "dashboards", ROOT / "deploy" / "k8s" / "dashboards"
FILES = sorted(MADE.glob("*.json"))


def test_the_json_is_current() -> None:
    if importlib.util.find_spec("grafana_foundation_sdk") is None:
        missing("needs the group dashboards: uv sync --group dashboards")
    code = "import json, runpy; print(json.dumps(runpy.run_path('make.py')['texts']()))"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True
    ).stdout
    texts = json.loads(made)
    assert {file.name for file in FILES} == set(texts)
    for file in FILES:
        assert file.read_text() == texts[file.name], f"{file.name} is old; run: make dashboards"


def test_each_number_of_the_fleet_is_of_a_school_or_a_version() -> None:
    """Out: `by` of a query, which would add the schools up; `of_school`, whose variable is not there."""
    board = json.loads((MADE / "fleet.json").read_text())
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == ["datasource", "school"]
    queries = []
    for panel in board["panels"]:
        queries += panel.get("targets", [])
    assert queries
    for query in queries:
        assert 'release=~"$school"' in query["expr"]
        assert query["legendFormat"] in {"{{release}}", "{{version}}"}
        by = query["legendFormat"].strip("{}")
        assert f"by ({by}" in query["expr"] or f", {by})" in query["expr"], query["expr"]


def test_they_have_no_fault() -> None:
    """Whether each query has data is asked of a real Prometheus, by `make observe`."""
    command = [sys.executable, str(CODE / "check.py"), *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "promtool: " in done.stdout:
        missing(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda panel: panel["targets"][0].update(expr="sum(rate(edugraph_no_such_total[5m]))"),
            "no metric of ours",
        ),
        (
            lambda panel: panel["targets"][0].update(expr="sum(rate(edugraph_tasks_total[5m])"),
            "parse error",
        ),
        (
            lambda panel: panel["targets"][0].update(expr='edugraph_tasks_total{queue="$queue"}'),
            "$queue is no variable",
        ),
        (lambda panel: panel.update(description=""), "no sentence"),
        (lambda panel: panel["gridPos"].update(x=20, w=8), "wider"),
        (lambda panel: panel["gridPos"].update(x=0, y=0), "lies over"),
    ],
)
def test_the_checker_sees(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], fault: str
) -> None:
    board = json.loads(FILES[0].read_text())
    change(next(panel for panel in board["panels"] if panel["type"] != "row"))
    (tmp_path / "broken.json").write_text(json.dumps(board))
    command = [sys.executable, str(CODE / "check.py"), str(tmp_path / "broken.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert fault in done.stdout
