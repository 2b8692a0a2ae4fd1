"""`make evaluate`: agreement with human labels, packed against single, evidence, language, tokens and cost.

The command evaluates the provider of EDUGRAPH_OPENAI_…, or a local model of 1.5 billion parameters if none is set,
and the offline analyser without and with labels. It prints one page with a verdict for each goal, and writes the
verdicts to .run/evaluation/goals.json. Questions that were answered before (same prompt, model, pack and seed) are
not asked again. With --reviews, a school's own reviews are the labels.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from edugraph_analyzer.prompting import prompts
from edugraph_analyzer.rule_based import lexicon
from edugraph_analyzer.rule_based.analyzer import MODEL as OFFLINE_MODEL
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_cli.embedded.valkey_server import valkey_server
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.findings import Kind
from edugraph_common.runtime.service.logs import configure_logs
from evaluation.data_sets import DATA_SETS, Sample, drawn, sample
from evaluation.local_model import NAME as LOCAL
from evaluation.offline_check import ALL, FITTED, TYPED, checked, fit_of
from evaluation.reviewed import reviewed
from evaluation.runs import PRODUCTION, Arm, Reader, Run, go_on
from evaluation.statistics import Goal
from evaluation.table import goals_of, pack_name, page

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EDUGRAPH_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
PATIENCE = 600.0  # seconds for one answer of a model on a small machine
STARTS_WITHIN = 120.0
Samples = dict[str, list[Sample]]  # name of the set -> its samples
LABELLED = {each.name for each in (*FITTED, *TYPED)} & DATA_SETS.keys()
# The importer sends course texts four by four.
LARGEST_PACK = {"interaction": 16, "error": 16, "knowledge_points": 4}


def main() -> int:
    chosen = _arguments()
    configure_logs("console", "WARNING")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("evaluate: ended; what was answered is kept"))
    prompts.CURRENT.update(_numbers_of_prompts(chosen.prompts))
    ends = time.monotonic() + chosen.minutes * 60
    with ExitStack() as stack:
        server = stack.enter_context(_redis())
        runs, others = list[Run](), list[Run]()
        offline: tuple[str, list[Goal]] = "", []
        try:
            samples = _samples(chosen)
            if not chosen.reviews and not chosen.no_offline:
                offline = checked()
            runs += [
                _fitted(name, samples[name], chosen.seed, server)
                for name in samples
                if name in LABELLED
            ]
            for settings in stack.enter_context(_analysers(chosen)):
                found = _evaluated(
                    Reader(settings, server), chosen, samples, lambda: time.monotonic() < ends
                )
                runs, others = [*runs, *found[0]], [*others, *found[1]]
        except FileNotFoundError as error:
            remedy = (
                "name files that are there"
                if chosen.reviews
                else "set EDUGRAPH_SHARED_DATA to its folder"
            )
            sys.exit(f"evaluate: no labelled data at {error.filename}: {remedy}")
        except Failure as failure:
            sys.exit(
                f"evaluate: {failure.reason}; what was answered is kept, run it again to go on"
            )
    return _told(runs, others, samples, chosen.records, offline)


def _samples(chosen: argparse.Namespace) -> Samples:
    """Draw samples from the chosen sets, or only from the reviews. Raises FileNotFoundError and Rejected."""
    if not chosen.reviews:
        return {
            name: sample(DATA_SETS[name], DATA, chosen.sample, chosen.seed) for name in chosen.sets
        }
    found = reviewed(*chosen.reviews)
    # Runs refer to their set by its name, so the sets of the reviews are added here.
    DATA_SETS.update((each.name, each) for each, _ in found)
    return {
        each.name: drawn(samples, each.name, chosen.sample, chosen.seed) for each, samples in found
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=10, help="records of each data set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--packs", type=_numbers, default=[1, 4, PRODUCTION], help="such as 1,4,production"
    )
    parser.add_argument(
        "--sets", type=_names, default=list(DATA_SETS), help="such as 'bridge,tal_zh mistakes'"
    )
    parser.add_argument(
        "--prompts",
        type=_names,
        default=[],
        help="prompts in place of the current ones, such as error.6",
    )
    parser.add_argument(
        "--against", type=_names, default=[], help="further prompts to ask and compare"
    )
    parser.add_argument(
        "--minutes", type=float, default=38.0, help="ask no questions after this time"
    )
    parser.add_argument("--records", type=Path, default=CHECKOUT / ".run" / "evaluation")
    parser.add_argument("--weights", type=Path, default=CHECKOUT / ".run" / "model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--no-model", action="store_true", help="evaluate only the offline analyser"
    )
    parser.add_argument(
        "--no-offline", action="store_true", help="without the page of `make evaluate-offline`"
    )
    parser.add_argument(
        "--reviews",
        type=Path,
        nargs=2,
        metavar=("RECORDS", "REVIEWS"),
        help="in place of all sets: mistakes as NDJSON, and the output of `edugraph reviews export`",
    )
    chosen = parser.parse_args()
    if unknown := [each for each in chosen.sets if each not in DATA_SETS]:
        parser.error(f"there is no set {', '.join(unknown)}: choose among {', '.join(DATA_SETS)}")
    return chosen


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [PRODUCTION if number == "production" else int(number) for number in _names(text)]


def _numbers_of_prompts(versions: list[str]) -> dict[Kind, int]:
    """Return kind -> number of the named prompts, such as 6 for error.6. Exits if a prompt does not exist."""
    numbers: dict[Kind, int] = {}
    for version in versions:
        kind, _, number = version.partition(".")
        if kind not in prompts.CURRENT or not number.isdecimal():
            sys.exit(
                f"evaluate: {version} names no prompt: write it like {prompts.version_of('error')}"
            )
        try:
            prompts.instructions(version)
        except FileNotFoundError as error:
            sys.exit(f"evaluate: there is no prompt {version} yet: write it to {error.filename}")
        numbers[kind] = int(number)
    return numbers


@contextmanager
def _analysers(chosen: argparse.Namespace) -> Iterator[list[AnalyzerSettings]]:
    """Yield the settings of the offline analyser and of the provider. Without a provider, start a local model."""
    own = AnalyzerSettings()
    with ExitStack() as stack:
        models = (
            [own]
            if own.has_provider
            else [stack.enter_context(_local_model(chosen))]
            if not chosen.no_model
            else []
        )
        yield [_without_provider(), *models]


@contextmanager
def _local_model(chosen: argparse.Namespace) -> Iterator[AnalyzerSettings]:
    command = [
        sys.executable,
        "-m",
        "evaluation.local_model",
        str(chosen.weights),
        "--threads",
        str(chosen.threads),
    ]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield _settings_for(process.stdout.readline().strip() if process.stdout else "")
        finally:
            process.terminate()


def _settings_for(address: str) -> AnalyzerSettings:
    if not address:
        sys.exit(
            "evaluate: the local model did not start: run `python -m evaluation.local_model FOLDER` to see why"
        )
    fields = {"openai_base_url": address, "model": LOCAL, "call_timeout_seconds": PATIENCE}
    return AnalyzerSettings().model_copy(update={**fields, "requests_per_minute": 6_000})


@contextmanager
def _redis() -> Iterator["redis.Redis"]:
    """Start an embedded Redis for the evaluation, which empties it again and again."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = valkey_server(Path(folder))
        with subprocess.Popen(embedded.command, stdout=subprocess.DEVNULL) as process:
            try:
                yield _connected(embedded.url(0), embedded.answers)
            finally:
                process.terminate()


