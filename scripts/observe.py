"""`make observe`: runs Prometheus on the stack of `make up`, then an import with analysis.

Each panel must have data.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from stack import RUN, running, servers

from edugraph_cli.processes import free_port

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tools import prometheus  # noqa: E402
from tools.common import ServerError, say  # noqa: E402

FOLDER, STATE = RUN / "prometheus", RUN / "prometheus.json"
SETTLED = 25  # seconds: some scrapes after the last change


def up() -> int:
    state = running()
    if state is None:
        say("the stack does not run; start it with `make up`", "observe")
        return 1
    down()
    port = free_port()
    try:
        process = prometheus.start(FOLDER, port, targets(state["metrics"]))
    except ServerError as error:
        say(str(error), "observe")
        return 3
    STATE.write_text(json.dumps({"pid": process.pid, "port": port}))
    print(f"Prometheus: http://127.0.0.1:{port}/alerts (ends with `make observe-stop`)")
    return check(state["url"], port)


def check(gateway: str, port: int) -> int:
    """Run an import with analysis, then check the dashboards."""
    command = [
        sys.executable,
        "-m",
        "edugraph_cli",
        "import",
        "examples/school_en.ndjson",
        "--analyze",
        "--follow",
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "EDUGRAPH_URL": gateway}, check=True)
    time.sleep(SETTLED)
    boards = [str(path) for path in sorted((ROOT / "deploy" / "k8s" / "dashboards").glob("*.json"))]
    checker = [sys.executable, str(ROOT / "deploy" / "dashboards" / "check.py")]
    return subprocess.call([*checker, "--prometheus", f"http://127.0.0.1:{port}", *boards])


def targets(metrics: dict[str, int]) -> dict[str, str]:
    ours = {job: f"127.0.0.1:{port}" for job, port in metrics.items()}
    broker = servers().get("RABBITMQ_PROMETHEUS_URL")
    return ours | ({"rabbitmq": urlsplit(broker).netloc} if broker else {})


def down() -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(json.loads(STATE.read_text())["pid"], signal.SIGTERM)
    STATE.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit({"up": up, "down": down}[sys.argv[1]]())
