"""The bench of the traps: one virtual host for each module of tests, and no worker left over from the test before."""

from collections.abc import Iterator

import pytest
from traps import Bench


@pytest.fixture(scope="module")
def virtual_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench.open(tmp_path_factory.mktemp("traps")) as bench:
        yield bench


@pytest.fixture
def bench(virtual_host: Bench) -> Iterator[Bench]:
    yield virtual_host
    virtual_host.stop_workers()
    virtual_host.empty()
