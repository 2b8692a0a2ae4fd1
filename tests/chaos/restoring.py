"""`make bench-restore`: how long a backup and a restore take, and whether an erased person or an undone import returns.

    restoring.py [--records 1000000] [--erased 20]

Two files are imported, and the graph and Redis are backed up. Then some persons are erased, and the second file is
undone. All servers are lost and restored from the backup, which knows nothing of that, and `erasures replay` follows.
The blob store is not lost: it has the notes of erasures and undos. The graph must then be the same as before the loss,
which its digest says. The time to restore (RTO) is from the first step after the loss to the end of the replay. One
table; the program ends with 1 when a figure misses its goal.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from addresses import clean
from backing_up import copy_redis, dump_graph, load_graph, lose_everything, restore_redis
from ground import Ground, fresh_ground
from made_records import write_records
from observing import digest
from run import FOLDER, emptied
from supervised import Supervised

from edugraph_cli.serving import declare_topology
from edugraph_client import Client

PARTS = ("gateway", "importer", "findings")
SEED = 7
SEED_OF_UNDONE = 8
UNDONE_SHARE = 100  # the file that is undone has one record for each 100 of the other file
RTO_GOAL_SECONDS = 15 * 60
MEGABYTE = 1_000_000


@dataclass
class Figures:
    """`rows` of the table: a name, a value, and a goal that the value must not exceed, or None."""

    rows: list[tuple[str, float, float | None]] = field(default_factory=list)

    def add(self, name: str, value: float, goal: float | None = None) -> None:
        self.rows.append((name, value, goal))
        print(f"{name}: {value:,.1f}", flush=True)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.add(f"{name}, s", time.monotonic() - begun)

    def report(self) -> bool:
        """Print the table. Return whether each goal was met."""
        is_met = True
        print(f"\n{'figure':<44}{'value':>14}{'goal':>10}")
        for name, value, goal in self.rows:
            shown = ""
            if goal is not None:
                shown = f"≤ {goal:,.0f}"
                if value > goal:
                    shown += " missed"
                    is_met = False
            print(f"{name:<44}{value:>14,.1f}  {shown:>10}")
        return is_met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--erased", type=int, default=20, help="persons erased after the backup")
    given = parser.parse_args()
    clean(os.environ)
    folder = FOLDER / "restoring"
    emptied(folder)
    figures = Figures()
    with tempfile.TemporaryDirectory() as servers, fresh_ground(Path(servers)) as ground:
        measure(ground, folder, figures, given.records, given.erased)
    return 0 if figures.report() else 1


def measure(ground: Ground, folder: Path, figures: Figures, records: int, persons: int) -> None:
    """Add the figures of one loss."""
    environment = {**ground.environment, "EDUGRAPH_BLOB_URL": str(folder / "blobs")}
    backup = folder / "backup"
    backup.mkdir()
    main_file = write_records(folder / "main.ndjson", records, SEED)
    undone_file = write_records(folder / "undone.ndjson", records // UNDONE_SHARE, SEED_OF_UNDONE)
    declare_topology(environment)
    with (
        Supervised.run(environment, folder / "logs", PARTS) as system,
        Client(system.url) as client,
        figures.timing("import before the backup"),
    ):
        imported(client, main_file)
        undone_job = imported(client, undone_file)
    with figures.timing("backup of Redis"):
        copy_redis(ground, backup)
    with figures.timing("backup of the graph, Neo4j away"):
        dump_graph(ground, backup)
    figures.add("dump of the graph, MB", (backup / "neo4j.dump").stat().st_size / MEGABYTE)
    ground.up("neo4j")

    erased = students(ground)[:persons]
    with (
        Supervised.run(environment, folder / "logs-erasing", PARTS) as system,
        Client(system.url) as client,
    ):
        for student in erased:
            followed(client, client.forget(student).task_id)
        followed(client, client.undo(undone_job).task_id)
    before = digest(ground.direct, folder / "before.ndjson")

    lose_everything(ground)
    lost_at = time.monotonic()
    with figures.timing("restore of Redis and RabbitMQ"):
        restore_redis(ground, backup)
        ground.up("rabbitmq")
        declare_topology(environment)
    with figures.timing("restore of the graph, until it answers"):
        load_graph(ground, backup)
    back = set(students(ground)) & set(erased)
    figures.add("erased persons in the backup", len(back))
    assert back, "nobody whom the replay could erase was in the backup"
    with (
        Supervised.run(environment, folder / "logs-after", PARTS) as system,
        Client(system.url) as client,
        figures.timing("replay of erasures and undos"),
    ):
        followed(client, client.replay_erasures().task_id)
    figures.add("RTO, s", time.monotonic() - lost_at, RTO_GOAL_SECONDS)
    figures.add("erased persons after the replay", len(set(students(ground)) & set(erased)), 0)
    is_other = digest(ground.direct, folder / "after.ndjson") != before
    figures.add("graphs that differ from before the loss", int(is_other), 0)


def imported(client: Client, path: Path) -> str:
    """Import a file, and return its job once all records are in the graph."""
    job = client.import_file(path).job_id
    *_, last = client.follow(job)
    assert last.state == "succeeded", f"{path.name} ended as {last.state}"
    return job


def followed(client: Client, task: str) -> None:
    """Wait for the end of a task. Raises AssertionError if it has failed."""
    ended = client.follow_task(task)
    assert ended["state"] == "SUCCESS", f"a task ended as {ended['state']}"


def students(ground: Ground) -> list[str]:
    """Return the ids of all students, in order."""
    rows = ground.query("MATCH (s:Student) RETURN s.id ORDER BY s.id")
    return [student for [student] in rows]


if __name__ == "__main__":
    sys.exit(main())
