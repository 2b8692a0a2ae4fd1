"""Where the servers of the tests are: told by EDUGRAPH_TEST_… and by nothing else.

A test run deletes what its servers hold. So the names that production uses never reach it: `clean` takes them out of
the environment before a test or a bench begins, and `named_for_services` makes them anew from those of the tests.
"""

import os
from collections.abc import Mapping, MutableMapping

TESTS = "EDUGRAPH_TEST_"
# What a shell may say about a run itself: how much of it, with which data.
SWITCHES = frozenset(
    {
        "EDUGRAPH_AWAY",
        "EDUGRAPH_DEBIAN_MIRROR",
        "EDUGRAPH_EXAMPLES",
        "EDUGRAPH_KILL_SEED",
        "EDUGRAPH_SCHEMATHESIS_CASES",
        "EDUGRAPH_SERVERS_CACHE",
        "EDUGRAPH_SERVERS_CHECKOUT",
        "EDUGRAPH_SHARED_DATA",
        "EDUGRAPH_SLOW",
    }
)
# Settings of the services, of the SDK, and of `make servers`; those of OpenTelemetry say where traces are sent.
OF_SERVERS = ("AMQP_URL", "RABBITMQ_", "REDIS_URL", "NEO4J_URI", "NEO4J_USER", "NEO4J_PASSWORD")
OF_PRODUCTION = ("EDUGRAPH_", "OPENAI_", "OTEL_", *OF_SERVERS)


def clean(environment: MutableMapping[str, str]) -> None:
    """Drop every setting but the addresses for tests and the switches."""
    for name in list(environment):
        if name.startswith(OF_PRODUCTION) and not name.startswith(TESTS) and name not in SWITCHES:
            del environment[name]


def named_for_services(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The addresses of the tests' servers, under the names that the services read."""
    given = {name: value for name, value in environment.items() if name.startswith(TESTS) and value}
    return {f"EDUGRAPH_{name.removeprefix(TESTS)}": value for name, value in given.items()}


def in_ci(environment: Mapping[str, str] = os.environ) -> bool:
    """CI is set to anything that means yes: there, a server that is missing is a failure."""
    return environment.get("CI", "").strip().lower() not in {"", "0", "false", "no", "off"}
