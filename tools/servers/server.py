"""The common part of the three servers: their addresses, and how they are started, watched and ended."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from tools import docker
from tools.common import ServerError, last_lines, say

from . import processes
from .checkout import Checkout, port_is_free

# The seconds until a server must answer. Three of Neo4j that start beside other work took more than two minutes.
PATIENCE = 300
# The seconds until the ports of a server that was killed must be free.
PATIENCE_WITH_PORTS = 5

# The variables that EduGraph's programs read, in addition to the usual names.
PROJECT_NAMES = {
    "AMQP_URL": "EDUGRAPH_BROKER_URL",
    "RABBITMQ_MANAGEMENT_URL": "EDUGRAPH_BROKER_MANAGEMENT_URL",
    "REDIS_URL": "EDUGRAPH_REDIS_URL",
    "NEO4J_URI": "EDUGRAPH_NEO4J_URI",
    "NEO4J_USER": "EDUGRAPH_NEO4J_USER",
    "NEO4J_PASSWORD": "EDUGRAPH_NEO4J_PASSWORD",
}

# The variables that the tests read. They have other names, because tests delete all data and must never use a server
# of `make up`.
TEST_NAMES = {
    "RABBITMQ_PROMETHEUS_URL": "EDUGRAPH_TEST_BROKER_PROMETHEUS_URL",
    **{
        name: project.replace("EDUGRAPH_", "EDUGRAPH_TEST_")
        for name, project in PROJECT_NAMES.items()
    },
}


def clean_env(**extra: str) -> dict[str, str]:
    """Return an environment for a server without the caller's variables, which could change how it runs."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        **extra,
    }