def _connected(url: str, answers: Callable[[], bool]) -> "redis.Redis":
    ends = time.monotonic() + STARTS_WITHIN
    while not answers():
        if time.monotonic() > ends:
            sys.exit("evaluate: the embedded Redis did not start")
        time.sleep(0.1)
    return redis.Redis.from_url(url)


def _evaluated(
    reader: Reader, chosen: argparse.Namespace, samples: Samples, in_time: Callable[[], bool]
) -> tuple[list[Run], list[Run]]:
    """Return the runs with the current prompts, and the runs with the prompts for comparison.

    Each size of packs is read for all data sets before the next size. If the time runs out, the largest packs are
    missing.
    """
    packs = chosen.packs if reader.settings.has_provider else [1]
    against = _numbers_of_prompts(chosen.against) if reader.settings.has_provider else {}
    runs, others = list[Run](), list[Run]()
    for pack in packs:
        for name in samples:
            kind = DATA_SETS[name].kind
            if pack > LARGEST_PACK[kind]:
                continue
            for number, read in ((prompts.CURRENT[kind], runs), (against.get(kind), others)):
                if number is None:
                    continue
                with _asked_by(kind, number):
                    arm = _arm(reader.settings, name, pack, chosen.seed)
                    read.append(_run(reader, arm, samples[name], chosen.records, in_time))
    return runs, others


