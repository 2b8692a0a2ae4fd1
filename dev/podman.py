"""Podman, for machines without a Docker daemon."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path


def configure(folder: Path, more: str = "") -> None:
    """Write Podman's configuration for machines that are containers themselves. `more` is added to the file.

    There runc works with their control groups, and limits cannot be raised.
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
