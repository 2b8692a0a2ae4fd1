"""For the tests of the command line: its commands are made once in a process, and not by each call of it."""

from collections.abc import Iterator
from functools import cache

import pytest
import typer.main
import typer.testing


@pytest.fixture(autouse=True, scope="session")
def _commands_made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # To make the 75 commands takes ten times as long as to run one.
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield
