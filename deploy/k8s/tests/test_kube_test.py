"""`make kube-test` where it cannot run."""

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent / "kubernetes" / "run.py"


def test_without_go_and_without_a_cluster_it_says_why_and_fails():
    done = subprocess.run(
        [sys.executable, str(RUN)], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("kube-test: not run: a cluster of its own ")
    assert done.stderr.count("\n") == 1
