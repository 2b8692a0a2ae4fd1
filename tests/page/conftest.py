"""The page in a real browser. `make page-test` runs these tests, which need Debian's chromium and a driver for it."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from signers import standard_sender

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The sources of the demo whose tools sign what they send.
SIGNED_SENDERS = {"quiz-tool": standard_sender("whsec_" + "c2VjcmV0" * 4)}

# Without the driver, which only `make page-test` installs, there is nothing to run.
collect_ignore_glob = [] if os.environ.get("EDUGRAPH_PAGE_TESTS") else ["test_*.py"]


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    from page.school import imported_school

    with imported_school(tmp_path_factory.mktemp("school")) as environment:
        yield environment


@pytest.fixture(scope="session")
def open_address(school: Mapping[str, str]) -> Iterator[str]:
    """Insights without authentication, as `make up` and `make demo` run it."""
    from page.school import served

    with served(school) as url:
        yield url


@pytest.fixture(scope="session")
def guarded_address(school: Mapping[str, str]) -> Iterator[str]:
    """Insights that ask for a key."""
    from page.school import served

    with served(school, auth="on") as url:
        yield url


@pytest.fixture(scope="session")
def demo_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as the tutorial starts it: gateway, workers and insights at one address, to which tests may import."""
    from page.tutorial import running_demo

    log = tmp_path_factory.mktemp("demo") / "demo.log"
    with running_demo(log, {"EDUGRAPH_SIGNED_SENDERS": json.dumps(SIGNED_SENDERS)}) as url:
        yield url


@pytest.fixture(scope="module")
def empty_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway, the workers and insights at one address, on servers that hold nothing yet."""
    from page.school import nothing_imported

    with nothing_imported(tmp_path_factory.mktemp("empty")) as url:
        yield url


@pytest.fixture
def visit(browser: "Browser", open_address: str) -> Iterator[Any]:
    from page.visitor import Visitor

    with Visitor(browser, open_address) as visitor:
        yield visitor


@pytest.fixture
def visit_guarded(browser: "Browser", guarded_address: str) -> Iterator[Any]:
    from page.visitor import Visitor

    with Visitor(browser, guarded_address) as visitor:
        yield visitor


@pytest.fixture
def visit_empty(browser: "Browser", empty_address: str) -> Iterator[Any]:
    from page.visitor import Visitor

    with Visitor(browser, empty_address) as visitor:
        yield visitor


@pytest.fixture
def visit_demo(browser: "Browser", demo_address: str) -> Iterator[Any]:
    from page.visitor import Visitor

    with Visitor(browser, demo_address) as visitor:
        yield visitor