class Server:
    """A server of a checkout. Subclasses define the details of each kind of server."""

    name: str
    variables: tuple[str, ...]  # all of them must be set to use a server from elsewhere
    optional: tuple[str, ...] = ()
    listens_on: tuple[str, ...]  # the names of its ports

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout

    # --- for the subclasses ---

    def addresses(self) -> dict[str, str]:
        """Return the address variables of this checkout's own server."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Return whether the server answers in its own protocol. May raise OSError."""
        raise NotImplementedError

    def run_process(self) -> dict[str, Any]:
        """Install the program, start it and return the note about it."""
        raise NotImplementedError

    def run_container(self) -> None:
        """Start the container."""
        raise NotImplementedError

    def data_folders(self) -> list[Path]:
        """Return the folders that `down --wipe` deletes."""
        return [self.checkout.state / self.name]

    def logs(self) -> list[Path]:
        """Return the logs that show why the server does not start."""
        return [self.log]

    def after_end(self) -> None:
        """End helpers that outlive the server."""

    def check_running(self, record: dict[str, Any]) -> None:
        """Raise ServerError if the running server is not the requested one."""

    def chosen(self) -> dict[str, bool]:
        """Return the choices that may change. A server that runs with other choices is ended and started again."""
        return {}

    # --- addresses ---

    @property
    def port(self) -> dict[str, int]:
        """The ports by name."""
        return self.checkout.ports()

    @property
    def container(self) -> str:
        """The name of the container and of its volume."""
        return f"edugraph-{self.checkout.id}-{self.name}"

    def given(self) -> dict[str, str] | None:
        """Return the addresses of a server from elsewhere, or None. Our own addresses from .run/ do not count."""
        names = (*self.variables, *self.optional)
        found = {
            name: value for name in names if (value := os.environ.get(self.outside_name(name)))
        }
        first = self.variables[0]
        if first not in found or found[first] == self.addresses()[first]:
            return None
        missing = [self.outside_name(name) for name in self.variables if name not in found]
        if missing:
            said = f"{self.outside_name(first)} is set, but {' and '.join(missing)} is not"
            raise ServerError(f"{said}: set both or neither")
        return found

    def outside_name(self, name: str) -> str:
        """Return the variable that gives an address of a server from elsewhere."""
        if not self.checkout.test_worker:
            return name
        # A run without workers uses the set of the first worker, so the first worker has no number.
        number = f"{self.checkout.test_worker}_" if self.checkout.test_worker > 1 else ""
        return TEST_NAMES[name].replace("_TEST_", f"_TEST_{number}")

    def environment(self) -> dict[str, str]:
        """Return the variables for the .env file, or an empty dictionary if the server cannot be used."""
        found = self.given() or (self.addresses() if self.running() else {})
        if self.checkout.test_worker:
            return {self.outside_name(name): value for name, value in found.items()}
        return {
            **found,
            **{
                PROJECT_NAMES[name]: value for name, value in found.items() if name in PROJECT_NAMES
            },
        }

    def where(self) -> str:
        """Return the addresses for people, without passwords."""
        urls = [value for value in (self.given() or self.addresses()).values() if "://" in value]
        return " ".join(re.sub(r"//[^/]*@", "//", url) for url in urls)

    # --- life ---

    def running(self) -> bool:
        """Return whether the server that this checkout started still runs."""
        record = self.checkout.record(self.name)
        if record is None:
            return False
        return (
            docker.running(record["container"])
            if "container" in record
            else bool(processes.members(record))
        )

    def up(self) -> None:
        """Make the server available."""
        if self.given():
            say(
                f"{self.outside_name(self.variables[0])} is set: used as it is, nothing started",
                self.name,
            )
            return
        if self.running():
            record = self.checkout.record(self.name) or {}
            self.check_running(record)
            if any(record.get(name, False) != choice for name, choice in self.chosen().items()):
                say("runs for another purpose: started anew, and empty", self.name)
                self.down()
                # The store of a bench stays large after its nodes were deleted, and each test that reads all nodes
                # would scan the whole store.
                self.wipe()
        if not self.running():
            self._start()
        self._wait()
        say(f"running at {self.where()}", self.name)

    def _start(self) -> None:
        for name in self.listens_on:
            if not self._becomes_free(self.port[name]):
                raise ServerError(
                    f"port {self.port[name]} is taken by another program: end that one, or run `down`, "
                    f"delete {self.checkout.ports_file} and run `up`, which then chooses other ports"
                )
        if docker.answers():
            self.checkout.remember(self.name, {"container": self.container, **self.chosen()})
            self.run_container()
        else:
            self.checkout.remember(self.name, {**self.run_process(), **self.chosen()})

    def _becomes_free(self, port: int) -> bool:
        """Return whether a port is free, now or within some seconds.

        A killed process with much memory ends slowly. Its first thread is gone before its last one closes the port.
        """
        deadline = time.monotonic() + PATIENCE_WITH_PORTS
        while not port_is_free(port):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if not self.running():
                raise ServerError(
                    f"it ended while it was starting; the end of its log:\n{self._log_end()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"no answer after {PATIENCE} s; the end of its log:\n{self._log_end()}"
                )
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return self.ready()
        except OSError:
            return False

    @property
    def log(self) -> Path:
        """The log with the output of the process."""
        return self.checkout.folder(self.name) / "output.log"

    def _log_end(self) -> str:
        record = self.checkout.record(self.name) or {}
        if "container" in record:
            return docker.last_lines(record["container"])
        return "\n".join(f"  {log}\n{last_lines(log)}" for log in self.logs())

    def down(self) -> bool:
        """End the server if this checkout started it, and return whether it ran."""
        record, was_running = self.checkout.record(self.name), self.running()
        if record and "container" in record:
            docker.end(record["container"])
        elif record:
            processes.end(record)
        self.after_end()
        self.checkout.forget(self.name)
        return was_running

    def kill(self) -> bool:
        """Kill the server. Its container stays, like the container of a crashed server."""
        record, was_running = self.checkout.record(self.name), self.running()
        if record and "container" in record:
            docker.kill(record["container"])
        elif record:
            processes.kill(record)
        return was_running

    def wipe(self) -> None:
        """Delete the data of the server. It must have ended."""
        for folder in self.data_folders():
            shutil.rmtree(folder, ignore_errors=True)
        if docker.answers():
            docker.remove_volumes(self.container)
