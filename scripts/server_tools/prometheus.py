"""Prometheus and promtool, as Debian 13 has them, unpacked into the cache: nothing is installed on the machine.

Debian 12's are too old for what the checks ask (`promtool promql format`); both programs need only a C library that
Debian 12 has too.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import cache, debian
from .common import ServerError, say

PACKAGES = ("prometheus", "promtool")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`; get both first where they are missing."""
    if debian.debian_number() is None:
        raise ServerError("this tool gets Prometheus from Debian's packages only")
    return cache.built(f"prometheus-{debian.RELEASE}", _get) / "usr" / "bin" / name


def _get(folder: Path, lock: int) -> None:
    say("getting Prometheus and promtool from Debian 13 (about 35 MB)", "prometheus")
    options, log = _apt_options(folder / "apt"), cache.folder() / "prometheus.log"
    cache.run_logged(["apt-get", "--quiet", *options, "update"], log, lock)
    _run(["apt-get", "--quiet", *options, "download", *PACKAGES], folder / "apt")
    for package in (folder / "apt").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder)], folder)
    shutil.rmtree(folder / "apt")


def _apt_options(state: Path) -> list[str]:
    """A package list of its own, so that the machine's stays what it is."""
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True)
    sources = state / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] http://deb.debian.org/debian {debian.RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state,
        # The folder is its owner's alone; apt's own user could not write there.
        "APT::Sandbox::User": "root",
    }
    return [f"--option={name}={value}" for name, value in settings.items()]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
