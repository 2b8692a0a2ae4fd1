"""The message broker."""

from __future__ import annotations

import base64
import http
import os
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from dev.debian import packages as debian
from tools import docker
from tools.common import ServerError, write_private

from . import processes
from .server import Server, clean_env

USER = "edugraph"
CONTROL_PROGRAMS = ("rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-plugins")
LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"

# The first start makes this user in place of "guest", which therefore never exists.
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
log.console = true
log.console.use_colors = off
log.file = false
"""


class RabbitMQ(Server):
    """RabbitMQ 4 with its management and Prometheus plugins."""

    name = "rabbitmq"
    variables = ("AMQP_URL", "RABBITMQ_MANAGEMENT_URL")
    optional = ("RABBITMQ_PROMETHEUS_URL",)
    listens_on = ("amqp", "management", "prometheus", "distribution")

    @property
    def password(self) -> str:
        """The password of the user."""
        return self.checkout.password(self.name)

    def addresses(self) -> dict[str, str]:
        """Return the three addresses."""
        login = f"{USER}:{self.password}@127.0.0.1"
        return {
            "AMQP_URL": f"amqp://{login}:{self.port['amqp']}//",
            "RABBITMQ_MANAGEMENT_URL": f"http://{login}:{self.port['management']}",
            "RABBITMQ_PROMETHEUS_URL": f"http://127.0.0.1:{self.port['prometheus']}",
        }

    def ready(self) -> bool:
        """Return whether an AMQP connection is answered and the management API says that the virtual hosts are up."""
        with socket.create_connection(("127.0.0.1", self.port["amqp"]), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            greeting = connection.recv(1)  # 1 = a method frame, which is connection.start
        url = f"http://127.0.0.1:{self.port['management']}/api/health/checks/virtual-hosts"
        token = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with no_proxy.open(request, timeout=5) as answer:  # errors of urllib are OSErrors
            return greeting == b"\x01" and answer.status == http.HTTPStatus.OK

    def run_process(self) -> dict[str, Any]:
        """Start Erlang's name server, then the broker."""
        programs, folder = debian.programs(), self.checkout.folder(self.name)
        self._configure(folder)
        env = self._env(programs.inside(folder))
        # We start our own epmd. The broker would start one that outlives it and that we could not find again.
        epmd = self.checkout.record("epmd")
        if not (epmd and processes.members(epmd)):
            command = programs.command(folder, "epmd")
            self.checkout.remember("epmd", processes.spawn(command, env, self.log))
        server = str(debian.RABBITMQ_PROGRAMS / "rabbitmq-server")
        return processes.spawn(programs.command(folder, server), env, self.log)

    def _configure(self, folder: Path) -> None:
        write_private(folder / "rabbitmq.conf", self._configuration())
        write_private(folder / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")

    def _configuration(self) -> str:
        return CONFIGURATION.format(user=USER, password=self.password, **self.port)

    def _env(self, folder: Path) -> dict[str, str]:
        """Return RabbitMQ's settings. It writes all its files, also its cookie, to the folder."""
        return clean_env(
            HOME=str(folder),
            RABBITMQ_NODENAME=f"edugraph-{self.checkout.id}@localhost",
            RABBITMQ_MNESIA_BASE=str(folder / "data"),
            RABBITMQ_LOG_BASE=str(folder / "log"),
            RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
            RABBITMQ_CONFIG_FILES=str(folder / "conf.d"),
            RABBITMQ_CONF_ENV_FILE=str(folder / "rabbitmq-env.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "enabled_plugins"),
            RABBITMQ_DIST_PORT=str(self.port["distribution"]),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=LOOPBACK_ONLY,
            RABBITMQ_CTL_ERL_ARGS=LOOPBACK_ONLY,
            ERL_CRASH_DUMP=str(folder / "erl_crash.dump"),
            ERL_EPMD_PORT=str(self.port["epmd"]),
            ERL_EPMD_ADDRESS="127.0.0.1",
        )

    def after_end(self) -> None:
        """End the name server too."""
        epmd = self.checkout.record("epmd")
        if epmd:
            processes.end(epmd, patience=5)
            self.checkout.forget("epmd")

    def run_container(self) -> None:
        """Start the official image."""
        ports = {"amqp": 5672, "management": 15672, "prometheus": 15692}
        publish = [
            f"--publish=127.0.0.1:{self.port[name]}:{inside}" for name, inside in ports.items()
        ]
        # The name of the data folder contains the name of the node, which contains the host name. So the host name
        # must stay the same.
        options = [
            *publish,
            f"--hostname={self.container}",
            f"--volume={self.container}:/var/lib/rabbitmq",
        ]
        env = {"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": self.password}
        docker.run(self.container, options, env, "rabbitmq:4-management", [])

    def control(self, program: str, arguments: list[str]) -> int:
        """Run one of RabbitMQ's control programs against this broker."""
        record = self.checkout.record(self.name)
        if program not in CONTROL_PROGRAMS:
            raise ServerError(f"{program} is none of {', '.join(CONTROL_PROGRAMS)}")
        if record is None:
            raise ServerError("this checkout has not started it: run `up` first")
        if "container" in record:
            return subprocess.call(["docker", "exec", record["container"], program, *arguments])
        programs, folder = debian.programs(), self.checkout.folder(self.name)
        path = str(debian.RABBITMQ_PROGRAMS / program)
        env = self._env(programs.inside(folder))
        return subprocess.call(programs.command(folder, path, *arguments), env=env, cwd=os.sep)
