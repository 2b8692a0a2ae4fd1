"""What reviewers said of the findings of records: kept by the record's id, and applied to its text.

A record that was reviewed has a node ReviewedRecord, whether it is there itself or not. Its `verdicts` are, by hash
of the text, aspect and target, the stamp of the last review. What applies to the text that a record has now is copied
to the record, without who said it, so that all that counts of a finding follows from the record's own node.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import neo4j

from edugraph_common.contracts.findings import kind_of_finding
from edugraph_common.contracts.records import Record, iso
from edugraph_common.contracts.reviews import FindingReview, Review, text_hash
from edugraph_importer.graph.queries import CYPHER

_Kept = dict[str, dict[str, dict[str, str]]]  # hash of the text -> aspect -> target -> stamp


def stamp(review: Review) -> str:
    """Return text that sorts as (time, reviewer, verdict): of the reviews of one thing the greatest decides."""
    return f"{iso(review.at)}|{review.by}|{review.verdict}"


def merged(kept: str | None, reviews: Iterable[FindingReview]) -> str:
    """Return the `verdicts` of a ReviewedRecord with these reviews, which are of one record."""
    verdicts: _Kept = json.loads(kept) if kept else {}
    for review in reviews:
        targets = verdicts.setdefault(review.text_hash, {}).setdefault(review.aspect, {})
        targets[review.target] = max(targets.get(review.target, ""), stamp(review))
    return _text(verdicts)


def applied(kept: str | None, record: Record) -> str | None:
    """Return the `verdicts` of a record: by verdict and aspect the targets, the last one that was said at the end.

    What was withdrawn is not among them; None where nothing else was said.
    """
    if kept is None or kind_of_finding(record) is None:
        return None
    of_text = json.loads(kept).get(text_hash(record))
    if not of_text:
        return None
    said: dict[str, dict[str, list[str]]] = {"accepted": defaultdict(list), "rejected": defaultdict(list)}
    for aspect, targets in of_text.items():
        for said_last, target in sorted((each, target) for target, each in targets.items()):
            if (verdict := said_last.rpartition("|")[2]) in said:
                said[verdict][aspect].append(target)
    return _text(said) if any(said.values()) else None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class RecordVerdicts:
    """What reviewers said of some records before this transaction. It holds a lock on what it found.

    `number`: of all records that were ever reviewed.
    """

    def __init__(self, tx: neo4j.Transaction, record_ids: Collection[str], number: int) -> None:
        ids = sorted(set(record_ids)) if number else []
        rows = tx.run(CYPHER["lock_reviewed"], ids=ids) if ids else ()
        self._kept = {row["id"]: row["verdicts"] for row in rows}
        self.without = [each for each in ids if each not in self._kept]

    def of(self, record: Record) -> str | None:
        return applied(self._kept.get(record.record_id), record)
