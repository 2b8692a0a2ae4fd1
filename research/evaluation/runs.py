"""Runs: a data set is read by one analyser with one version of the prompt, in packs of one size.

Each run is kept as a JSON file: its parameters, one row for each record (without words of its text), and its costs.
An interrupted run continues with the missing records.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import redis

from edugraph_analyzer.costs import usage_of
from edugraph_analyzer.pipeline import PackResult, Pipeline
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Retryable, Wait
from edugraph_common.contracts.findings import Finding
from edugraph_common.contracts.messages import IMPORT_CONTENT_PACK, Analysis
from evaluation.agreement import Row, is_told, row_of, row_without
from evaluation.data_sets import DATA_SETS, DataSet, Sample

TRIES = 3
PRODUCTION = 0  # the size of packs of an arm that packs records like the services


@dataclass(frozen=True)
class Arm:
    """An arm of the comparison. `prompt` and `model` are named as in the answers."""

    data_set: str
    model: str
    prompt: str
    pack: int
    seed: int

    @property
    def file(self) -> str:
        return (
            re.sub(r"[^a-z0-9.]+", "-", "_".join(map(str, asdict(self).values())).casefold())
            + ".json"
        )


@dataclass
class Run:
    arm: Arm
    rows: list[Row] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)

    @classmethod
    def kept(cls, arm: Arm, folder: Path) -> "Run":
        path = folder / arm.file
        if not path.is_file():
            return cls(arm)
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(arm, found["rows"], found["took"])

    def keep(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / f"{self.arm.file}.part"
        written.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        written.rename(folder / self.arm.file)

    def missing(self, samples: Sequence[Sample]) -> list[Sample]:
        done = {row["record_id"] for row in self.rows}
        return [sample for sample in samples if sample.record["record_id"] not in done]

    def among(self, samples: Sequence[Sample]) -> list[Row]:
        """Return the rows of these samples. The run may have more rows, from an earlier and larger sample."""
        names = {sample.record["record_id"] for sample in samples}
        return [row for row in self.rows if row["record_id"] in names]

    def add(self, rows: list[Row], took: dict[str, float]) -> None:
        self.rows += rows
        self.took = {
            name: self.took.get(name, 0) + took.get(name, 0) for name in {*self.took, *took}
        }


@dataclass(frozen=True)
class Reader:
    """Runs the pipeline like the analyzer's tasks.

    `server` is a Redis of the evaluation. It is emptied before each pack, so that a run does not use cached answers.
    """

    settings: AnalyzerSettings
    server: "redis.Redis"
    offline: RuleBasedAnalyzer | None = None

    def read(
        self, data_set: DataSet, samples: Sequence[Sample]
    ) -> tuple[list[Row], dict[str, float]]:
        """Return the rows and the costs of a pack.

        Raises Rejected if the provider cannot be used, and Retryable if it does not answer.
        """
        self.server.flushdb()
        job, began = uuid.uuid4().hex, time.monotonic()
        message = _message(job, data_set, samples)
        result = _patiently(
            lambda: Pipeline(self.settings, self.server, offline=self.offline).analyse(message)
        )
        used = usage_of(self.server, job).get(
            (data_set.kind, self.settings.model_for(data_set.kind))
        )
        took = {
            name: float(getattr(used, name, 0))
            for name in ("requests", "input_tokens", "output_tokens", "cost")
        }
        took["seconds"] = time.monotonic() - began
        told = [
            {"told": is_told(data_set, sample, self.settings.known_points)} for sample in samples
        ]
        return [
            row | each for row, each in zip(_rows(data_set, samples, result), told, strict=True)
        ], took


def _message(job: str, data_set: DataSet, samples: Sequence[Sample]) -> Analysis:
    contexts = {sample.context.course_id: sample.context for sample in samples if sample.context}
    records = tuple(sample.record for sample in samples)
    return Analysis(
        job_id=job, pack="p", kind=data_set.kind, records=records, contexts=tuple(contexts.values())
    )


def _rows(data_set: DataSet, samples: Sequence[Sample], result: PackResult) -> list[Row]:
    named = {sample.record["record_id"]: sample for sample in samples}
    found = {each.record["record_id"]: each.finding for each in result.findings}
    reasons = {each.record_id: each.reason for each in (*result.failed, *result.skipped)}
    return [
        _row(data_set, sample, found.get(name), reasons.get(name, "no answer"))
        for name, sample in named.items()
    ]


def _row(data_set: DataSet, sample: Sample, finding: Finding | None, reason: str) -> Row:
    return row_without(sample, reason) if finding is None else row_of(data_set, sample, finding)


def _patiently(ask: Callable[[], PackResult]) -> PackResult:
    """Call `ask`. After Wait, wait for the given time. After Retryable, try again after 1, 2 and 4 s."""
    tries = 0
    while True:
        try:
            return ask()
        except Wait as wait:
            time.sleep(wait.seconds)
        except Retryable:
            tries += 1
            if tries > TRIES:
                raise
            time.sleep(2 ** (tries - 1))


def go_on(
    run: Run, reader: Reader, samples: Sequence[Sample], folder: Path, in_time: Callable[[], bool]
) -> None:
    """Ask for the missing records of a run, pack by pack, while there is time. The run is saved after each pack."""
    missing, kind = run.missing(samples), DATA_SETS[run.arm.data_set].kind
    size = run.arm.pack or (
        IMPORT_CONTENT_PACK if kind == "knowledge_points" else AnalyzerSettings().pack_size
    )
    for start in range(0, len(missing), size):
        if not in_time():
            return
        pack = missing[start : start + size]
        run.add(*reader.read(DATA_SETS[run.arm.data_set], pack))
        run.keep(folder)
