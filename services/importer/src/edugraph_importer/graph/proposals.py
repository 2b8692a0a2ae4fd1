"""Which knowledge points may mean the same, as a sentence encoder guesses from their names (docs/adr/0068).

A proposal is a relationship between two points, from the smaller id to the greater. It changes nothing else: no
class, no answer, no digest. A comparison replaces all proposals of the one before, but for those that somebody
decided, whose verdict is shown beside them and can be taken back. What was decided or merged is not proposed again.

When names were compared is noted on a node of its own, which also lets one transaction at a time write proposals.
"""

from collections.abc import Sequence

import neo4j

from edugraph_common.contracts.messages import ProposedPair
from edugraph_importer.graph import migrations
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Pair
from edugraph_importer.graph.unit_of_work import run_rows

SECONDS_BETWEEN = 60  # at least, from one comparison that an import asks for to the next
LOST_SECONDS = 600  # after which a comparison that was asked for and not begun is asked for again


def ask(tx: neo4j.Transaction, now: float) -> int | None:
    """Return in how many seconds names are to be compared, and note that they will be; None if nobody needs to ask.

    There is no need if there are as many points as at the last comparison, or if somebody else asked. `now`: seconds
    since 1970.
    """
    last = _lock(tx)
    if last["points"] == count(tx) or (last["asked_until"] or 0) > now:
        return None
    delay = max(0, int((last["at"] or 0) + SECONDS_BETWEEN - now) + 1) if last["at"] else 0
    tx.run(CYPHER["ask_for_comparison"], until=now + delay + LOST_SECONDS).consume()
    return delay


def note_comparison(tx: neo4j.Transaction, points: int, now: float) -> None:
    """Note that the names of the points were sent to be compared when there were so many."""
    _lock(tx)
    tx.run(CYPHER["note_comparison"], points=points, at=now).consume()


def count(tx: neo4j.Transaction) -> int:
    return int(tx.run(CYPHER["count_points"]).single(strict=True)["points"])


def write(tx: neo4j.Transaction, encoder: str | None, compared: int, pairs: Sequence[ProposedPair]) -> int:
    """Propose these pairs in place of those that nobody decided, and return how many are proposed now.

    Without an encoder nothing was compared: what was proposed before stays.
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
    # What is proposed as before is not written again: it would lock the points while an import may want them.
    run_rows(tx, "propose", [row for row in rows if not _is_stored(row, stored)])
    return len(rows) + len(decided)


def _is_stored(row: Row, stored: dict[Pair, Row]) -> bool:
    before = stored.get((row["from"], row["to"]))
    return before is not None and (before["likeness"], before["encoder"]) == (row["likeness"], row["encoder"])


def _lock(tx: neo4j.Transaction) -> neo4j.Record:
    """Let no other transaction compare or propose, and return what is known of the last comparison.

    Raises what `migrations.check_graph` raises.
    """
    migrations.check_graph(tx)
    return tx.run(CYPHER["lock_comparison"]).single(strict=True)
