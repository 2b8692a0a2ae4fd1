"""What of a shell reaches a test run, and the processes of the system that it starts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from addresses import (
    SWITCHES,
    TESTS,
    in_ci,
    lacking,
    named_for_services,
    of_each_worker,
    take_own,
    trust_no_authority,
    with_authorities,
)
from engines import CHECKOUT, missing

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
# The runs that are started here do not use schemathesis, which costs each of their processes most of a second.
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis"]


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
        [*PYTEST, here],
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
    shell = {
        **OF_A_DEVELOPER,
        "EDUGRAPH_TEST_REDIS_URL": "redis://tests/0",
        "EDUGRAPH_TEST_NEO4J_URI": "",
    }
    assert named_for_services(shell) == {"EDUGRAPH_REDIS_URL": "redis://tests/0"}


@pytest.mark.parametrize(
    "shell", [{}, {"SSL_CERT_FILE": "/a.pem"}, {"SSL_CERT_FILE": "/a.pem", "SSL_CERT_DIR": "/b"}]
)
def test_no_authority_is_trusted_and_what_fetches_packages_has_those_of_the_shell(
    shell: dict[str, str],
) -> None:
    environment = {**shell, "HOME": "/home/somebody"}
    trust_no_authority(environment)
    trust_no_authority(environment)  # the worker, after the run
    assert httpx.create_ssl_context().cert_store_stats()["x509"] == 0, "of this run"
    assert {name for name in environment if name.startswith("SSL_CERT_")} == {"SSL_CERT_DIR"}
    assert with_authorities(environment) == {**shell, "HOME": "/home/somebody"}


TWO_SETS = {
    "EDUGRAPH_TEST_REDIS_URL": "redis://first/0",
    "EDUGRAPH_TEST_NEO4J_URI": "bolt://first",
    "EDUGRAPH_TEST_2_REDIS_URL": "redis://second/0",
    "HOME": "/home/somebody",
}


@pytest.mark.parametrize(
    ("xdist", "left"),
    [
        ({}, {"EDUGRAPH_REDIS_URL": "redis://first/0", "EDUGRAPH_NEO4J_URI": "bolt://first"}),
        (
            {"PYTEST_XDIST_WORKER": "gw0"},
            {"EDUGRAPH_REDIS_URL": "redis://first/0", "EDUGRAPH_NEO4J_URI": "bolt://first"},
        ),
        ({"PYTEST_XDIST_WORKER": "gw1"}, {"EDUGRAPH_REDIS_URL": "redis://second/0"}),
        ({"PYTEST_XDIST_WORKER": "gw2"}, {}),
    ],
)
def test_a_worker_knows_the_servers_of_no_other_worker(
    xdist: dict[str, str], left: dict[str, str]
) -> None:
    """Not even one address of another's, where its own set lacks that server."""
    shell = {**TWO_SETS, **xdist}
    take_own(shell)
    assert named_for_services(shell) == left
    assert shell["HOME"] == "/home/somebody"
    assert not [name for name in shell if name.startswith("EDUGRAPH_TEST_2_")]


def test_workers_without_servers_are_seen_before_they_begin() -> None:
    assert [lacking(TWO_SETS, workers) for workers in (0, 1, 2, 3)] == [[], [], [], [3]]
    # Nobody has servers: those tests are skipped, or fail in CI.
    assert lacking({"HOME": "/home/somebody"}, 2) == []
    assert of_each_worker(TWO_SETS)[1] == {"EDUGRAPH_REDIS_URL": "redis://second/0"}


def run_of_workers(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Two of them, as `make test` starts them; of this run's servers they know nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(TESTS)}
    command = [*PYTEST, "-n", "2", "--dist", "loadfile"]
    return subprocess.run(
        [*command, "--max-worker-restart", "0", *arguments],
        cwd=CHECKOUT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_whose_second_worker_has_no_servers_does_not_begin() -> None:
    done = run_of_workers(
        "tests/unit/test_addresses.py", EDUGRAPH_TEST_REDIS_URL="redis://127.0.0.1:9/0"
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "worker 2 of 2 has no servers of its own" in done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pytest.exit('this graph is somebody else\\'s', returncode=1)", "somebody else's"),
        ("os._exit(1)", "crashed"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_told_and_fails_the_run(
    tmp_path: Path, body: str, said: str
) -> None:
    """To take the guard of the first out: do not register ExitOfAWorker in the conftest of the root."""
    (tmp_path / "test_it.py").write_text(
        f"import os\nimport pytest\n\n\ndef test_it():\n    {body}\n\n\ndef test_other():\n    pass\n"
    )
    shutil.copy(CHECKOUT / "conftest.py", tmp_path)
    done = run_of_workers(
        "-c", str(CHECKOUT / "pyproject.toml"), f"--rootdir={CHECKOUT}", str(tmp_path)
    )
    assert said in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("true", True),
        ("1", True),
        ("yes", True),
        ("True", True),
        ("", False),
        ("0", False),
        ("false", False),
    ],
)
def test_ci_in_any_form(said: str, meant: bool) -> None:
    assert in_ci({"CI": said}) is meant
    assert in_ci({}) is False


def test_what_a_test_needs_and_is_not_here_fails_it_in_ci_and_skips_it_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To take the guard out: let `missing` always skip."""
    for said, ends in (("yes", pytest.fail.Exception), ("no", pytest.skip.Exception)):
        monkeypatch.setenv("CI", said)
        with pytest.raises(
            (pytest.fail.Exception, pytest.skip.Exception), match="no engine"
        ) as ended:
            missing("there is no engine")
        assert ended.type is ends
