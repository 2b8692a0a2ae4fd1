"""Programs of Debian 13's packages, unpacked into the cache without installing anything on the machine.

This works for programs that need only a C library, which Debian 12 has too.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools import cache
from tools.common import ServerError, say

from .packages import RELEASE, debian_number

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def programs(name: str, packages: Sequence[str]) -> Path:
    """Return the folder with the packages' programs. If they are missing, download them first."""
    if debian_number() is None:
        raise ServerError(f"this tool gets {', '.join(packages)} from Debian's packages only")
    return (
        cache.built(f"{name}-{RELEASE}", lambda folder, lock: _get(folder, lock, name, packages))
        / "usr/bin"
    )


def _get(folder: Path, lock: int, name: str, packages: Sequence[str]) -> None:
    say(f"getting {', '.join(packages)} from Debian 13", name)
    options = _apt_options(folder / "apt")
    cache.run_logged(
        ["apt-get", "--quiet", *options, "update"], cache.folder() / f"{name}.log", lock
    )
    _run(["apt-get", "--quiet", *options, "download", *packages], folder / "apt")
    for package in (folder / "apt").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder)], folder)
    shutil.rmtree(folder / "apt")


def _apt_options(state: Path) -> list[str]:
    """Return apt's options for a separate package list, so that the machine's own list does not change."""
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True)
    sources = state / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] http://deb.debian.org/debian {RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state,
        # Only the owner can write to the folder, and not apt's own user.
        "APT::Sandbox::User": "root",
    }
    return [f"--option={name}={value}" for name, value in settings.items()]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
