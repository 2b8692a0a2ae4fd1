"""Prometheus on given targets with our alerts, and promtool: `python3 -m tools.prometheus check rules FILE`.

Debian 13's programs are used. Those of Debian 12 are too old for the checks (`promtool promql format`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.debian import unpacked
from tools.common import ServerError, say

RULES = Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "alerts" / "rules.yaml"
INTERVAL = "5s"


def program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`. If they are missing, download them first."""
    return unpacked.programs("prometheus", ("prometheus", "promtool")) / name


def start(folder: Path, port: int, targets: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start Prometheus and wait until it answers. It keeps running after this process ends.

    `targets`: name of the job -> address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.json"  # JSON is YAML too
    configuration.write_text(json.dumps(_configuration(targets)), encoding="utf-8")
    command = [
        str(program("prometheus")),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=2d",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _wait(process, port)
    return process


def ask(port: int, path: str, **parameters: str) -> Any:
    """Return `data` of an answer of Prometheus' API."""
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def _configuration(targets: Mapping[str, str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in targets.items()
        ],
    }


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("Prometheus did not start; its log is prometheus.log in its folder")


def main(arguments: list[str]) -> int:
    """Run promtool. Exit code 3 means that it cannot be provided."""
    try:
        return subprocess.call([str(program("promtool")), *arguments])
    except ServerError as error:
        say(str(error), "promtool")
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
