"""`edugraph sources test`: what would become of a file of a source, and what of it the graph knows."""

import json
from collections.abc import Iterable, Iterator

from edugraph_cli.display import print_table, say
from edugraph_cli.dry_run import print_outcomes
from edugraph_client import Client
from edugraph_common.contracts.api import NamedNodes
from edugraph_common.contracts.records import escaped
from edugraph_common.sources.source_trial import SourceTrial

MOST_BYTES = 8 << 20  # of a file are sent
# A request about the graph has at most 64 KiB; the last id or title may be long.
_BYTES_AT_ONCE = 32 << 10
_MOST_WARNINGS = 20


def known_nodes(client: Client, named: NamedNodes) -> NamedNodes:
    """Return those of these nodes that are in the graph. Raises Refused and Unreachable."""
    found = NamedNodes()
    for part in _parts(named):
        known = client.known_nodes(part)
        found = NamedNodes(
            students=found.students + known.students,
            teachers=found.teachers + known.teachers,
            courses=found.courses + known.courses,
            points=found.points + known.points,
            item_titles=found.item_titles | known.item_titles,
        )
    return found


def _parts(named: NamedNodes) -> Iterator[NamedNodes]:
    """Yield the nodes in parts that each fit into a request."""
    for field in ("students", "teachers", "courses", "points"):
        for ids in _batches((each, each) for each in getattr(named, field)):
            yield NamedNodes.model_validate({field: list(ids)})
    for titles in _batches(named.item_titles.items()):
        yield NamedNodes(item_titles=titles)


def _batches(pairs: Iterable[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """Yield pairs of texts as dictionaries that are small enough for one request."""
    batch: dict[str, str] = {}
    size = 0
    for name, value in pairs:
        batch[name] = value
        size += len(json.dumps([name, value]))
        if size > _BYTES_AT_ONCE:
            yield batch
            batch = {}
            size = 0
    if batch:
        yield batch


def print_trial(file_name: str, trial: SourceTrial, known: NamedNodes | None) -> None:
    """Print a trial. Without `known`, say that the graph was not asked."""
    say(f"{file_name} as a file of the source {trial.source}: {trial.format}; nothing was written")
    report = trial.report
    if not report.complete:
        say(f"The first {report.read:,} rows were read, and not the whole file.")
    print_outcomes(report)
    print_table("Texts that an analysis may read", {"texts": trial.texts})
    named = trial.named
    if known is None:
        counts = {
            "students": len(named.students),
            "teachers": len(named.teachers),
            "courses": len(named.courses),
            "knowledge points": len(named.points),
        }
        print_table("Named in these rows", counts)
        say("Whether the graph knows them was not asked: that needs the scopes read and personal.")
        return
    table = {
        "students": _known_and_new(named.students, known.students),
        "teachers": _known_and_new(named.teachers, known.teachers),
        "courses": _known_and_new(named.courses, known.courses),
        "knowledge points": _known_and_new(named.points, known.points),
    }
    print_table("Named in these rows", table)
    other_titles = []
    for item_id, title in named.item_titles.items():
        in_graph = known.item_titles.get(item_id, title)
        if in_graph != title:
            other_titles.append(
                f"The item {item_id} has the title {title} here, and {in_graph} in the graph."
            )
    for sentence in other_titles[:_MOST_WARNINGS]:
        say(escaped(sentence))
    if len(other_titles) > _MOST_WARNINGS:
        say(f"{len(other_titles) - _MOST_WARNINGS} more items have another title in the graph.")


def _known_and_new(named: tuple[str, ...], known: tuple[str, ...]) -> str:
    known_ids = set(known)
    number = sum(each in known_ids for each in named)
    return f"{number} known, {len(named) - number} new"
