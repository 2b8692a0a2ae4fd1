"""Settings of Python's garbage collector for a worker: modules stay loaded, and a batch has thousands of objects.

By default the collector searches the objects of all modules again and again. That took a quarter of the time that an
import spends in Python.
"""

import gc
from typing import Any

from celery.signals import worker_init

# The number of new objects between two collections. Python's default of 700 is less than a dozen records.
NEW_OBJECTS = 10_000


def collect_garbage_seldom() -> None:
    """Set up the collector before the pool forks, so that its children share the loaded modules (see `gc.freeze`)."""

    def freeze_loaded(**_: Any) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])

    worker_init.connect(freeze_loaded, weak=False)
