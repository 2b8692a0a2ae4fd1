"""The versions of Kubernetes on which the tests of the cluster run.

    python3 -m dev.kubernetes.versions NUMBER

prints the version for the commit with that number. Building one version takes ten minutes, so that a run of CI tries
one of them, and the next commit another one. EDUGRAPH_KUBERNETES_VERSION=1.36.3 names one for a single run.
"""

from __future__ import annotations

import os
import sys

# The newest one comes first. It is the one that a run without the variable takes.
SUPPORTED = (
    "1.37.2",
    "1.36.3",
    "1.35.4",
)
VARIABLE = "EDUGRAPH_KUBERNETES_VERSION"


def chosen() -> str:
    """Return the version of this run: the one that the environment names, or the newest one."""
    return os.environ.get(VARIABLE, SUPPORTED[0])


def of_commit(number: int) -> str:
    """Return the version for a commit, by the number of commits up to it.

    Each part of the cluster's test meets each version, because the eight parts take turns as well, and 3 and 8 have no
    common divisor.
    """
    return SUPPORTED[number % len(SUPPORTED)]


if __name__ == "__main__":
    print(of_commit(int(sys.argv[1])))
