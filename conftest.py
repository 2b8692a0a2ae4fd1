"""For all tests: no setting of the shell reaches them, servers are given back empty, unit tests do not connect.

Also how the tests are shared out between the workers of a run (pytest-xdist, `make test` and `make fast`).
"""

import gc
import inspect
import os
import re
import socket
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any, NoReturn

import pytest
import structlog
from addresses import clean, lacking, take_own, trust_no_authority
from guard import give_back

PATIENCE_SECONDS = 60.0
MAY_CONNECT = ("real", "embedded", "loopback")
# Engines that are started once for a session. All tests on one of them go to one worker: shared out by file, it would
# be started for each file. Each of these groups takes minutes.
ON_SHARED_ENGINE = re.compile(
    r"(tests/e2e|services/(?:importer|insights)/tests/integration)/[^[]*\[(?:.*-)?(real|neo4j|embedded)\b"
)

# The tests that import into the demo of the page: one worker starts it, once.
ON_DEMO = re.compile(r"tests/page/test_(focus|imports|tutorial)\.py")

# These tests wait for the processes of a system, and for limits that must pass.
WAIT = ("tests/e2e", "tests/integration")
# These two groups begin after this part of the files. If all files that compute for minutes came first, they would
# have three workers on two cores, and later the cores would be idle while three workers wait.
BEGUN_LATER = {
    "services/insights/tests/integration on embedded": 0.3,
    "services/insights/tests/integration on neo4j": 0.5,
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    clean(os.environ)
    if config.pluginmanager.hasplugin(
        "hypothesispytest"
    ):  # the chart's tests have an environment without it
        from hypothesis import HealthCheck, settings

        trust_no_authority(os.environ)  # those of the chart fetch helm
        # How fast the machine is decides no test: others may work beside it.
        settings.register_profile(
            "edugraph", deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("edugraph")
        _wait_for_answers()
    workers = [] if hasattr(config, "workerinput") else getattr(config.option, "tx", None) or []
    if without := lacking(os.environ, len(workers)):
        raise pytest.UsageError(
            f"worker {without[0]} of {len(workers)} has no servers of its own, and two workers would delete each "
            f"other's data: start them by `make test-servers WORKERS={len(workers)}`, or run without -n"
        )
    if not workers:  # this process runs tests
        take_own(os.environ)


def _wait_for_answers() -> None:
    """Let the requests of tests wait for a busy machine. By default, httpx waits for five seconds."""
    import httpx

    default = inspect.signature(httpx.get).parameters["timeout"].default
    for part in ("connect", "read", "write", "pool"):
        setattr(default, part, PATIENCE_SECONDS)


class ExitOfAWorker:
    """Ends the whole run with the sentence by which pytest.exit ended a worker: xdist alone would not print it."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._session.shouldstop = str(excinfo.value) or excinfo.typename


def pytest_sessionstart(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(ExitOfAWorker(session))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What was imported and collected stays: looking through it again and again took a sixth of a run's CPU."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: the groups on shared engines come first, which take longest, then files.

    Of the files, those that wait for a real system are spread over those that compute: all that waits at once would
    leave the cores idle. The last tenth computes, since one file that waits for a minute would be the end.
    """
    if not hasattr(config, "workerinput"):
        return
    parts = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        found = ON_SHARED_ENGINE.match(item.nodeid)
        parts[" on ".join(found.groups()) if found else item.nodeid.partition("::")[0]].append(item)
    for items_of_group in parts.values():
        # Neo4j plans each statement of the tests after them once. The order of the others stays.
        items_of_group.sort(key=lambda item: item.get_closest_marker("forgets_plans") is None)
    files = [name for name in parts if " on " not in name]
    waiting = [name for name in files if name.startswith(WAIT)]
    computing = [name for name in files if not name.startswith(WAIT)]
    places = {name: BEGUN_LATER.get(name, 0.0) for name in parts if name not in files}
    places |= {name: 0.9 * number / len(waiting) for number, name in enumerate(waiting)}
    places |= {name: number / len(computing) for number, name in enumerate(computing)}
    items[:] = chain.from_iterable(parts[name] for name in sorted(places, key=places.__getitem__))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For --dist loadfile."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            """The name of the group that goes to one worker as a whole."""
            if ON_DEMO.match(nodeid):
                return "tests/page on the demo"
            found = ON_SHARED_ENGINE.match(nodeid)
            return " on ".join(found.groups()) if found else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    give_back()


@pytest.fixture(autouse=True, scope="session")
def _without_waiting_for_disks() -> Iterator[None]:
    """A test looks at files only while the machine is up, so this process does not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test configures: a command of the CLI, run in this process, leaves logging at WARNING."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True, scope="module")
def _without_garbage_of_other_modules() -> None:
    """Finalize the results of Celery that tests before left, which connects and would fail a unit test."""
    gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that connects says so by its marker: what is thought to be a unit test asks nothing of a network."""
    with pytest.MonkeyPatch.context() as patch:
        if not any(item.get_closest_marker(name) for name in MAY_CONNECT):
            for name in ("bind", "connect", "connect_ex"):
                patch.setattr(socket.socket, name, _refused(name))
        return (yield)


def _refused(name: str) -> Any:
    original = getattr(socket.socket, name)

    def refuse(self: socket.socket, address: Any) -> Any:
        return original(self, address) if self.family == socket.AF_UNIX else _fail(name, address)

    return refuse


def _fail(name: str, address: Any) -> NoReturn:
    # Not an OSError, which the code under test would take for a server that is away.
    pytest.fail(
        f"socket.{name}({address!r}) in a unit test; mark it loopback(reason) if it must be"
    )
