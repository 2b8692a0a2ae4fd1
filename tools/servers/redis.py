"""The store for results, sessions and locks."""

from __future__ import annotations

import socket
from typing import Any

from dev.debian import packages as debian
from tools import docker
from tools.common import write_private

from . import processes
from .server import Server, clean_env

# Every write survives a crash, and keys are not evicted when memory runs short. An error is easier to notice than a
# lock or a result that has silently vanished.
SETTINGS = {"appendonly": "yes", "save": '""', "maxmemory-policy": "noeviction"}


class Redis(Server):
    """Redis 8."""

    name = "redis"
    variables = ("REDIS_URL",)
    listens_on = ("redis",)

    @property
    def password(self) -> str:
        """The password of the default user."""
        return self.checkout.password(self.name)

    def addresses(self) -> dict[str, str]:
        """Return the address of database 0."""
        return {"REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.port['redis']}/0"}

    def ready(self) -> bool:
        """Return whether the server answers PING. While it still loads its data it answers with an error."""
        with socket.create_connection(("127.0.0.1", self.port["redis"]), timeout=5) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        return b"+PONG" in answer

    def _configuration(self, **extra: str) -> str:
        settings = {**SETTINGS, "requirepass": self.password, **extra}
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def run_process(self) -> dict[str, Any]:
        """Start the server with a configuration file, so that the password is not on the command line."""
        programs, folder = debian.programs(), self.checkout.folder(self.name)
        inside = programs.inside(folder)
        place = {"bind": "127.0.0.1", "port": str(self.port["redis"]), "dir": str(inside)}
        write_private(folder / "redis.conf", self._configuration(**place))
        command = programs.command(folder, "redis-server", str(inside / "redis.conf"))
        return processes.spawn(command, clean_env(), self.log)

    def run_container(self) -> None:
        """Start the official image. It gets its configuration in the environment, for the same reason."""
        publish = f"--publish=127.0.0.1:{self.port['redis']}:6379"
        script = 'printf %s "$SETTINGS" >/tmp/redis.conf && exec docker-entrypoint.sh redis-server /tmp/redis.conf'
        options = [publish, f"--volume={self.container}:/data", "--entrypoint=sh"]
        docker.run(
            self.container, options, {"SETTINGS": self._configuration()}, "redis:8", ["-c", script]
        )
