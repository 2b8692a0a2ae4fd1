"""Reviews: what people say of the graph is kept, and what follows from it is brought up to date.

All reviews are kept as nodes. Of those about one thing, the one with the greatest stamp decides, in whatever order
they come: a stamp is text that sorts as (time, reviewer, verdict).
"""

from collections.abc import Sequence

import neo4j

from edugraph_common.contracts.records import iso
from edugraph_common.contracts.reviews import LABEL_OF, PairReview, Review
from edugraph_importer.graph import migrations, resolver
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Node
from edugraph_importer.graph.unit_of_work import lock_and_load, run_rows, write_changed_state


def write(tx: neo4j.ManagedTransaction, reviews: Sequence[Review], wanted: set[Node]) -> None:
    """Keep reviews, and let the last ones decide. `wanted`: as `resolver.resolve` has it.

    Raises what `migrations.check_version` raises.
    """
    schema = tx.run(CYPHER["schema_version"]).single()
    migrations.check_version(schema["version"] if schema else None)
    pairs = [review for review in reviews if isinstance(review, PairReview)]
    judged = {(LABEL_OF[review.of], each) for review in pairs for each in review.pair}
    unit = lock_and_load(tx, judged | wanted, ())
    for of, label in LABEL_OF.items():
        last = {
            tuple(sorted(review.pair)): (stamp(review), review.verdict == "same")
            for review in sorted(pairs, key=stamp)
            if review.of == of
        }
        rows: list[Row] = [
            {"from": a, "to": b, "stamp": said, "same": same} for (a, b), (said, same) in sorted(last.items())
        ]
        for row in tx.run(CYPHER[f"judge_{label}"], rows=rows) if rows else ():
            for node_id in (row["from"], row["to"]) if row["is_new"] else ():
                unit.standings[label, node_id].verdicts += 1
    resolver.resolve(tx, unit, judged, wanted)
    write_changed_state(tx, unit)
    run_rows(tx, "create_reviews", [{"id": each.review_id, "p": properties(each)} for each in reviews])


def stamp(review: Review) -> str:
    return f"{iso(review.at)}|{review.by}|{review.verdict}"


def properties(review: Review) -> Row:
    said = review.model_dump(mode="json", exclude={"pair"}) | {"at": iso(review.at)}
    return said | {"pair": list(review.pair)}
