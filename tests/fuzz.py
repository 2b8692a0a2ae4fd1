"""`make fuzz`: hostile and damaged rows among good ones, and what became of each row.

First each form of file is tried with 10,000 rows (`--rows`). A third of them is damaged: a byte that is not valid, a
bracket too few or too many, a row above the size limit, a date outside of the years 1 to 9999. Promised is that each
good row arrives with its line, and that each reject stands on the line of a damaged row (`damaged_files`).

Then 10,000 examples (`--examples`) of each source are imported as jobs. An example is a job of its own: it is split, its batch is read, checked as far down as what would be sent to the graph,
and counted in Redis, until the job ends. At last each different row of a source goes into the real graph, in batches
of 1,000 with good rows between them. Promised is that

- every good row arrives, and no batch fails. In a table that is each that begins a row: where a hostile one leaves a
  quote open, and a later line closes it so that the row has as many cells as the header, the lines between are in it,
- every job ends, as succeeded,
- written + replaced + unchanged + older + taken back + rejected + failed + not relevant are the rows that were read, and those that were expected.

Prints a table of rows by source and outcome, leaves .run/fuzz.json, and ends with 1 when a promise was broken. The
smallest example that breaks one is printed with its seed; a file with damaged rows is printed by its number.
"""

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch
from uuid import uuid4

import neo4j
import structlog
from damaged_files import FORMS, made_file, problems_of
from engines import bench, real_servers
from guard import empty_graph
from hostile_rows import HOSTILE, MAPPING, StagedGraph, file_of, good_students, mixed
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from importers import importer_on
from pydantic import SecretStr

from edugraph_common.contracts.messages import Format, ImportJob, SplitSource
from edugraph_common.contracts.outcomes import ENDED, JobReport
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import store_mapping
from edugraph_importer.graph import Graph, GraphSettings
from edugraph_importer.graph.versions import ALL_RIGHTS
from edugraph_importer.service import Importer

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SOURCES = sorted(HOSTILE)
PHASES = (Phase.generate, Phase.shrink)
OUTCOMES = (
    "written",
    "replaced",
    "unchanged",
    "older",
    "taken back",
    "rejected",
    "failed",
    "not relevant",
)
MOST_HOSTILE_ROWS = 6  # of an example


class BrokenPromise(AssertionError):
    """The message says which, and of what."""


@dataclass
class Tally:
    """What became of the rows of one source. `written_to_graph`: the same for each different row, in the real graph."""

    source: Format
    examples: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    written_to_graph: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "examples": self.examples,
            "rows": dict(self.rows),
            "graph": dict(self.written_to_graph),
            "reasons": dict(self.reasons.most_common()),
            "seconds": round(self.seconds, 1),
            "broken": self.broken,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="of each form of file")
    parser.add_argument(
        "--examples", type=int, default=10_000, help="of each source; 0 tries damaged rows alone"
    )
    parser.add_argument(
        "--source", choices=SOURCES, action="append", help="this one only; may be given again"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path(".run/fuzz.json"))
    chosen = parser.parse_args()
    # Each job is noted in the audit log, whose lines would stand between those of the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    broken_files = [
        problem for form in FORMS for problem in try_damaged_rows(form, chosen.rows, chosen.seed)
    ]
    for problem in broken_files:
        print(problem)
    if chosen.examples == 0:
        return int(bool(broken_files))
    print(
        "source     examples    rows"
        + "".join(f"{name:>14}" for name in OUTCOMES)
        + "   seconds  promises"
    )
    with bench():
        tallies = [tally for source in chosen.source or SOURCES for tally in _shown(source, chosen)]
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(
        json.dumps([tally.to_json() for tally in tallies], indent=1, ensure_ascii=False)
    )
    for tally in tallies:
        for promise in tally.broken:
            print(f"\n{tally.source}, --seed {chosen.seed}: {promise}")
    return int(bool(broken_files) or any(tally.broken for tally in tallies))


def try_damaged_rows(form: str, least_rows: int, number: int) -> list[str]:
    """Read files of a form until they have `least_rows`. Return a sentence for each broken promise."""
    broken: list[str] = []
    began = time.monotonic()
    files = 0
    rows = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        while rows < least_rows:
            file_number = number * 1_000_000 + files
            file = made_file(form, file_number)
            try:
                problems = problems_of(Blobs(folder), file)
            except Exception as fault:  # noqa: BLE001 - a file with good rows is never refused
                problems = [f"{type(fault).__name__}: {fault}"]
            broken += [f"{form}, file {file_number}: {problem}" for problem in problems]
            files += 1
            rows += file.rows
    seconds = time.monotonic() - began
    print(
        f"{form:<14} {rows:>8,} rows in {files:>5,} files {seconds:>7.0f} s  {'broken' if broken else 'kept'}",
        flush=True,
    )
    return broken


def _shown(source: Format, chosen: argparse.Namespace) -> Iterator[Tally]:
    addresses = real_servers()
    with connected_importer(addresses["EDUGRAPH_REDIS_URL"]) as importer:
        tally, different = try_examples(importer, source, chosen.examples, chosen.seed)
        began = time.monotonic()
        write_to_graph(importer, addresses, tally, different)
        tally.seconds += time.monotonic() - began
    for title, rows in (("", tally.rows), ("in the graph", tally.written_to_graph)):
        counts = "".join(f"{rows[name]:>14,}" for name in OUTCOMES)
        end = "broken" if tally.broken else "kept"
        examples = f"{tally.source:<9}{tally.examples:>10,}" if not title else f"  {title:<17}"
        print(f"{examples}{rows['read']:>8,}{counts}{tally.seconds:>10.0f}  {end}", flush=True)
    yield tally


