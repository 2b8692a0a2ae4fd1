"""A shutdown with a limit: after SIGTERM, tasks may finish within the grace period. Then their messages go back.

Celery's own shutdowns do not do this. The warm shutdown waits without a limit. The soft shutdown always sleeps for
the whole time, and does not answer heartbeats meanwhile, so that the broker gives the work to another worker.
"""

import os
import signal
from typing import Any

from celery.signals import worker_shutting_down


def limit_shutdown(seconds: int) -> None:
    """Make the worker send itself Celery's signal for a cold shutdown after `seconds` of a warm shutdown."""

    def begin(how: str, **_: Any) -> None:
        if how == "Warm" and seconds:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGQUIT))
            signal.alarm(seconds)

    worker_shutting_down.connect(begin, weak=False)
