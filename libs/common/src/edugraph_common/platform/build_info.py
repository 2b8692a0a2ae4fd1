"""What a process says of itself in its metrics."""

import time
from importlib.metadata import version

from edugraph_common.platform import metrics


def describe_build(service: str) -> None:
    """Which version runs, and since when."""
    metrics.BUILD.set(1, service=service, version=version(f"edugraph-{service}"))
    metrics.STARTED.set(time.time())
