"""The command line, as a user types it: in a process of its own, or in this one."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping

import structlog
from typer.testing import CliRunner

from edugraph_cli.main import app


def edugraph(
    environment: Mapping[str, str], *arguments: str, stdin: str | None = None, seconds: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Run it with these settings beside those of the test run. Nothing is said of how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "edugraph_cli", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def edugraph_here(
    environment: Mapping[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run it in this process: one of its own costs 0.7 s of CPU. An exception that a user would see is raised."""
    before = structlog.get_config()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    try:
        done = CliRunner().invoke(app, arguments, env=dict(environment))
    finally:
        structlog.configure(**before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
