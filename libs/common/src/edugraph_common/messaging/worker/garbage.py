"""Tells Python's garbage collector what a worker knows: loaded modules stay, and a batch is thousands of objects.

Left to itself the collector looks through the objects of all modules again and again. That took a quarter of the time
that an import spends in Python.
"""

import gc
from typing import Any

from celery.signals import worker_init

# So many new objects lie between two collections. Python's own 700 are less than a dozen records.
NEW_OBJECTS = 10_000


def collect_garbage_seldom() -> None:
    """Set the collector up before the pool forks, so that its children share what was loaded (see `gc.freeze`)."""

    def freeze_loaded(**_: Any) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])

    worker_init.connect(freeze_loaded, weak=False)
