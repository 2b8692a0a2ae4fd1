"""For all tests: no setting of the shell reaches them, and the servers that they used are given back empty."""

import os

import pytest
from addresses import clean
from guard import give_back


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    clean(os.environ)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    give_back()
