"""Compares the graph and the jobs of the day with the live requests that were sent. Nothing here reads a server."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from live_clients import Sent
from live_load import TYPE_OF, Fact

from edugraph_common.contracts.outcomes import ROW_COUNTS

# A problem with many requests shows some of them.
SHOWN = 3


class Found(NamedTuple):
    """A record in the graph. One with two students would be there twice."""

    label: str
    key: str
    student: str
    text: str


class Judged(NamedTuple):
    """The requests that are `there`, in the graph, and its `problems`."""

    there: list[Sent]
    problems: list[str]


def judge(sent: Sequence[Sent], found: Iterable[Found]) -> Judged:
    """Compare the records in the graph with what was sent.

    A request that was accepted is there once. One without a good answer is there once or not at all, and whole.
    """
    by_text: dict[str, list[Found]] = defaultdict(list)
    for record in found:
        by_text[record.text].append(record)
    wrong: dict[str, list[str]] = defaultdict(list)
    there = []
    for each in sent:
        records = [fact for fact in each.request.facts if fact.label]
        times = {len(by_text[fact.text]) for fact in records}
        if 0 not in times and (records or each.is_accepted):
            there.append(each)
        elif each.is_accepted:
            wrong["accepted statements are missing"] += _absent(records, by_text)
        elif times != {0}:
            wrong["requests are there in part"].append(records[0].text)
        for place, fact in enumerate(each.request.facts):
            in_graph = by_text.pop(fact.text, [])
            if len(in_graph) > 1:
                wrong["statements are there twice"].append(fact.text)
            if in_graph and not _is_right(in_graph[0], each, place):
                wrong["statements are there with another id, label or student"].append(fact.text)
    wrong["records were sent by nobody"] += list(by_text)
    return Judged(there, _as_problems(wrong))


def _absent(facts: Iterable[Fact], by_text: Mapping[str, list[Found]]) -> list[str]:
    return [fact.text for fact in facts if not by_text[fact.text]]


def _is_right(found: Found, sent: Sent, place: int) -> bool:
    fact = sent.request.facts[place]
    sent_id = fact.sent_id
    if sent.answer is not None:
        # The sender knows a statement by the id in the answer, also where it gave none.
        sent_id = sent.answer[place]
    has_right_key = sent_id is None or found.key == f"@{sent.request.source}/{sent_id}"
    has_given_id = fact.sent_id is None or fact.sent_id == sent_id
    is_of_student = (found.label, found.student) == (fact.label, fact.student)
    return has_right_key and has_given_id and is_of_student


def _as_problems(wrong: Mapping[str, list[str]]) -> list[str]:
    problems = []
    for name, texts in wrong.items():
        if texts:
            problems.append(f"{len(texts)} {name}: {', '.join(sorted(texts)[:SHOWN])}")
    return problems


def tries_of(sent: Iterable[Sent]) -> dict[str, tuple[int, int]]:
    """Return student -> the number of tries and of right ones among them, as the requests state them."""
    tries: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for each in sent:
        for fact in each.request.facts:
            if fact.right is not None:
                tries[fact.student] += 1
                right[fact.student] += fact.right
    return {student: (number, right[student]) for student, number in tries.items()}


def mistakes_of(sent: Iterable[Sent]) -> dict[str, int]:
    """Return student -> the number of mistakes with a type, as the requests state them."""
    mistakes: Counter[str] = Counter()
    for each in sent:
        for fact in each.request.facts:
            if fact.label == "ErrorRecord":
                mistakes[fact.student] += 1
    return dict(mistakes)


def count_problems(
    source: str, there: Iterable[Sent], reports: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Compare the jobs of the days of a source with what is in the graph.

    A record counts as written once, however often it came. Each row counts in one outcome. Nothing is set aside, and
    nothing has failed. An activity counts each time that it came, since it is not a record.
    """
    facts = [fact for each in there if each.request.source == source for fact in each.request.facts]
    records = Counter(TYPE_OF[fact.label] for fact in facts if fact.label)
    totals: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for report in reports:
        written.update({name: report["by_type"].get(name, 0) for name in TYPE_OF.values()})
        totals["not_relevant"] += sum(report["not_relevant"].values())
        for name in ("read", *ROW_COUNTS):
            totals[name] += report[name]
    problems = []
    for name in TYPE_OF.values():
        if written[name] != records[name]:
            problems.append(
                f"{source} counts {written[name]} {name}s as written, and {records[name]} are in the graph"
            )
    outcomes = totals["not_relevant"] + sum(totals[name] for name in ROW_COUNTS)
    if outcomes != totals["read"]:
        problems.append(f"{source} read {totals['read']} rows, and its outcomes are {outcomes}")
    if totals["read"] < len(facts):
        problems.append(f"{source} read {totals['read']} of {len(facts)} rows")
    for name in ("replaced", "older", "taken_back", "rejected", "failed", "not_relevant"):
        if totals[name]:
            problems.append(f"{source} counts {totals[name]} rows as {name}")
    return problems
