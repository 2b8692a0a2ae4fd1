"""Point 8: what the chart gives the Prometheus operator and Grafana, in the Prometheus of a cluster made here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from release import CHART, PATIENCE, RELEASE, ROOT, Failed, Release, Report, records

ON = ("monitoring.enabled=true", 'monitoring.interval="5s"')
ALERT = "EduGraphNobodyConsumes"
SETTLED = 45  # seconds: the gateway looks at live sources each 30 s, and some scrapes follow


def monitoring(release: Release, report: Report) -> None:
    with release.forwarded("service/prometheus", 9090, "-n", "monitoring") as url:
        with report.step("8 every target of the chart's monitors is up") as figures:
            release.run_helm("upgrade", *release.chart(*ON), "--wait", "--timeout", "600s")
            figures.extend(_targets_up(release, url))
        with report.step("8 the chart's rules are loaded and evaluated") as figures:
            figures.extend(_rules_loaded(release, url))
        with report.step(
            f"8 {ALERT} fires when findings have no worker, and ends when they have one"
        ) as figures:
            figures.extend(_alert(release, url))
        with report.step("8 each query of the dashboards has data") as figures:
            figures.extend(_dashboards(release, url))


def _ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=20) as answer:
        return json.load(answer)["data"]


def _targets_up(release: Release, url: str) -> list[str]:
    def complete() -> bool:
        return _targets(release, url) == _wanted(release)

    took = release.until(f"targets {_wanted(release)}", complete)
    return [
        *(f"{job} {count}" for job, count in sorted(_wanted(release).items())),
        f"all up after {took:.0f} s",
    ]


def _wanted(release: Release) -> dict[str, int]:
    """One for each pod; RabbitMQ has two pages."""
    pods = {
        name: len(release.pods(name))
        for name in ("gateway", "insights", "importer", "splits", "findings", "analyzer", "flower")
    }
    return {**pods, "rabbitmq": 2}


def _targets(release: Release, url: str) -> dict[str, int]:
    """Those that are up; one that is down counts for nothing."""
    found: dict[str, int] = {}
    for target in _ask(url, "targets?state=active")["activeTargets"]:
        labels = target["labels"]
        if labels.get("namespace") == release.namespace and target["health"] == "up":
            name = labels["job"].removeprefix(f"{RELEASE}-")
            found[name] = found.get(name, 0) + 1
    return found


def _rules(release: Release, url: str) -> Iterator[Any]:
    for group in _ask(url, "rules")["groups"]:
        if release.namespace in group["file"]:
            yield from group["rules"]


def _rules_loaded(release: Release, url: str) -> list[str]:
    wanted = set(
        re.findall(r"- alert: (\w+)", (CHART / "alerts" / "rules.yaml").read_text(encoding="utf-8"))
    )

    def healthy() -> set[str]:
        return {rule["name"] for rule in _rules(release, url) if rule["health"] == "ok"}

    took = release.until(f"healthy rules {sorted(wanted)}", lambda: healthy() == wanted)
    return [f"{len(wanted)} rules healthy after {took:.0f} s"]


def _alert(release: Release, url: str) -> list[str]:
    def state() -> str:
        return next(
            (rule["state"] for rule in _rules(release, url) if rule["name"] == ALERT), "unknown"
        )

    release.kubectl("scale", f"deployment/{RELEASE}-findings", "--replicas=0")
    with release.gateway() as gateway:
        job = gateway.send(records(200, "alert"), analyze=True)
        fired = release.until("the alert", lambda: state() == "firing")
        release.kubectl("scale", f"deployment/{RELEASE}-findings", "--replicas=1")
        ended = release.until("the alert's end", lambda: state() == "inactive")
        release.until("the import's end", lambda: gateway.ended(job))
    return [f"firing after {fired:.0f} s", f"inactive {ended:.0f} s after the worker came back"]


def _dashboards(release: Release, url: str) -> list[str]:
    with release.gateway() as gateway:
        job = gateway.send((ROOT / "examples" / "school_en.ndjson").read_bytes(), analyze=True)
        release.until("the import's end", lambda: gateway.ended(job), PATIENCE)
        gateway.send_live(records(5, "live"))
    time.sleep(SETTLED)
    boards = [str(path) for path in sorted((CHART / "dashboards").glob("*.json"))]
    command = [
        sys.executable,
        str(ROOT / "deploy" / "dashboards" / "check.py"),
        "--prometheus",
        url,
        *boards,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed((done.stdout + done.stderr)[-3000:])
    return [f"{len(boards)} dashboards", done.stdout.strip().splitlines()[-1]]
