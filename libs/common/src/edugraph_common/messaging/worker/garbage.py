"""Python's garbage collector, told what a worker knows: what was loaded stays, and a batch is thousands of objects.

Left to itself it looks through all modules' objects again and again: a quarter of the time of an import's Python.
"""

import gc
from typing import Any

from celery.signals import worker_init

NEW_OBJECTS = 10_000  # between two collections; Python's own 700 are less than a dozen records


def collect_seldom() -> None:
    """Before the pool forks, so that its children share what was loaded (see `gc.freeze` in Python's manual)."""
    worker_init.connect(_settle, weak=False)


def _settle(**_: Any) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
