"""Reviews of people about the graph, and proposals of pairs to review.

Each review is a node. Among the reviews about one thing the one with the greatest stamp decides, in whatever order
they arrive. Everything that follows from a review is updated with it.

Proposals are pairs of knowledge points that may mean the same. A sentence encoder finds them by name (docs/adr/0068).
A proposal is a relationship between two points, from the smaller id to the greater. It changes nothing else: no
class, no answer, no digest. Each comparison replaces all proposals of the one before, except the decided ones: their
verdict is shown with them and can be withdrawn. A pair that was decided or merged is not proposed again.
A node notes the time of the last comparison. It is also the lock that lets one transaction at a time write proposals.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter

import neo4j

from edugraph_common.contracts.messages import ProposedPair
from edugraph_common.contracts.records import iso
from edugraph_common.contracts.reviews import (
    LABEL_OF,
    FindingReview,
    ItemReview,
    PairReview,
    PairVerdict,
    PrerequisiteReview,
    Review,
    Verdict,
)
from edugraph_importer.graph import finding_facts, migrations, prerequisites, resolver
from edugraph_importer.graph.apply import apply, begin
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.finding_facts import FindingUpdate
from edugraph_importer.graph.groups import LeaderNotes
from edugraph_importer.graph.model import Node, Pair
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.stored_records import (
    applied_verdicts,
    merged_verdicts,
    stamp,
    stored_records,
)
from edugraph_importer.graph.unit_of_work import (
    TestsSaid,
    delete_orphans,
    lock_and_load,
    tests_row,
    write_changed_state,
)
from edugraph_importer.graph.versions import Classified, StoredVersion, hold_keys, stored_versions

SECONDS_BETWEEN_COMPARISONS = 60  # the shortest time between two comparisons that imports ask for
# After this time a comparison that was requested but has not begun is requested again.
LOST_COMPARISON_SECONDS = 600

# Verdict -> the property `same` of JUDGED. A withdrawn verdict has no `same` but keeps its time, so that an older
# verdict that arrives later does not count.
_SAME: Mapping[PairVerdict, bool | None] = {"same": True, "different": False, "withdrawn": None}

# Verdict -> the property `accepted` of JUDGED_NEED.
_ACCEPTED: Mapping[Verdict, bool | None] = {"accepted": True, "rejected": False, "withdrawn": None}

_TEXT_LABELS = ("Attempt", "CourseContent", "ErrorRecord", "Interaction")


def write_of_pairs(tx: neo4j.Transaction, reviews: Sequence[PairReview], wanted: set[Node]) -> None:
    """Write reviews of pairs. The last review of each pair decides.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised. Raises the errors of
    `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    judged: set[Node] = set()
    # label -> pair with the smaller id first -> its last review
    last: dict[str, dict[Pair, PairReview]] = defaultdict(dict)
    for review in sorted(reviews, key=stamp):
        label = LABEL_OF[review.of]
        smaller, larger = sorted(review.pair)
        last[label][smaller, larger] = review
        judged |= {(label, smaller), (label, larger)}
    unit = lock_and_load(tx, judged | wanted, ())
    for label in LABEL_OF.values():
        rows: list[Row] = []
        for (smaller, larger), review in sorted(last[label].items(), key=itemgetter(0)):
            same = _SAME[review.verdict]
            rows.append({"from": smaller, "to": larger, "stamp": stamp(review), "same": same})
        if not rows:
            continue
        for row in tx.run(CYPHER[f"judge_{label}"], rows=rows):
            if row["is_new"]:
                unit.name_states[label, row["from"]].verdicts += 1
                unit.name_states[label, row["to"]].verdicts += 1
    moved_points = resolver.resolve(tx, unit, judged, wanted)
    write_changed_state(tx, unit)
    delete_orphans(tx, wanted)
    prerequisites.note_moved_points(tx, moved_points, job_id="")
    keep_reviews(tx, reviews)


def write_of_items(tx: neo4j.Transaction, reviews: Sequence[ItemReview]) -> None:
    """Write reviews of whether items test points. The last review of each item and point decides.

    Raises the errors of `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    last: dict[Pair, TestsSaid] = {}
    nodes: set[Node] = set()
    for review in sorted(reviews, key=stamp):
        last[review.item_id, review.knowledge_point] = TestsSaid(stamp(review))
        nodes |= {("Item", review.item_id), ("KnowledgePoint", review.knowledge_point)}
    unit = lock_and_load(tx, nodes, (), last)
    tested: list[Row] = []
    not_tested: list[Row] = []
    for pair, said in sorted(last.items()):
        said_before = unit.tests_said.get(pair)
        if said_before is not None and said_before.stamp >= said.stamp:
            continue
        counts = unit.item_names.tests[pair]
        rows = tested if said.is_tested(counts) else not_tested
        rows.append(tests_row(pair, counts, said))
    run_rows(tx, "remove_tests", [*tested, *not_tested])
    run_rows(tx, "set_tests", tested)
    run_rows(tx, "set_not_tests", not_tested)
    keep_reviews(tx, reviews)


