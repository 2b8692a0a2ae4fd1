"""SIGTERM lets what runs finish, for as long as the grace lasts, and then gives it back.

Celery has two ways and neither is enough: its warm shutdown waits without end, and its soft one sleeps for the whole
time, however soon the work is done, and answers no heartbeat meanwhile, so that the broker gives the work away.
"""

import os
import signal
from typing import Any

from celery.signals import worker_shutting_down


def limit_shutdown(seconds: int) -> None:
    """After so many seconds of a warm shutdown the worker sends itself Celery's signal for a cold one."""

    def begin(how: str, **_: Any) -> None:
        if how == "Warm" and seconds:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGQUIT))
            signal.alarm(seconds)

    worker_shutting_down.connect(begin, weak=False)
