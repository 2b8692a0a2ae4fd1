"""Where the servers of the tests are: told by EDUGRAPH_TEST_… and by nothing else.

A test run deletes what its servers hold. So the names that production uses never reach it: `clean` takes them out of
the environment before a test or a bench begins, and `named_for_services` makes them anew from those of the tests.

Where a run has several workers (pytest-xdist), each has servers of its own: EDUGRAPH_TEST_… names those of the first,
EDUGRAPH_TEST_2_… those of the second. A worker renames its own to the first's names, and knows no others.
"""

import os
import re
from collections.abc import Mapping, MutableMapping

TESTS = "EDUGRAPH_TEST_"
OF_A_WORKER = re.compile(rf"{TESTS}(\d+)_(.+)")
# What a shell may say about a run itself: how much of it, with which data.
SWITCHES = frozenset(
    {
        "EDUGRAPH_AWAY",
        "EDUGRAPH_DEBIAN_MIRROR",
        "EDUGRAPH_EXAMPLES",
        "EDUGRAPH_KILL_SEED",
        "EDUGRAPH_PAGE_TESTS",
        "EDUGRAPH_PUPILS",
        "EDUGRAPH_SCHEMATHESIS_CASES",
        "EDUGRAPH_SERVERS_CACHE",
        "EDUGRAPH_SERVERS_CHECKOUT",
        "EDUGRAPH_SHARED_DATA",
        "EDUGRAPH_SHUFFLES",
        "EDUGRAPH_SLOW",
    }
)
# Settings of the services, of the SDK, and of `make servers`; those of OpenTelemetry say where traces are sent.
OF_SERVERS = ("AMQP_URL", "RABBITMQ_", "REDIS_URL", "NEO4J_URI", "NEO4J_USER", "NEO4J_PASSWORD")
OF_PRODUCTION = ("EDUGRAPH_", "OPENAI_", "OTEL_", *OF_SERVERS)
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
OF_THE_SHELL = "SHELLS_"


def clean(environment: MutableMapping[str, str]) -> None:
    """Drop every setting but the addresses for tests and the switches."""
    for name in list(environment):
        if name.startswith(OF_PRODUCTION) and not name.startswith(TESTS) and name not in SWITCHES:
            del environment[name]


def trust_no_authority(environment: MutableMapping[str, str]) -> None:
    """Take the authorities of TLS away, of which each new client of HTTP reads all: 20 ms of CPU, thousands of times.

    No test reaches a server that one of them has signed. What fetches packages is given them back by
    `with_authorities`. A second call, in a worker, changes nothing.
    """
    if environment.get("SSL_CERT_DIR") == os.devnull:
        return
    for name in AUTHORITIES:
        if name in environment:
            environment[OF_THE_SHELL + name] = environment.pop(name)
    environment["SSL_CERT_DIR"] = os.devnull


def with_authorities(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that the shell of the run had, as far as TLS is concerned."""
    rest = {name: value for name, value in environment.items() if name not in AUTHORITIES}
    shells = {
        name: rest.pop(OF_THE_SHELL + name) for name in AUTHORITIES if OF_THE_SHELL + name in rest
    }
    return rest | shells


def named_for_services(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The addresses of the tests' servers, under the names that the services read."""
    return {
        f"EDUGRAPH_{name}": value for name, value in _of_workers(environment).get(1, {}).items()
    }


def worker_number(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this worker of the run, from 1 on; also a run without workers is the first."""
    return int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1


def in_a_run_of_workers(environment: Mapping[str, str] = os.environ) -> bool:
    return "PYTEST_XDIST_WORKER" in environment


def take_own(environment: MutableMapping[str, str]) -> None:
    """In a worker: leave the addresses of its own servers alone, under the names of the first's."""
    own = _of_workers(environment).get(worker_number(environment), {})
    for name in [name for name in environment if name.startswith(TESTS)]:
        del environment[name]
    environment.update({f"{TESTS}{name}": value for name, value in own.items()})


def lacking(environment: Mapping[str, str], workers: int) -> list[int]:
    """The workers without servers, where another one has some."""
    given = _of_workers(environment)
    return [number for number in range(1, workers + 1) if given and number not in given]


def of_each_worker(environment: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """The addresses of each worker's servers, under the names that the services read."""
    given = sorted(_of_workers(environment).items())
    return [{f"EDUGRAPH_{name}": value for name, value in own.items()} for _, own in given]


def _of_workers(environment: Mapping[str, str]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith(TESTS) and value:
            numbered = OF_A_WORKER.fullmatch(name)
            number, rest = (
                (int(numbered[1]), numbered[2]) if numbered else (1, name.removeprefix(TESTS))
            )
            found.setdefault(number, {})[rest] = value
    return found


def in_ci(environment: Mapping[str, str] = os.environ) -> bool:
    """CI is set to anything that means yes: there, a server that is missing is a failure."""
    return environment.get("CI", "").strip().lower() not in {"", "0", "false", "no", "off"}
