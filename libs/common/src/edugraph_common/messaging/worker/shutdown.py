"""SIGTERM lets running tasks finish for as long as the grace period lasts, and then gives them back to the queue.

Celery has two ways and neither is enough: its warm shutdown waits without end, and its soft one sleeps for the whole
time, however soon the work is done, and answers no heartbeat meanwhile, so that the broker gives the work away.
"""

import os
import signal
from typing import Any

from celery.signals import worker_shutting_down


def limit_shutdown(seconds: int) -> None:
    """Make the worker send itself Celery's signal for a cold shutdown after so many seconds of a warm one."""

    def begin(how: str, **_: Any) -> None:
        if how == "Warm" and seconds:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGQUIT))
            signal.alarm(seconds)

    worker_shutting_down.connect(begin, weak=False)
