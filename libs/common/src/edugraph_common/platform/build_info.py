"""What a process says of itself in its metrics."""

import time
from importlib.metadata import version

from edugraph_common.platform import metrics


def describe_build(service: str, *, distribution: str | None = None) -> None:
    """Say which version runs, and since when. `distribution`: the package that holds it, if its name is another."""
    metrics.BUILD.set(1, service=service, version=version(distribution or f"edugraph-{service}"))
    metrics.STARTED.set(time.time())
