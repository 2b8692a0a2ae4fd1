"""For all tests: no setting of the shell reaches them, servers are given back empty, unit tests do not connect."""

import os
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from addresses import clean
from guard import give_back

MAY_CONNECT = ("real", "embedded", "loopback")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    clean(os.environ)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    give_back()


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
    pytest.fail(f"socket.{name}({address!r}) in a unit test; mark it loopback(reason) if it must be")