@contextmanager
def connected_importer(redis_url: str, blobs: Path | None = None) -> Iterator[Importer]:
    """An importer whose graph is staged. It tells nobody of events and sends nothing: a job's end needs no broker."""
    client = connect(redis_url)
    with (
        tempfile.TemporaryDirectory(dir=blobs or Path("/dev/shm")) as folder,
        patch("edugraph_importer.service.emit", lambda *_: None),
        patch("edugraph_importer.service.send", lambda *_, **__: None),
    ):
        yield importer_on(StagedGraph(), client, Blobs(folder), lambda: NOW)
    client.close()


def try_examples(
    importer: Importer, source: Format, examples: int, number: int
) -> tuple[Tally, list[str]]:
    """Return what became of the rows, and each different hostile one."""
    tally, different, began = Tally(source), dict[str, None](), time.monotonic()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile=st.lists(HOSTILE[source], min_size=1, max_size=MOST_HOSTILE_ROWS))
    def kept(hostile: list[str]) -> None:
        lines = mixed(source, hostile)
        report, students = one_job(importer, source, lines)
        missing = good_students(source, lines) - students
        if missing:
            raise BrokenPromise(f"good rows are missing: {sorted(missing)}")
        tally.examples += 1
        _count(report, tally.rows)
        tally.reasons.update(report.reasons)
        different.update(dict.fromkeys(hostile))

    try:
        kept()
    except Exception as broken:  # noqa: BLE001 - whatever it is, it came of a row
        tally.broken.append(
            "\n".join([f"{type(broken).__name__}: {broken}", *getattr(broken, "__notes__", ())])
        )
    tally.seconds = time.monotonic() - began
    return tally, list(different)


def one_job(importer: Importer, source: Format, lines: Sequence[str]) -> tuple[JobReport, set[str]]:
    """Import these lines as a job. Return its report and the students of its rows. Raises BrokenPromise."""
    graph = cast("StagedGraph", importer.graph)
    graph.students.clear()
    report = import_lines(importer, source, lines)
    importer.blobs.delete(f"jobs/{report.job_id}")
    return report, graph.students


def import_lines(importer: Importer, source: Format, lines: Sequence[str]) -> JobReport:
    """Split, write each batch, sum up. Raises BrokenPromise when the report does not add up, or does not end well."""
    job_id = uuid4().hex
    job = ImportJob(
        job_id=job_id,
        source=f"jobs/{job_id}/source",
        format=source,
        batch_size=1_000,
        parallel_batches=1_000,
        rights=ALL_RIGHTS,
    )
    with importer.blobs.write(job.source or "") as file:
        file.write(file_of(source, lines))
    if source == "csv":
        store_mapping(importer.blobs, job_id, MAPPING)
    importer.jobs.create(job_id, "import", source, NOW)
    importer.split(SplitSource(**dict(job)))
    planned = importer.plan(job)
    for message in planned[0] if planned else ():
        importer.write_batch(type(message).model_validate_json(message.model_dump_json()))
    if planned:
        importer.sum_up(planned[1])
    report = importer.jobs.report(job_id, NOW)
    if report is not None and report.deriving:
        importer.settle_prerequisites(job_id)
        report = importer.jobs.report(job_id, NOW)
    if report is None or report.state not in ENDED:
        raise BrokenPromise(f"a job did not end: {report and report.state}")
    if report.state != "succeeded":
        raise BrokenPromise(f"a job with good rows ended as {report.state}: {report.error}")
    counts = Counter[str]()
    _count(report, counts)
    if not report.expected == report.read == sum(counts[name] for name in OUTCOMES):
        raise BrokenPromise(
            f"of {report.expected} rows {report.read} were read, and became of them {dict(counts)}"
        )
    return report


def _count(report: JobReport, counts: Counter[str]) -> None:
    counts.update(
        {
            "read": report.read,
            **report.outcomes,
        }
    )


def write_to_graph(
    importer: Importer, addresses: dict[str, str], tally: Tally, hostile: Sequence[str]
) -> None:
    """Import each of these rows, with good ones between them, into the real graph, which is emptied for it."""
    empty_graph(addresses)
    user, password = addresses["EDUGRAPH_NEO4J_USER"], addresses["EDUGRAPH_NEO4J_PASSWORD"]
    graph = Graph(
        GraphSettings(
            uri=addresses["EDUGRAPH_NEO4J_URI"],
            user=user,
            password=SecretStr(password),
            privacy_secret=SecretStr("s" * 32),
        )
    )
    real = dataclasses.replace(
        importer, graph=graph, erasure=dataclasses.replace(importer.erasure, graph=graph)
    )
    try:
        lines = mixed(tally.source, hostile)
        _count(import_lines(real, tally.source, lines), tally.written_to_graph)
        with neo4j.GraphDatabase.driver(
            addresses["EDUGRAPH_NEO4J_URI"], auth=(user, password), notifications_min_severity="OFF"
        ) as driver:
            rows, *_ = driver.execute_query(
                "MATCH (s:Student) WHERE s.id STARTS WITH 'good' RETURN s.id AS id"
            )
        if missing := good_students(tally.source, lines) - {row["id"] for row in rows}:
            tally.broken.append(
                f"{len(missing)} good rows are missing in the graph, such as {min(missing)}"
            )
    except Exception as broken:  # noqa: BLE001 - whatever it is, it came of a row
        tally.broken.append(f"in the graph: {type(broken).__name__}: {broken}")
    finally:
        graph.close()
        empty_graph(addresses)


if __name__ == "__main__":
    sys.exit(main())
