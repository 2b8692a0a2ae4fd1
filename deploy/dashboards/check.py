"""Checks the dashboards as Grafana and Prometheus will see them.

    python deploy/dashboards/check.py [--prometheus http://127.0.0.1:9090] FILE…

Without a Prometheus: form, grid, unit, sentence, variables, metrics that exist, and expressions that parse. With one,
each query must have data there. Exit code 1 and one line for each problem.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edugraph_common.runtime.service.metrics import INSTRUMENTS

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 24
# What Grafana itself puts in, and what our own variables stand for outside of Kubernetes.
VALUES = {
    "__rate_interval": "2m",
    "__interval": "1m",
    "namespace": ".*",
    "release": ".*",
    "school": ".*",
}
NAMES = {instrument.full_name for instrument in INSTRUMENTS}


def problems(dashboard: dict[str, Any], prometheus: str | None) -> Iterator[str]:
    yield from _form(dashboard)
    declared = {variable["name"] for variable in dashboard["templating"]["list"]} | {
        "__rate_interval",
        "__interval",
    }
    for panel in _panels(dashboard):
        for target in panel["targets"]:
            for fault in _query(target["expr"], declared, prometheus):
                yield f"{panel['title']}: {fault}"


def _form(dashboard: dict[str, Any]) -> Iterator[str]:
    yield from (
        f"has no {key}" for key in ("uid", "title", "description") if not dashboard.get(key)
    )
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        yield from _place(panel, taken)
    for panel in _panels(dashboard):
        if not panel.get("description", "").strip().endswith((".", ";")):
            yield f"{panel['title']}: has no sentence of what to do"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{panel['title']}: has no unit"


def _place(panel: dict[str, Any], taken: dict[tuple[int, int], str]) -> Iterator[str]:
    grid = panel["gridPos"]
    if grid["x"] + grid["w"] > COLUMNS:
        yield f"{panel['title']}: is wider than the page"
    for x in range(grid["x"], grid["x"] + grid["w"]):
        for y in range(grid["y"], grid["y"] + grid["h"]):
            if (x, y) in taken:
                yield f"{panel['title']}: lies over {taken[x, y]}"
                return
            taken[x, y] = panel["title"]


def _query(expression: str, declared: set[str], prometheus: str | None) -> Iterator[str]:
    for name in set(re.findall(r"\$\{?(\w+)", expression)) - declared:
        yield f"${name} is no variable of it"
    for name in re.findall(r"\bedugraph_\w+", expression):
        if name not in NAMES and re.sub(r"_(bucket|sum|count)$", "", name) not in NAMES:
            yield f"{name} is no metric of ours"
    if prometheus is not None and not _has_data(prometheus, _filled(expression)):
        yield f"no data: {_filled(expression)}"


def _filled(expression: str) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: VALUES.get(found[1], found[0]), expression)


def _syntax(expressions: list[str]) -> Iterator[str]:
    """All of them at once, as recording rules: promtool takes a while to start."""
    rules = [
        {"record": f"query:{number}", "expr": _filled(text)}
        for number, text in enumerate(expressions)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        command = [sys.executable, "-m", "tools.prometheus", "check", "rules", file.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip()


def _has_data(prometheus: str, query: str) -> bool:
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bool(json.load(answer)["data"]["result"])


def _panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prometheus", metavar="URL")
    parser.add_argument("files", nargs="+", type=Path)
    chosen, count = parser.parse_args(), 0
    boards = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in chosen.files}
    for name, board in boards.items():
        found = list(problems(board, chosen.prometheus))
        count += len(found)
        print(f"{name}: {len(found)} problems", *found, sep="\n    ")
    targets = [
        target
        for board in boards.values()
        for panel in _panels(board)
        for target in panel["targets"]
    ]
    faults = list(_syntax([target["expr"] for target in targets]))
    print(f"{len(targets)} queries", *faults, sep="\n    ")
    return 1 if count or faults else 0


if __name__ == "__main__":
    sys.exit(main())