@contextmanager
def _asked_by(kind: Kind, number: int) -> Iterator[None]:
    current = prompts.CURRENT[kind]
    prompts.CURRENT[kind] = number
    try:
        yield
    finally:
        prompts.CURRENT[kind] = current


def _arm(settings: AnalyzerSettings, name: str, pack: int, seed: int) -> Arm:
    if not settings.has_provider:
        return Arm(name, OFFLINE_MODEL, lexicon.VERSION, pack, seed)
    kind = DATA_SETS[name].kind
    return Arm(name, settings.model_for(kind), prompts.version_of(kind), pack, seed)


def _run(
    reader: Reader, arm: Arm, samples: list[Sample], folder: Path, in_time: Callable[[], bool]
) -> Run:
    # Packs of a chosen size may mix the texts of several students. In production a pack has texts of one student.
    packing = {"pack_size": arm.pack, "one_student_per_pack": arm.pack == PRODUCTION}
    run, settings = Run.kept(arm, folder), reader.settings.model_copy(update=packing)
    go_on(run, Reader(settings, reader.server), samples, folder, in_time)
    print(
        f"{arm.model} {arm.prompt} {arm.data_set}: {len(run.rows)} in packs of {arm.pack}",
        file=sys.stderr,
        flush=True,
    )
    return Run(arm, run.among(samples), run.took)


def _without_provider() -> AnalyzerSettings:
    return AnalyzerSettings(openai_api_key=None, openai_base_url=None, models_file=None)


def _fitted(name: str, samples: list[Sample], seed: int, server: "redis.Redis") -> Run:
    """Fit the offline analyser to the labelled records of a set that are not in the sample, and judge it."""
    data_set, asked = DATA_SETS[name], {each.record["record_id"] for each in samples}
    others = [
        each for each in sample(data_set, DATA, ALL, seed) if each.record["record_id"] not in asked
    ]
    analyzer = RuleBasedAnalyzer(fit_of(others, together=data_set in TYPED))
    reader = Reader(_without_provider(), server, analyzer)
    run = Run(Arm(name, f"{OFFLINE_MODEL}, fitted", lexicon.VERSION, 1, seed))
    for each in samples:
        run.add(*reader.read(data_set, [each]))
    return run


def _told(
    runs: list[Run],
    others: list[Run],
    samples: Samples,
    folder: Path,
    offline: tuple[str, list[Goal]],
) -> int:
    """Print the page and the page of the offline analyser. `others` are the runs with other prompts, for comparison.

    Return 1 if a goal is not met, or if the time ran out before all questions were asked.
    """
    print(page(runs, others))
    if offline[0]:
        print(f"\n## The offline analyser alone\n\n{offline[0]}")
    goals = [*goals_of(runs), *offline[1]]
    short = [run.arm for run in (*runs, *others) if len(run.rows) < len(samples[run.arm.data_set])]
    for arm in short:
        print(f"{arm.data_set}, {arm.prompt}, packs {pack_name(arm)}: the time ran out")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "goals.json").write_text(
        json.dumps([goal.to_json() for goal in goals], indent=1), encoding="utf-8"
    )
    return 0 if all(goal.is_met for goal in goals) and not short else 1


if __name__ == "__main__":
    sys.exit(main())
