"""Signing in at a real Keycloak. `make keycloak-test` runs these tests, which need Java, Maven and Debian's chromium."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from login.school import School

# Without the driver of the browser, which only `make keycloak-test` installs, there is nothing to run.
collect_ignore_glob = [] if os.environ.get("EDUGRAPH_LOGIN_TESTS") else ["test_*.py"]


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[School]":
    from login.school import open_school

    with open_school(tmp_path_factory.mktemp("login")) as school:
        yield school
