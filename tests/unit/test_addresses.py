"""What of a shell reaches a test run, and the processes of the system that it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from addresses import SWITCHES, in_ci, named_for_services
from engines import CHECKOUT

from edugraph_cli.processes import Processes

OF_A_DEVELOPER = {
    "OPENAI_API_KEY": "sk-a-developer-pays-for-this",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "EDUGRAPH_OPENAI_API_KEY": "sk-another",
    "EDUGRAPH_NEO4J_URI": "bolt://production:7687",
    "EDUGRAPH_NEO4J_PASSWORD": "secret",
    "EDUGRAPH_REDIS_URL": "redis://production/0",
    "EDUGRAPH_BROKER_URL": "amqp://production//",
    "EDUGRAPH_MODEL": "a-costly-one",
    "EDUGRAPH_TRACING": "otlp",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://production:4317",
    "REDIS_URL": "redis://production/0",
    "NEO4J_URI": "bolt://production:7687",
    "AMQP_URL": "amqp://production//",
}
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def test_nothing_but_addresses_for_tests_and_switches_is_left(tmp_path: Path) -> None:
    """In this process, and in one of the system: they are started as all tests start them."""
    processes = Processes(logs=tmp_path, environment={})
    processes.start("show", [sys.executable, "-c", SHOW])
    processes.running["show"].wait(20)
    of_system = json.loads((tmp_path / "show.log").read_text())
    for environment in (of_system, os.environ):
        left = {name for name in environment if name.startswith(("EDUGRAPH_", "OPENAI_", "OTEL_"))}
        assert not {name for name in left - SWITCHES if not name.startswith("EDUGRAPH_TEST_")}
        assert not set(environment.values()) & set(OF_A_DEVELOPER.values())


def test_a_developers_settings_reach_no_test() -> None:
    """A run of its own, of the test above, from a shell that has everything set."""
    here = "tests/unit/test_addresses.py::test_nothing_but_addresses_for_tests_and_switches_is_left"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", here],
        cwd=CHECKOUT,
        env={**os.environ, **OF_A_DEVELOPER, "EDUGRAPH_SLOW": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0


def test_addresses_for_tests_are_all_that_is_handed_on() -> None:
    shell = {**OF_A_DEVELOPER, "EDUGRAPH_TEST_REDIS_URL": "redis://tests/0", "EDUGRAPH_TEST_NEO4J_URI": ""}
    assert named_for_services(shell) == {"EDUGRAPH_REDIS_URL": "redis://tests/0"}


@pytest.mark.parametrize(
    ("said", "meant"),
    [("true", True), ("1", True), ("yes", True), ("True", True), ("", False), ("0", False), ("false", False)],
)
def test_ci_in_any_form(said: str, meant: bool) -> None:
    assert in_ci({"CI": said}) is meant
    assert in_ci({}) is False