def write_of_prerequisites(tx: neo4j.Transaction, reviews: Sequence[PrerequisiteReview]) -> None:
    """Write reviews of prerequisites, and note that claims changed. The last reviews decide at the next settling.

    Raises the errors of `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    last = {(review.point, review.requires): review for review in sorted(reviews, key=stamp)}
    points = set(chain.from_iterable(last))
    lock_and_load(tx, {("KnowledgePoint", point) for point in points}, ())
    rows: list[Row] = []
    for (point, required), review in sorted(last.items(), key=itemgetter(0)):
        row: Row = {"from": point, "to": required, "stamp": stamp(review)}
        row["accepted"] = _ACCEPTED[review.verdict]
        rows.append(row)
    run_rows(tx, "judge_needs", rows)
    tx.run(CYPHER["note_claim_change"], job_id="").consume()
    keep_reviews(tx, reviews)


def write_of_records(
    tx: neo4j.Transaction, reviews: Sequence[FindingReview], wanted: set[Node], leaders: LeaderNotes
) -> None:
    """Write reviews of findings, and apply them to the records that still have the reviewed texts.

    Raises the errors of `migrations.check_version`.
    """
    before, _ = begin(tx, "FindingsPack", "")
    of_record: dict[str, list[FindingReview]] = defaultdict(list)
    for review in reviews:
        of_record[review.record_id].append(review)
    stored = stored_versions(tx, of_record)
    rows = list(tx.run(CYPHER["hold_reviewed"], ids=sorted(of_record)))
    kept: dict[str, str] = {}
    for row in rows:
        record_id = row["id"]
        kept[record_id] = merged_verdicts(row["verdicts"], of_record[record_id])
    keep_reviews(tx, reviews)
    reviewed_rows: list[Row] = []
    for record_id, verdicts in kept.items():
        review_ids = [review.review_id for review in of_record[record_id]]
        reviewed_rows.append({"id": record_id, "verdicts": verdicts, "reviews": review_ids})
    run_rows(tx, "set_reviewed", reviewed_rows)
    updates = _updates(tx, stored, kept)
    # This transaction itself has created reviewed records. So the check must not take them for the first reviews.
    before = replace(before, reviewed=max(before.reviewed, len(rows)))
    apply(tx, Classified(), updates, before, unreviewed=(), wanted=wanted, leaders=leaders)
    hold_keys(tx, sorted(of_record.keys() - stored.keys()))


def keep_reviews(tx: neo4j.Transaction, reviews: Sequence[Review]) -> None:
    rows: list[Row] = []
    for review in reviews:
        properties = review.model_dump(mode="json")
        properties["at"] = iso(review.at)
        rows.append({"id": review.review_id, "p": properties})
    run_rows(tx, "create_reviews", rows)


def _updates(
    tx: neo4j.Transaction, stored: Mapping[str, StoredVersion], kept: Mapping[str, str]
) -> list[FindingUpdate]:
    """Lock the records that are in the graph, and return the updates of their findings."""
    updates = []
    for label in _TEXT_LABELS:
        hashes: dict[str, str] = {}
        for record_id, version in stored.items():
            if version.label == label:
                hashes[record_id] = version.content_hash
        if not hashes:
            continue
        ids = sorted(hashes)
        row = tx.run(CYPHER[f"lock_records_{label}"], ids=ids).single(strict=True)
        locked_hashes = {record_id: properties[2] for record_id, properties, *_ in row["records"]}
        if locked_hashes != hashes:
            raise StaleRead
        records = stored_records(tx, label, ids)
        for record_id, _, finding, said_before, *_ in row["records"]:
            record = records[record_id]
            said = applied_verdicts(kept[record_id], record)
            if said == said_before:
                continue
            old = finding_facts.facts_of_stored(finding, label, said_before)
            new = finding_facts.facts_of_stored(finding, label, said)
            updates.append(FindingUpdate(record, old, new, finding, said))
    return updates


def ask_for_comparison(tx: neo4j.Transaction, now: float) -> int | None:
    """Return the seconds until the caller has to request a comparison, and note this. Return None if none is needed.

    No comparison is needed if the number of points has not changed since the last one, or if another caller has
    requested one. `now` is in seconds since 1970.
    """
    last = _lock_comparison(tx)
    is_requested = (last["asked_until"] or 0) > now
    if last["points"] == count_points(tx) or is_requested:
        return None
    delay = 0
    if last["at"]:
        delay = max(0, int(last["at"] + SECONDS_BETWEEN_COMPARISONS - now) + 1)
    tx.run(CYPHER["ask_for_comparison"], until=now + delay + LOST_COMPARISON_SECONDS).consume()
    return delay


def note_comparison(tx: neo4j.Transaction, points: int, now: float) -> None:
    """Note that the names of points were sent for comparison, and the number of points then."""
    _lock_comparison(tx)
    tx.run(CYPHER["note_comparison"], points=points, at=now).consume()


def count_points(tx: neo4j.Transaction) -> int:
    return int(tx.run(CYPHER["count_points"]).single(strict=True)["points"])


def write_proposals(
    tx: neo4j.Transaction, encoder: str | None, compared: int, pairs: Sequence[ProposedPair]
) -> int:
    """Replace the undecided proposals by these pairs. Return the number of proposals now.

    Without an encoder nothing was compared, so the former proposals stay.
    """
    _lock_comparison(tx)
    tx.run(CYPHER["note_proposals"], encoder=encoder, compared=compared).consume()
    stored: dict[Pair, Row] = {}
    for row in tx.run(CYPHER["stored_proposals"]):
        stored[row["from"], row["to"]] = row.data()
    if encoder is None:
        return len(stored)
    decided = {pair for pair, row in stored.items() if row["decided"]}
    wanted: dict[Pair, Row] = {}
    for proposed in pairs:
        smaller, larger = sorted(proposed.pair)
        if (smaller, larger) not in decided:
            properties = {"likeness": proposed.likeness, "encoder": encoder}
            wanted[smaller, larger] = {"from": smaller, "to": larger, **properties}
    if wanted:
        rows = [wanted[pair] for pair in sorted(wanted)]
        for row in tx.run(CYPHER["decided_elsewhere"], rows=rows):
            wanted.pop((row["from"], row["to"]), None)

    removed = sorted(stored.keys() - decided - wanted.keys())
    run_rows(
        tx, "remove_proposals", [{"from": smaller, "to": larger} for smaller, larger in removed]
    )
    # Unchanged proposals are not written again, since that would lock points that an import may need.
    run_rows(
        tx,
        "propose",
        [wanted[pair] for pair in sorted(wanted) if not _is_stored(wanted[pair], stored)],
    )
    return len(wanted) + len(decided)


def _is_stored(row: Row, stored: dict[Pair, Row]) -> bool:
    before = stored.get((row["from"], row["to"]))
    return before is not None and (before["likeness"], before["encoder"]) == (
        row["likeness"],
        row["encoder"],
    )


def _lock_comparison(tx: neo4j.Transaction) -> neo4j.Record:
    """Take the lock of comparisons and proposals, and return the state of the last comparison.

    Raises the errors of `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    return tx.run(CYPHER["lock_comparison"]).single(strict=True)
