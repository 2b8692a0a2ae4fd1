"""Podman, where no Docker daemon answers."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path


def configure(folder: Path, more: str = "") -> None:
    """Machines that are containers themselves need it: runc bears their control groups, limits cannot be raised.

    `more` is added to the file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = [f"nofile={soft}:{hard}", "nproc=4096:4096"]
    settings = f"""[containers]
default_ulimits = {json.dumps(limits)}
[engine]
runtime = "runc"
{more}"""
    path = folder / "containers.conf"
    path.write_text(settings, encoding="utf-8")
    os.environ |= {"CONTAINERS_CONF": str(path), "CONTAINERS_CONF_OVERRIDE": str(path)}
