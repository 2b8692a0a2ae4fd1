"""The command line in a process of its own, as a user types it."""

import os
import subprocess
import sys
from collections.abc import Mapping


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
