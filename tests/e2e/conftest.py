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


@pytest.fixture(scope="session")
def system(engine: Engine) -> Iterator[System]:
    """Two importer processes and one analyzer."""
    with engine.serve(Pools(importer=IMPORTERS, findings=1, analyzer=1)) as system:
        yield system


@pytest.fixture
def clean(system: System) -> System:
    system.engine.empty()
    return system
