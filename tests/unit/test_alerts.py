"""The alerts: valid, each with a case that fires and one that must not, a runbook section, and metrics that exist."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import missing

from edugraph_common.runtime.service.metrics import INSTRUMENTS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "k8s" / "alerts"
RULES = [
    rule
    for group in yaml.safe_load((ALERTS / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]

CASES = yaml.load((ALERTS / "tests.yaml").read_text(), yaml.CSafeLoader)
TESTS = CASES["tests"]


def promtool(*arguments: str) -> str:
    command = [sys.executable, "-m", "tools.prometheus", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode == 3:
        missing(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS / "rules.yaml"))


def test_each_fires_when_it_must_and_not_when_it_must_not(tmp_path: Path) -> None:
    """The cases of an alert have its rule alone: promtool evaluates all rules in each minute of a case."""
    by_alerts = defaultdict[tuple[str, ...], list[Any]](list)
    for test in TESTS:
        by_alerts[tuple(sorted(alerts_of(test)))].append(test)
    files = []
    for number, (alerts, tests) in enumerate(by_alerts.items()):
        rules = [rule for rule in RULES if rule["alert"] in alerts]
        assert len(rules) == len(alerts)
        # JSON is YAML, too.
        of_rules = tmp_path / f"rules-{number}.json"
        of_rules.write_text(json.dumps({"groups": [{"name": "rules", "rules": rules}]}))
        of_tests = tmp_path / f"tests-{number}.json"
        of_tests.write_text(json.dumps({**CASES, "rule_files": [of_rules.name], "tests": tests}))
        files.append(str(of_tests))
    assert promtool("test", "rules", *files).count("SUCCESS") == len(files)


def alerts_of(test: dict[str, Any]) -> set[str]:
    return {case["alertname"] for case in test["alert_rule_test"]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_has_both_cases_and_a_section(rule: dict[str, Any]) -> None:
    cases = [
        case
        for test in TESTS
        for case in test["alert_rule_test"]
        if case["alertname"] == rule["alert"]
    ]
    assert any(case["exp_alerts"] for case in cases)
    # A test of its own that never fires, not only the minutes before another one does.
    silent = [
        test
        for test in TESTS
        if any(case["alertname"] == rule["alert"] for case in test["alert_rule_test"])
    ]
    assert any(not any(case["exp_alerts"] for case in test["alert_rule_test"]) for test in silent)
    assert f"\n## {rule['alert']}\n" in (ROOT / "docs" / "runbook.md").read_text()
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert rule["labels"]["severity"] in {"warning", "critical"}


def steps_of(page: str) -> dict[str, int]:
    """Return the number of steps of each section of a page of docs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = {}
    for section in text.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        found[heading] = len(re.findall(r"^\d+\. ", body, re.MULTILINE))
    return found


def test_the_runbook_has_the_same_steps_in_both_languages() -> None:
    assert steps_of("runbook.zh-CN.md") == steps_of("runbook.md")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_healthy_release_does_not_hide_a_sick_one(rule: dict[str, Any]) -> None:
    """A case with several releases, of which just one is told, by namespace and release; tests.yaml says the rest."""
    told = [
        case["exp_alerts"]
        for test in TESTS
        for case in test["alert_rule_test"]
        if case["alertname"] == rule["alert"]
        and len({_tenant(series["series"]) for series in test["input_series"]}) > 1
    ]
    assert told
    for alerts in told:
        (alert,) = alerts
        assert (
            f"(release {alert['exp_labels']['release']} in namespace {alert['exp_labels']['namespace']})"
            in (alert["exp_annotations"]["summary"])
        )
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert {"namespace", "release"} <= set(labels.split(", ")), labels


def _tenant(series: str) -> tuple[str, ...]:
    return tuple(re.findall(r'(?:namespace|release)="([^"]*)"', series))


def test_they_ask_for_metrics_and_values_that_exist() -> None:
    known = {instrument.full_name: instrument for instrument in INSTRUMENTS}
    for rule in RULES:
        for name, selector in re.findall(r"(edugraph_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            instrument = known.get(re.sub(r"_bucket$", "", name)) or known[name]
            for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', selector):
                allowed = next(each.allowed for each in instrument.labels if each.name == label)
                assert allowed is None or all(value in allowed for value in values.split("|")), (
                    name,
                    values,
                )
