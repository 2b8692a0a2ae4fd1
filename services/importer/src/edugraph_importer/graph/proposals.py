"""Proposals: pairs of knowledge points that may mean the same. A sentence encoder finds them by name (docs/adr/0068).

A proposal is a relationship between two points, from the smaller id to the greater. It changes nothing else: no
class, no answer, no digest. Each comparison replaces all proposals of the one before, except the decided ones: their
verdict is shown with them and can be withdrawn. A pair that was decided or merged is not proposed again.

A node notes the time of the last comparison. It is also the lock that lets one transaction at a time write proposals.
"""

from collections.abc import Sequence

import neo4j

from edugraph_common.contracts.messages import ProposedPair
from edugraph_importer.graph import migrations
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Pair
from edugraph_importer.graph.unit_of_work import run_rows

SECONDS_BETWEEN = 60  # the shortest time between two comparisons that imports ask for
# After this time a comparison that was requested but has not begun is requested again
LOST_SECONDS = 600


def ask(tx: neo4j.Transaction, now: float) -> int | None:
    """Return the seconds until the caller has to request a comparison, and note this. Return None if none is needed.

    No comparison is needed if the number of points has not changed since the last one, or if another caller has
    requested one. `now` is in seconds since 1970.
    """
    last = _lock(tx)
    is_requested = (last["asked_until"] or 0) > now
    if last["points"] == count(tx) or is_requested:
        return None
    delay = 0
    if last["at"]:
        delay = max(0, int(last["at"] + SECONDS_BETWEEN - now) + 1)
    tx.run(CYPHER["ask_for_comparison"], until=now + delay + LOST_SECONDS).consume()
    return delay


def note_comparison(tx: neo4j.Transaction, points: int, now: float) -> None:
    """Note that the names of points were sent for comparison, and the number of points then."""
    _lock(tx)
    tx.run(CYPHER["note_comparison"], points=points, at=now).consume()


def count(tx: neo4j.Transaction) -> int:
    return int(tx.run(CYPHER["count_points"]).single(strict=True)["points"])


def write(
    tx: neo4j.Transaction, encoder: str | None, compared: int, pairs: Sequence[ProposedPair]
) -> int:
    """Replace the undecided proposals by these pairs. Return the number of proposals now.

    Without an encoder nothing was compared, so the former proposals stay.
    """
    _lock(tx)
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


def _lock(tx: neo4j.Transaction) -> neo4j.Record:
    """Take the lock of comparisons and proposals, and return the state of the last comparison.

    Raises the errors of `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    return tx.run(CYPHER["lock_comparison"]).single(strict=True)
