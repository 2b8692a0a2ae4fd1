"""A Markdown page of runs: figures, differences of paired runs, reliability, and a verdict for each goal."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from evaluation.agreement import FIVE, Row, figures, macro_f1
from evaluation.runs import PRODUCTION, Arm, Run
from evaluation.statistics import (
    Goal,
    Interval,
    bootstrapped,
    goals_table,
    paired,
    reliability,
    share,
)

SHOWN = (
    "answered",
    "accuracy",
    "macro_f1",
    "told",
    "hit@1",
    "hit@5",
    "credit",
    "mood",
    "topic",
    "known",
    "evidence",
    "step",
    "step_by_chance",
    "chinese",
)
HEAD = ("data set", "analyser", "prompt", "pack", "asked", *SHOWN, "tokens", "cost", "s")
MOST_LOST, LEAST_EVIDENCE, LEAST_CHINESE = 0.05, 0.95, 0.95
ALL = "all together"

# Measure -> the score of an answer, mostly 0 or 1. The score is None if the record has no such label.
RIGHT: dict[str, Callable[[Row], float | None]] = {
    "accuracy": lambda row: row["error_type"] == row["said"] if row["error_type"] else None,
    "hit@1": lambda row: row["rank"] == 1 if row["rank"] is not None else None,
    "hit@5": lambda row: 1 <= row["rank"] <= FIVE if row["rank"] is not None else None,
    "mood": lambda row: row["mood"] == row["mood_said"] if row.get("mood") else None,
    "topic": lambda row: row["topic"] == row["topic_said"] if row.get("topic") else None,
    "known": lambda row: row.get("known"),
    "evidence": lambda row: bool(row["evidence"]) if not row.get("reason") else None,
    "chinese": lambda row: row["chinese"],
}


def page(runs: Sequence[Run], others: Sequence[Run] = ()) -> str:
    """Return the whole page. `others` are runs with other prompts, which are compared with the runs of their kind."""
    goals = goals_of(runs)
    figures_of_others = _lines([HEAD, *map(_cells, others)]) if others else ""
    parts = [
        table(runs),
        figures_of_others,
        _differences([*_pairs(runs), *_prompts(runs, others)]),
        _reliability(runs),
        goals_table(goals) if goals else "",
    ]
    return "\n\n".join(filter(None, parts))


def table(runs: Iterable[Run]) -> str:
    rows = [HEAD, *(_cells(run) for run in (*runs, *together(runs)))]
    return _lines(rows)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _cells(run: Run) -> tuple[str, ...]:
    """Return the cells of a row. Tokens, money and seconds are per record."""
    found, asked = figures(run.rows), max(len(run.rows), 1)
    tokens = (run.took.get("input_tokens", 0) + run.took.get("output_tokens", 0)) / asked
    spent = [
        f"{tokens:.0f}",
        f"{run.took.get('cost', 0) / asked:.6f}",
        f"{run.took.get('seconds', 0) / asked:.1f}",
    ]
    shares = ["–" if found[name] is None else f"{found[name]:.2f}" for name in SHOWN]
    return (
        run.arm.data_set,
        run.arm.model,
        run.arm.prompt,
        pack_name(run.arm),
        str(len(run.rows)),
        *shares,
        *spent,
    )


def pack_name(arm: Arm) -> str:
    return "as production" if arm.pack == PRODUCTION else str(arm.pack)


def together(runs: Iterable[Run]) -> list[Run]:
    """Pool the runs with the same analyser and the same size of packs over all data sets and prompts."""
    pooled: dict[Arm, Run] = {}
    for run in runs:
        arm = replace(run.arm, data_set=ALL, prompt="–")
        # Records of two sets may have the same id.
        rows = [{**row, "record_id": f"{run.arm.data_set} {row['record_id']}"} for row in run.rows]
        pooled.setdefault(arm, Run(arm)).add(rows, run.took)
    return list(pooled.values())


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[str, Run, Run]]:
    """Yield (title, first, second) for each comparison.

    Packs are compared with single questions of the same model, and single questions with the offline analyser.
    """
    by_model: dict[str, dict[int, Run]] = defaultdict(dict)
    for run in together(runs):
        by_model[run.arm.model][run.arm.pack] = run
    offline = [
        packs[1] for model, packs in by_model.items() if model.startswith("offline") and 1 in packs
    ]
    for model, packs in by_model.items():
        if model.startswith("offline") or 1 not in packs:
            continue
        for pack, run in sorted(packs.items()):
            if pack != 1:
                yield f"{model}: singly → {pack_name(run.arm)}", packs[1], run
        yield from ((f"{each.arm.model} → {model}, singly", each, packs[1]) for each in offline)


def _prompts(runs: Sequence[Run], others: Sequence[Run]) -> Iterator[tuple[str, Run, Run]]:
    """Yield (title, run with another prompt, run with the current prompt of that kind), pooled over the sets."""
    by_prompt: dict[tuple[str, int, str], list[Run]] = defaultdict(list)
    for run in others:
        by_prompt[run.arm.model, run.arm.pack, run.arm.prompt].append(run)
    for (model, pack, prompt), first in by_prompt.items():
        sets = {run.arm.data_set for run in first}
        second = [
            run
            for run in runs
            if (run.arm.model, run.arm.pack) == (model, pack) and run.arm.data_set in sets
        ]
        for before, after in zip(together(first), together(second), strict=True):
            yield (
                f"{model}, packs {pack_name(after.arm)}: {prompt} → {second[0].arm.prompt}",
                before,
                after,
            )


def _differences(compared: Iterable[tuple[str, Run, Run]]) -> str:
    """Return a table of the differences. Each is tested on the records of both runs (McNemar, exact)."""
    rows = [
        (
            "compared",
            "measure",
            "records",
            "difference (95 %)",
            "only the first right",
            "only the second",
            "p",
        )
    ]
    for name, first, second in compared:
        for measure in RIGHT:
            pairs = _judged_by_both(first, second, measure)
            if not pairs:
                continue
            found = paired(pairs)
            counts = (str(found.only_first), str(found.only_second), f"{found.p:.3f}")
            rows.append((name, measure, str(len(pairs)), str(found.difference), *counts))
    return _lines(rows) if len(rows) > 1 else ""


def _judged_by_both(first: Run, second: Run, measure: str) -> list[tuple[float, float]]:
    of_second = {row["record_id"]: RIGHT[measure](row) for row in second.rows}
    both = ((RIGHT[measure](row), of_second.get(row["record_id"])) for row in first.rows)
    return [(one, other) for one, other in both if one is not None and other is not None]


def _reliability(runs: Sequence[Run]) -> str:
    """Return a table of confidence and share of right answers by tenths, for single questions and for production."""
    rows = [("analyser", "pack", "of", "from", "said", "right (95 %)", "answers")]
    for run in together(runs):
        for name, of in (("sure", "first points"), ("type_sure", "kinds")):
            said = (
                [row[name] for row in run.rows if row.get(name)]
                if run.arm.pack in {1, PRODUCTION}
                else []
            )
            rows += [
                (
                    run.arm.model,
                    pack_name(run.arm),
                    of,
                    f"{start:.1f}",
                    f"{mean:.2f}",
                    str(right),
                    str(count),
                )
                for start, mean, right, count in reliability(said)
            ]
    return _lines(rows) if len(rows) > 1 else ""


def goals_of(runs: Sequence[Run]) -> list[Goal]:
    """Return the goals of packing, evidence and language for each model. The offline analyser has its own goals."""
    goals = list[Goal]()
    for name, single, packed in _pairs(runs):
        if single.arm.model != packed.arm.model or packed.arm.pack not in {4, PRODUCTION}:
            continue
        for measure in RIGHT:
            pairs = _judged_by_both(single, packed, measure)
            if pairs:
                lost = _turned(paired(pairs).difference)
                goals.append(Goal(f"{name}, {measure} lost", MOST_LOST, False, lost))
        if kinds := _kinds_of_both(single, packed):
            goals.append(
                Goal(f"{name}, macro_f1 lost", MOST_LOST, False, bootstrapped(kinds, _f1_lost))
            )
    for run in together(runs):
        if run.arm.model.startswith("offline"):
            continue
        for measure, least in (("evidence", LEAST_EVIDENCE), ("chinese", LEAST_CHINESE)):
            judged = [
                right
                for row in run.rows
                if not row.get("reason") and (right := RIGHT[measure](row)) is not None
            ]
            if judged:
                name = f"{run.arm.model}, packs {pack_name(run.arm)}: {measure}"
                goals.append(Goal(name, least, True, share(sum(map(bool, judged)), len(judged))))
    return goals


def _turned(gained: Interval) -> Interval:
    return Interval(-gained.seen, -gained.high, -gained.low)


def _kinds_of_both(single: Run, packed: Run) -> list[tuple[str, str, str]]:
    """Return (right kind, answer of a single question, answer in a pack) for each record of both runs."""
    said = {row["record_id"]: row["said"] for row in packed.rows}
    return [
        (row["error_type"], row["said"], said[row["record_id"]])
        for row in single.rows
        if row["error_type"] and row["record_id"] in said
    ]


def _f1_lost(kinds: list[tuple[str, str, str]]) -> float:
    right, singly, packed = (list(each) for each in zip(*kinds, strict=True))
    return macro_f1(right, singly) - macro_f1(right, packed)
