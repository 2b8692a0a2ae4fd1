"""The verdicts of reviewers about findings. They are stored by the record's id, and apply to one text of the record.

A reviewed record has a node ReviewedRecord, whether the record itself is in the graph or not. The property `verdicts`
of this node has the stamp of the last review, by hash of the text, aspect and target. The verdicts about the record's
present text are copied to the record, without the reviewers. So the node of the record alone decides which parts
of its finding count.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import neo4j

from edugraph_common.contracts.findings import kind_of_finding
from edugraph_common.contracts.records import Record, iso
from edugraph_common.contracts.reviews import ASPECTS_OF_KIND, FindingReview, Review, text_hash
from edugraph_importer.graph.queries import CYPHER

_Kept = dict[str, dict[str, dict[str, str]]]  # hash of the text -> aspect -> target -> stamp


def stamp(review: Review) -> str:
    """Return a text that sorts as (time, reviewer, verdict). The review with the greatest stamp decides."""
    return f"{iso(review.at)}|{review.by}|{review.verdict}"


def merged(kept: str | None, reviews: Iterable[FindingReview]) -> str:
    """Return the `verdicts` of a ReviewedRecord after these reviews. All reviews are about this record."""
    verdicts: _Kept = json.loads(kept) if kept else {}
    for review in reviews:
        targets = verdicts.setdefault(review.text_hash, {}).setdefault(review.aspect, {})
        targets[review.target] = max(targets.get(review.target, ""), stamp(review))
    return _text(verdicts)


def applied(kept: str | None, record: Record) -> str | None:
    """Return the `verdicts` of a record: verdict -> aspect -> targets in the order of the reviews, as JSON.

    Withdrawn verdicts are left out, and those about an aspect that a finding in this record cannot have: nobody can
    make a mistake of an answer without an outcome. Return None if no others are left.
    """
    kind = kind_of_finding(record)
    if kept is None or kind is None:
        return None
    stamps_by_aspect = json.loads(kept).get(text_hash(record))
    if not stamps_by_aspect:
        return None
    said: dict[str, dict[str, list[str]]] = {
        "accepted": defaultdict(list),
        "rejected": defaultdict(list),
    }
    for aspect, stamps in stamps_by_aspect.items():
        if aspect not in ASPECTS_OF_KIND[kind]:
            continue
        in_order = sorted((last_stamp, target) for target, last_stamp in stamps.items())
        for last_stamp, target in in_order:
            verdict = last_stamp.rpartition("|")[2]
            if verdict in said:
                said[verdict][aspect].append(target)
    if not any(said.values()):
        return None
    return _text(said)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class RecordVerdicts:
    """The verdicts about some records before this transaction. The nodes ReviewedRecord that were found are locked.

    `number` is the number of all records that were ever reviewed.
    """

    def __init__(self, tx: neo4j.Transaction, record_ids: Collection[str], number: int) -> None:
        self._kept: dict[
            str, str
        ] = {}  # record id -> the property `verdicts` of its ReviewedRecord
        self.without: list[str] = []
        if number == 0 or not record_ids:
            return
        ids = sorted(set(record_ids))
        self._kept = {
            row["id"]: row["verdicts"] for row in tx.run(CYPHER["lock_reviewed"], ids=ids)
        }
        self.without = [record_id for record_id in ids if record_id not in self._kept]

    def of(self, record: Record) -> str | None:
        return applied(self._kept.get(record.record_id), record)
