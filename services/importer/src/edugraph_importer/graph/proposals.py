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
LOST_SECONDS = 600  # after this time a comparison that was requested but has not begun is requested again


def ask(tx: neo4j.Transaction, now: float) -> int | None:
    """Return the seconds until the caller has to request a comparison, and note this. Return None if none is needed.

    No comparison is needed if the number of points has not changed since the last one, or if another caller has
    requested one. `now` is in seconds since 1970.
    """
    last = _lock(tx)
    if last["points"] == count(tx) or (last["asked_until"] or 0) > now:
        return None
    delay = max(0, int((last["at"] or 0) + SECONDS_BETWEEN - now) + 1) if last["at"] else 0
    tx.run(CYPHER["ask_for_comparison"], until=now + delay + LOST_SECONDS).consume()
    return delay


def note_comparison(tx: neo4j.Transaction, points: int, now: float) -> None:
    """Note that the names of points were sent for comparison, and the number of points then."""
    _lock(tx)
    tx.run(CYPHER["note_comparison"], points=points, at=now).consume()


def count(tx: neo4j.Transaction) -> int:
    return int(tx.run(CYPHER["count_points"]).single(strict=True)["points"])


def write(tx: neo4j.Transaction, encoder: str | None, compared: int, pairs: Sequence[ProposedPair]) -> int:
    """Replace the undecided proposals by these pairs. Return the number of proposals now.

    Without an encoder nothing was compared, so the former proposals stay.
    """
    _lock(tx)
    tx.run(CYPHER["note_proposals"], encoder=encoder, compared=compared).consume()
    stored: dict[Pair, Row] = {(row["from"], row["to"]): row.data() for row in tx.run(CYPHER["stored_proposals"])}
    if encoder is None:
        return len(stored)
    wanted: dict[Pair, Row] = {
        (min(each.pair), max(each.pair)): {"likeness": each.likeness, "encoder": encoder} for each in pairs
    }
    decided = {pair for pair, row in stored.items() if row["decided"]}
    rows: list[Row] = [
        {"from": pair[0], "to": pair[1], **row} for pair, row in sorted(wanted.items()) if pair not in decided
    ]
    found = tx.run(CYPHER["decided_elsewhere"], rows=rows) if rows else ()
    elsewhere = {(row["from"], row["to"]) for row in found}
    rows = [row for row in rows if (row["from"], row["to"]) not in elsewhere]
    gone = stored.keys() - decided - {(row["from"], row["to"]) for row in rows}
    run_rows(tx, "remove_proposals", [{"from": a, "to": b} for a, b in sorted(gone)])
    # Unchanged proposals are not written again, since that would lock points that an import may need.
    run_rows(tx, "propose", [row for row in rows if not _is_stored(row, stored)])
    return len(rows) + len(decided)


def _is_stored(row: Row, stored: dict[Pair, Row]) -> bool:
    before = stored.get((row["from"], row["to"]))
    return before is not None and (before["likeness"], before["encoder"]) == (row["likeness"], row["encoder"])


def _lock(tx: neo4j.Transaction) -> neo4j.Record:
    """Take the lock of comparisons and proposals, and return the state of the last comparison.

    Raises the errors of `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    return tx.run(CYPHER["lock_comparison"]).single(strict=True)
