"""The agreement of one answer with the labels of its record, and figures over many answers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sklearn.metrics import accuracy_score, f1_score

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.evidence import found_in
from edugraph_analyzer.findings.mapping import same_name
from edugraph_analyzer.prompting.relevance import candidates
from edugraph_analyzer.rule_based.encoder import is_installed, nearness
from edugraph_common.contracts.findings import Finding
from evaluation.data_sets import TOPICS, DataSet, Sample

Row = dict[str, Any]
_HAN, _LATIN = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[A-Za-z]")
FIVE = 5
NOTHING, NO_TOPIC = "(none)", "none"


def row_of(
    data_set: DataSet, sample: Sample, finding: Finding, *, nearest_type: bool = True
) -> Row:
    """Return the figures of an answer. They hold no words of the text.

    `nearest_type`: find the set's own kind of error that is nearest to the answer's words. That takes 5 ms.
    """
    points, types, step = (
        _points(finding),
        getattr(finding, "error_types", ()),
        sample.first_wrong_step,
    )
    said = _error_type(data_set, finding) if sample.error_type and nearest_type else None
    return {
        "record_id": sample.record["record_id"],
        "evidence": bool(finding.evidence),
        "chinese": _is_chinese(_words(finding))
        if data_set.language == "zh" and _words(finding)
        else None,
        "error_type": sample.error_type,
        "said": said,
        "rank": _rank([name for name, _ in points], sample.points) if sample.points else None,
        "credit": _credit(sample, points),
        "step": None if step is None else is_about(finding.evidence, step),
        "step_by_chance": None if step is None else _share_about(sample.record, step),
        "sure": _sure(points, sample),
        "mood": sample.mood,
        "mood_said": getattr(finding, "sentiment", None) if sample.mood else None,
        "topic": sample.topic,
        "topic_said": topic_of(finding) if sample.topic else None,
        "known": _share_known(points, sample),
        "type_sure": (types[0].confidence, said == sample.error_type) if types and said else None,
    }


def _sure(points: Sequence[tuple[str, float | None]], sample: Sample) -> tuple[float, bool] | None:
    """Return (confidence, whether it is right) of the first point. Points of a course text have no confidence."""
    if not points or not sample.points or points[0][1] is None:
        return None
    return points[0][1], _rank([points[0][0]], sample.points) == 1


def _share_known(points: Sequence[tuple[str, float | None]], sample: Sample) -> float | None:
    """Return the share of the points with the name of a known point of the course. Other names drift.

    The share is None if no points of the course are known, or if no point was found.
    """
    known = (
        {same_name(name) for name in sample.context.knowledge_points} if sample.context else set()
    )
    if not known or not points:
        return None
    return sum(same_name(name) in known for name, _ in points) / len(points)


def topic_of(finding: Finding) -> str:
    """Return the label's topic that is nearest in meaning to the first topic of the finding.

    Proposed topics count as well: the labelled messages have no course whose points could be chosen.
    """
    topics = (*getattr(finding, "topics", ()), *getattr(finding, "other_topics", ()))
    names = {name: topic for topic, parts in TOPICS.items() for name in parts.split("|")}
    return names[nearest(topics[0], {name: name for name in names})] if topics else NO_TOPIC


def is_about(quotes: Iterable[str], step: str) -> bool:
    """Return whether one of the quotes contains the step or is a part of it."""
    return any(found_in((quote,), step) or found_in((step,), quote) for quote in quotes)


def _share_about(record: Mapping[str, Any], step: str) -> float:
    """Return the share of the lines of a mistake that would count as a quote of the step."""
    lines = [
        line for line in str(record["data"].get("error_text", "")).splitlines() if line.strip()
    ]
    return sum(is_about((line,), step) for line in lines) / max(len(lines), 1)


def _credit(sample: Sample, points: Sequence[tuple[str, float | None]]) -> float | None:
    """Return how near the first point is to a right one, from 0 to 1, or None without a hierarchy."""
    if sample.hierarchy is None or not sample.points:
        return None
    return sample.hierarchy.credit(points[0][0], sample.points) if points else 0.0


def is_told(data_set: DataSet, sample: Sample, most: int) -> bool | None:
    """Return whether a right point is among the `most` points in the prompt. Other points cannot be found."""
    if not sample.points or sample.context is None:
        return None
    text = read_document(sample.record, data_set.kind, ()).text
    return not {*sample.points}.isdisjoint(
        candidates(text, sample.context.knowledge_points, (), most)
    )


def row_without(sample: Sample, reason: str) -> Row:
    """Return the row of a record without an answer. It counts as a wrong answer."""
    said = NOTHING if sample.error_type else None
    labelled = {"error_type": sample.error_type, "said": said, "rank": 0 if sample.points else None}
    credit = 0.0 if sample.hierarchy and sample.points else None
    return {
        "record_id": sample.record["record_id"],
        "reason": reason,
        "evidence": False,
        "chinese": None,
        "credit": credit,
        "mood": sample.mood,
        "mood_said": None,
        "topic": sample.topic,
        "topic_said": None,
        **labelled,
    }


def _words(finding: Finding) -> list[str]:
    """Return the answer's own words. Formulas and numbers are left out, because they have no language."""
    said = finding.model_dump()
    parts = [*said.get("error_types", ()), *said.get("knowledge_points", ())]
    texts = [
        *said.get("topics", ()),
        *said.get("other_topics", ()),
        *(part.get(name) for part in parts for name in ("name", "description")),
    ]
    return [text for text in texts if text and (_HAN.search(text) or _LATIN.search(text))]


