"""The order to lose all data of Redis at one step of a task, which tests give and flushing_importer carries out."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OVER = "over"


@dataclass(frozen=True)
class FlushOrder:
    """`where` are fields of the message, which leaves out a field of 0; `command` is the number of a command that the task sends to Redis, from 1."""

    task: str
    where: dict[str, Any]
    command: int

    def give(self, path: Path) -> None:
        """Give the order to the process that runs the task first."""
        outcome_of(path).unlink(missing_ok=True)
        ready = path.with_suffix(".new")
        ready.write_text(json.dumps(asdict(self)), encoding="utf-8")
        ready.rename(path)

    def is_for(self, task: str, body: dict[str, Any]) -> bool:
        return task == self.task and all(
            body.get(name, 0) == value for name, value in self.where.items()
        )


def outcome_of(path: Path) -> Path:
    """Return the file that holds the state of the job when Redis lost it, or OVER if the task sent fewer commands."""
    return path.with_suffix(".outcome")
