"""Prometheus and promtool of Debian 13. Debian 12's are too old for the checks (`promtool promql format`)."""

from __future__ import annotations

from pathlib import Path

from . import unpacked


def program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`; get both first where they are missing."""
    return unpacked.programs("prometheus", ("prometheus", "promtool")) / name
