"""The whole system on each kind of engine: the real processes, fed through the gateway and the command line."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from engines import IMPORTERS, Engine, System, embedded_engine, real_engine

from edugraph_cli.serving import Pools

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("system")


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("real", marks=pytest.mark.real),
        pytest.param("embedded", marks=[pytest.mark.embedded, pytest.mark.twin]),
    ],
)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    start = {"real": real_engine, "embedded": embedded_engine}[request.param]
    with ExitStack() as stack:
        yield stack.enter_context(start(tmp_path_factory.mktemp(request.param)))


class SharedSystem:
    """Two importer processes and one analyzer, for all tests in a row that need them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: System | None = None
        self._stack = ExitStack()

    def started(self) -> System:
        """Return the system, and start it if it does not run."""
        if self._running is None:
            pools = Pools(importer=IMPORTERS, findings=1, analyzer=1)
            self._running = self._stack.enter_context(self._engine.serve(pools))
        return self._running

    def end(self) -> None:
        """End the system if it runs."""
        self._running = None
        self._stack.close()


@pytest.fixture(scope="session")
def shared_system(engine: Engine) -> Iterator[SharedSystem]:
    shared = SharedSystem(engine)
    yield shared
    shared.end()


@pytest.fixture(scope="module")
def system(shared_system: SharedSystem) -> System:
    """The shared system, which runs."""
    return shared_system.started()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End the shared system before a test that does not use it.

    Tests of other folders use the same Redis. An idle importer would record the ends of their dead letters, whose
    objects it cannot read, and the workers of a system need CPU even while they are idle.
    """
    shared: SharedSystem | None = getattr(item, "funcargs", {}).get("shared_system")
    yield
    is_used_again = "shared_system" in getattr(nextitem, "fixturenames", ())
    if shared is not None and not is_used_again:
        shared.end()


@pytest.fixture
def clean(system: System) -> System:
    system.engine.empty()
    return system
