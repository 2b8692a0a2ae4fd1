"""Kill processes of a running system with SIGKILL, and start them again as they were."""

import os
import signal
import time
from contextlib import suppress

import httpx
from engines import System, family

from edugraph_cli.processes import gateway_command, worker_command
from edugraph_cli.serving import IMPORTS, PROCESSES

PATIENCE_SECONDS = 120.0


def own_environment(system: System, name: str) -> dict[str, str]:
    """Return the variables that this process alone has, as it was started with."""
    metrics_port = system.metrics_ports[PROCESSES.index(name)]
    return {"EDUGRAPH_METRICS_PORT": str(metrics_port), **system.engine.own.get(name, {})}


def kill_child(system: System, _port: str) -> None:
    _, *children = family(system.processes.running["importer"].pid)
    if children:
        os.kill(children[0], signal.SIGKILL)


def kill_worker(system: System, _port: str) -> None:
    worker = system.processes.running["importer"]
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    command = worker_command("edugraph_importer.worker", "importer", IMPORTS, 2)
    system.processes.start("importer", command, own_environment(system, "importer"))


def kill_analyzer(system: System) -> None:
    """The analyzer has threads, and no child that could be killed alone."""
    analyzer = system.processes.running["analyzer"]
    os.killpg(analyzer.pid, signal.SIGKILL)
    analyzer.wait()
    command = worker_command("edugraph_analyzer.worker", "analyzer", "llm_analysis", 1)
    system.processes.start("analyzer", command, own_environment(system, "analyzer"))


def kill_gateway(system: System, port: str) -> None:
    gateway = system.processes.running["gateway"]
    os.killpg(gateway.pid, signal.SIGKILL)
    gateway.wait()
    # A connection of another test may have the port for a moment, and all tests after this one need the gateway.
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        own = {"EDUGRAPH_PORT": port, **own_environment(system, "gateway")}
        system.processes.start("gateway", gateway_command(), own)
        while system.processes.running["gateway"].poll() is None and time.monotonic() < end:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                return
            time.sleep(0.2)
    raise AssertionError("the gateway does not start again")
