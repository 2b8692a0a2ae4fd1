"""Signing in at a real Keycloak. `make keycloak-test` runs these tests, which need Java, Maven and Debian's chromium."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from login.school import School
    from playwright.sync_api import Browser

# Without the driver of the browser, which only `make keycloak-test` installs, there is nothing to run.
collect_ignore_glob = [] if os.environ.get("EDUGRAPH_LOGIN_TESTS") else ["test_*.py"]


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[School]":
    from login.school import open_school

    with open_school(tmp_path_factory.mktemp("login")) as school:
        yield school


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("there is no chromium: make keycloak-test installs it")
    with sync_playwright() as driver:
        # Root, as in CI, has no sandbox; the page is our own.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