def _is_chinese(words: Iterable[str]) -> bool:
    """Return whether more than half of the words are Chinese. A few signs like "cm" or variables do not matter."""
    chinese = [bool(_HAN.search(each)) for each in words]
    return sum(chinese) * 2 > len(chinese)


def _points(finding: Finding) -> list[tuple[str, float | None]]:
    """Return (name, confidence or None) of an answer's points, the most important first."""
    points = list(getattr(finding, "knowledge_points", ()))
    weight = {"core": 0, "supplementary": 1}
    points.sort(
        key=lambda point: (
            weight[point.importance] if hasattr(point, "importance") else -point.strength
        )
    )
    return [(point.name, getattr(point, "confidence", None)) for point in points]


def _rank(found: Sequence[str], right: Sequence[str]) -> int:
    """Return the rank of the first right name, from 1, or 0 if there is none."""
    wanted = {same_name(name) for name in right}
    return next(
        (place for place, name in enumerate(found, start=1) if same_name(name) in wanted), 0
    )


def _error_type(data_set: DataSet, finding: Finding) -> str:
    """Return the first kind of error in the answer, or the set's own kind that is nearest in meaning."""
    types, meanings = getattr(finding, "error_types", ()), data_set.meanings or {}
    if not types:
        return NOTHING
    return types[0].name if types[0].name in meanings else nearest(types[0].name, meanings)


def nearest(words: str, meanings: Mapping[str, str]) -> str:
    if not is_installed():
        raise RuntimeError(
            "the extra `offline` of edugraph-analyzer is not installed: run this by `make evaluate`"
        )
    return max(zip(nearness(words, tuple(meanings.values())), meanings, strict=True))[1]


# --- figures ------------------------------------------------------------------------------------------------------


def figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return name -> share over the answers. A record without an answer counts as wrong."""
    answered = [row for row in rows if not row.get("reason")]
    typed = [row for row in rows if row["error_type"]]
    ranked = [row for row in rows if row["rank"] is not None]
    return {
        "asked": float(len(rows)),
        "answered": _share(rows, lambda row: not row.get("reason")),
        "told": _share(
            [row for row in ranked if row.get("told") is not None], lambda row: row["told"]
        ),
        "accuracy": _scored(typed, accuracy_score),
        "macro_f1": _scored(typed, macro_f1),
        "hit@1": _share(ranked, lambda row: row["rank"] == 1),
        "hit@5": _share(ranked, lambda row: 1 <= row["rank"] <= FIVE),
        "credit": _mean(rows, "credit"),
        "step": _mean(rows, "step"),
        "step_by_chance": _mean(rows, "step_by_chance"),
        "mood": _share(
            [row for row in rows if row.get("mood")], lambda row: row["mood"] == row["mood_said"]
        ),
        "topic": _share(
            [row for row in rows if row.get("topic")], lambda row: row["topic"] == row["topic_said"]
        ),
        "known": _mean(rows, "known"),
        "evidence": _share(answered, lambda row: row["evidence"]),
        "chinese": _share(
            [row for row in answered if row["chinese"] is not None], lambda row: row["chinese"]
        ),
    }


def _share(rows: Sequence[Row], holds: Callable[[Row], bool]) -> float | None:
    return sum(map(bool, map(holds, rows))) / len(rows) if rows else None


def _mean(rows: Sequence[Row], name: str) -> float | None:
    """Return the mean of a figure over the rows that have it, or None."""
    found = [float(row[name]) for row in rows if row.get(name) is not None]
    return sum(found) / len(found) if found else None


def _scored(rows: Sequence[Row], score: Callable[..., float]) -> float | None:
    return (
        float(score([row["error_type"] for row in rows], [row["said"] for row in rows]))
        if rows
        else None
    )


def macro_f1(right: list[str], said: list[str]) -> float:
    """Return the macro-F1 of the kinds of error that people chose.

    An answer with another kind misses the right one.
    """
    return float(f1_score(right, said, average="macro", labels=sorted(set(right)), zero_division=0))
