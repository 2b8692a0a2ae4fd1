"""RabbitMQ and Redis from the packages of Debian 13, whose versions are new enough (RabbitMQ 4.0, Redis 8.0).

With LATER_DEBIAN, they are the packages of the next Debian (RabbitMQ 4.3).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import cache
from tools.common import ServerError, last_lines, say

RELEASE, RELEASE_NUMBER = "trixie", 13
LATER_RELEASE = "testing"
PACKAGES = ["rabbitmq-server", "redis-server"]
RABBITMQ_PROGRAMS = Path("/usr/lib/rabbitmq/bin")

OWN_MOUNTS = ["unshare", "--mount", "--propagation", "private"]

# A script that runs a program of the other Debian. Its mounts are in a separate mount namespace (see `command`) and
# not visible to the rest of the machine. So deleting the cache cannot reach /dev or a checkout.
ENTER = """
set -e; root=$1; data=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /etc/hosts "$root/etc/hosts"
mount --bind "$data" "$root/mnt"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Programs:
    """The packages, in this system (`root` is None) or in a separate Debian 13 below `root`."""

    root: Path | None

    def command(self, folder: Path, *arguments: str) -> list[str]:
        """Return the command that runs a program which may use `folder`."""
        if self.root is None:
            return list(arguments)
        return [
            *OWN_MOUNTS,
            "/bin/sh",
            "-c",
            ENTER,
            "enter",
            str(self.root),
            str(folder),
            *arguments,
        ]

    def inside(self, folder: Path) -> Path:
        """Return the path under which such a program sees `folder`."""
        return folder if self.root is None else Path("/mnt")


def programs() -> Programs:
    """Return the packages from this system or from the cache. If they are missing, install them first."""
    number = debian_number()
    if number is None:
        raise ServerError("no Docker daemon answers, and without one this tool knows only Debian")
    if os.environ.get("LATER_DEBIAN"):
        return _of_release(LATER_RELEASE)
    if number < RELEASE_NUMBER:
        return _of_release(RELEASE)
    if not _installed():
        with cache.locked(cache.folder() / "apt.lock", "another apt-get"):
            if not _installed():
                _install_without_starting()
    return Programs(None)


def _of_release(release: str) -> Programs:
    """Return the packages of another Debian from the cache. If they are missing, install them first."""
    _need_root()
    return Programs(
        cache.built(f"debian-{release}", lambda folder, lock: _bootstrap(release, folder, lock))
    )


def debian_number() -> float | None:
    """Return the release of this Debian, or None for another system. Testing and unstable have no number."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return None
    facts = dict(line.replace('"', "").split("=", 1) for line in text.splitlines() if "=" in line)
    return float(facts.get("VERSION_ID", "inf")) if facts.get("ID") == "debian" else None


def apt_install(*packages: str) -> None:
    """Install packages of this system. Processes that install at the same time wait for each other."""
    _need_root()
    # apt-get waits for the lock of an installation, but not for the lock of the lists that an update writes.
    with cache.locked(cache.folder() / "apt-get.lock", "another apt-get"):
        _apt_install(packages)


def _apt_install(packages: Collection[str]) -> None:
    say(f"installing {' '.join(packages)} with apt-get")
    log, env = cache.folder() / "apt.log", {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        # An update may fail because of a source that is not needed here, so only the second command decides.
        for command in ([*apt, "update"], install):
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                check=False,
            )
    if done.returncode:
        raise ServerError(
            f"apt-get could not install {' '.join(packages)}; the end of {log}:\n{last_lines(log)}"
        )


def need_command(command: str, *packages: str) -> None:
    """Install the packages if a command is missing. Only one thread of one checkout installs at a time."""
    with cache.locked(cache.folder() / "apt.lock", "another apt-get"):
        if shutil.which(command) is None:
            apt_install(*packages)


def _need_root() -> None:
    if os.geteuid():
        raise ServerError("no Docker daemon answers, and without one this tool must run as root")


def _installed() -> bool:
    return (RABBITMQ_PROGRAMS / "rabbitmq-server").exists() and shutil.which(
        "redis-server"
    ) is not None


def _bootstrap(release: str, folder: Path, lock: int) -> None:
    """Install a small Debian into a folder. Its mounts end with the command as well."""
    need_command("debootstrap", "debootstrap")
    say(f"RabbitMQ and Redis: getting the packages of Debian {release} (about a minute, 400 MB)")
    mirror = (
        [os.environ["EDUGRAPH_DEBIAN_MIRROR"]] if os.environ.get("EDUGRAPH_DEBIAN_MIRROR") else []
    )
    options = ["--variant=minbase", "--force-check-gpg", f"--include={','.join(PACKAGES)}"]
    command = [*OWN_MOUNTS, "debootstrap", *options, release, str(folder), *mirror]
    cache.run_logged(command, cache.folder() / "debootstrap.log", lock)
    (folder / "etc" / "hosts").touch()  # the file of this machine is mounted over it
    for package in (folder / "var" / "cache" / "apt" / "archives").glob("*.deb"):
        package.unlink()


def _install_without_starting() -> None:
    """Install the packages without starting their services, which would listen on default ports of all networks."""
    with _services_held_back():
        apt_install(*PACKAGES)
    if shutil.which("systemctl"):
        disable = ["systemctl", "disable", "--quiet", *PACKAGES]
        subprocess.run(disable, stdin=subprocess.DEVNULL, capture_output=True, check=False)


@contextmanager
def _services_held_back() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")  # Debian asks this program before it starts a service
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
