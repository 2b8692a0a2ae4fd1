"""The metrics that describe the process itself."""

import time
from importlib.metadata import version

from edugraph_common.runtime.service import metrics


def describe_build(service: str, *, distribution: str | None = None) -> None:
    """Set the metrics for the version and the start time of the process.

    `distribution` is the package of the service, if its name is not edugraph-SERVICE.
    """
    metrics.BUILD.set(1, service=service, version=version(distribution or f"edugraph-{service}"))
    metrics.STARTED.set(time.time())
