"""Runs as a table of Markdown, and whether the goals are met."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from evaluation.agreement import figures
from evaluation.runs import Arm, Run

MEASURES = ("accuracy", "macro_f1", "hit@1", "hit@5", "evidence", "chinese")
SHOWN = ("answered", "accuracy", "macro_f1", "told", "hit@1", "hit@5", "evidence", "chinese")
HEAD = ("data set", "analyser", "prompt", "pack", "asked", *SHOWN, "tokens", "cost", "s")
MOST_LOST, LEAST_EVIDENCE = 0.05, 0.95
ALL = "all together"


def table(runs: Iterable[Run]) -> str:
    rows = [HEAD, *(_cells(run) for run in (*runs, *together(runs)))]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(HEAD), *lines[1:]])


def _cells(run: Run) -> tuple[str, ...]:
    """Return the cells of a row. Tokens, money and seconds are those of one record."""
    found, asked = figures(run.rows), max(len(run.rows), 1)
    tokens = (run.took.get("input_tokens", 0) + run.took.get("output_tokens", 0)) / asked
    spent = [f"{tokens:.0f}", f"{run.took.get('cost', 0) / asked:.6f}", f"{run.took.get('seconds', 0) / asked:.1f}"]
    shares = [_shown(found[name]) for name in SHOWN]
    arm = run.arm
    return (arm.data_set, arm.model, arm.prompt, str(arm.pack), str(len(run.rows)), *shares, *spent)


def _shown(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"


def together(runs: Iterable[Run]) -> list[Run]:
    """Pool the runs of one analyser in packs of one size over all data sets, whatever their prompts."""
    pooled: dict[Arm, Run] = {}
    for run in runs:
        arm = replace(run.arm, data_set=ALL, prompt="–")
        pooled.setdefault(arm, Run(arm)).add(run.rows, run.took)
    return list(pooled.values())


def misses(runs: Sequence[Run]) -> list[str]:
    """Say for each model what packs of 4 lose, and what is wrong with evidence and language. Offline has no goal."""
    by_model: dict[str, dict[int, Run]] = defaultdict(dict)
    for run in together(runs):
        if not run.arm.model.startswith("offline"):
            by_model[run.arm.model][run.arm.pack] = run
    return [miss for model, packs in by_model.items() for miss in _misses(model, packs)]


def _misses(model: str, packs: dict[int, Run]) -> Iterable[str]:
    shares = {pack: figures(run.rows) for pack, run in packs.items()}
    for name in MEASURES if {1, 4} <= set(shares) else ():
        single, packed = shares[1][name], shares[4][name]
        if single is not None and packed is not None and single - packed > MOST_LOST:
            yield f"{model}: packed by 4, {name} is {packed:.2f}, singly {single:.2f}"
    for pack, found in sorted(shares.items()):
        if (found["evidence"] or 0) < LEAST_EVIDENCE:
            yield f"{model}: in packs of {pack} evidence is in the text in {_shown(found['evidence'])} of the answers"
        if found["chinese"] is not None and found["chinese"] < 1:
            yield f"{model}: in packs of {pack} {found['chinese']:.2f} of the Chinese texts were answered in Chinese"
