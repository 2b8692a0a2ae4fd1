"""`make kube-test` where it cannot run, and when it is ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent / "kubernetes" / "run.py"
# A cluster whose start never ends, in place of the real one.
STAND_IN = f"""
import sys
import time

sys.path.insert(0, {str(RUN.parent)!r})
import run


class Cluster:
    def up(self, options):
        print("up", flush=True)
        time.sleep(600)

    def down(self):
        print("down", flush=True)


run.Cluster = Cluster
run.missing = lambda: ""
sys.argv = ["run.py", "--archives", "."]
sys.exit(run.main())
"""


def test_without_go_and_without_a_cluster_it_says_why_and_fails():
    done = subprocess.run(
        [sys.executable, str(RUN)], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("kube-test: not run: a cluster of its own ")
    assert done.stderr.count("\n") == 1


def test_sigterm_takes_the_cluster_down():
    """Out: the handler of SIGTERM in `main`."""
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with subprocess.Popen(
        [sys.executable, "-c", STAND_IN], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert rest == "down\n"
    assert process.returncode == 128 + signal.SIGTERM
