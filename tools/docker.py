"""Servers as Docker containers, for machines where a Docker daemon answers."""

from __future__ import annotations

import functools
import os
import subprocess

from tools.common import ServerError

Done = subprocess.CompletedProcess[str]


def _docker(*arguments: str, env: dict[str, str] | None = None, timeout: float = 60) -> Done:
    command, env = ["docker", *arguments], {**os.environ, **(env or {})}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"`docker {arguments[0]}` failed: {error}") from error


@functools.cache
def answers() -> bool:
    """Return whether a daemon answers. The command is often installed without a running daemon."""
    try:
        return _docker("info", "--format", "{{.ServerVersion}}", timeout=15).returncode == 0
    except ServerError:
        return False


def run(
    container: str, options: list[str], env: dict[str, str], image: str, command: list[str]
) -> None:
    """Start a new container. Its data are in volumes. Passwords are passed in the environment."""
    _docker("rm", "--force", container)
    names = [part for name in env for part in ("--env", name)]
    arguments = ["run", "--detach", "--name", container, *options, *names, image, *command]
    done = _docker(*arguments, env=env, timeout=900)  # the first time it downloads the image
    if done.returncode:
        raise ServerError(f"docker could not start {image}: {done.stderr.strip()}")


def running(container: str) -> bool:
    """Return whether a container runs."""
    return _docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() == "true"


def kill(container: str) -> None:
    """Kill a container, as a power cut would end it."""
    _docker("kill", container)


def end(container: str) -> None:
    """Ask a container to end, kill it after 30 s, and remove it. Its volumes stay."""
    _docker("stop", "-t", "30", container)
    _docker("rm", "--force", container)


def remove_volumes(prefix: str) -> None:
    """Delete the data of one server."""
    found = _docker("volume", "ls", "--quiet", "--filter", f"name=^{prefix}").stdout.split()
    if found:
        _docker("volume", "rm", *found)


def last_lines(container: str) -> str:
    """Return the end of a container's log."""
    done = _docker("logs", "--tail", "15", container)
    return "\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines())
