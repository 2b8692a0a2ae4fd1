"""Lets the tests here use the parts of chaos, and gives them servers of their own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "benchmarks")]

from ground import Ground, fresh_ground  # noqa: E402 - found by the line above


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Servers that a test may stop, and whose data it may delete."""
    with fresh_ground(tmp_path / "servers") as ground:
        yield ground
