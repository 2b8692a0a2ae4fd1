"""The real importer, but for one record that kills the process which writes it, as a fault in a C library would."""

import os
from typing import Any

from edugraph_importer import service
from edugraph_importer.worker import app

__all__ = ["app"]
POISON = "poison"
_read_batch = service.read_batch  # type: ignore[attr-defined]


def _read_and_die(*arguments: Any) -> Any:
    found = _read_batch(*arguments)
    if any(record.record_id == POISON for _, record in found.graph.records):
        os.kill(os.getpid(), 9)
    return found


service.read_batch = _read_and_die  # type: ignore[attr-defined,assignment]
