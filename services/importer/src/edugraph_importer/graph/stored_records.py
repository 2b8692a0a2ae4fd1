"""The stored side of a record's finding: the record as it is read back, and the verdicts of reviewers.

Verdicts are stored by the record's id, and apply to one text of the record. A reviewed record has a node
ReviewedRecord, whether the record itself is in the graph or not. The property `verdicts` of this node has the stamp
of the last review, by hash of the text, aspect and target. The verdicts about the record's present text are copied to
the record, without the reviewers. So the node of the record alone decides which parts of its finding count.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import neo4j

from edugraph_common.contracts.findings import kind_of_finding
from edugraph_common.contracts.records import DATA_OF_TYPE, Record, iso
from edugraph_common.contracts.reviews import (
    ASPECTS_OF_KIND,
    TEXTS_OF_TYPE,
    FindingReview,
    Review,
    text_hash,
)
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.statements import CYPHER

# Record type -> the fields beside texts that are stored as properties of the record's node.
_OTHER_FIELDS = {
    "attempt_record": ("correct", "score"),
    "error_record": ("occurrence_count", "severity", "resolved"),
}


def stored_records(
    tx: neo4j.Transaction, label: str, record_ids: Sequence[str]
) -> dict[str, Record]:
    """Return id -> record for these records, which must be locked. `stored_record` says which fields they have.

    Raises StaleRead if one of them is missing, because another transaction has removed it.
    """
    links: dict[str, list[neo4j.Record]] = defaultdict(list)
    for link in tx.run(CYPHER[f"links_of_{label}"], ids=record_ids):
        links[link["record"]].append(link)
    rows = tx.run(CYPHER[f"reviewed_records_{label}"], ids=record_ids)
    records = {row["id"]: stored_record(row["properties"], links[row["id"]]) for row in rows}
    if records.keys() != set(record_ids):
        raise StaleRead
    return records


def stored_record(
    properties: Mapping[str, Any], links: Sequence[Mapping[str, Any] | neo4j.Record]
) -> Record:
    """Return a record with the fields that matter for its finding: texts, people, courses and stated names."""
    record_type = properties["record_type"]
    ends: dict[str, list[str]] = defaultdict(list)  # relationship type -> ids at its ends
    stated: dict[str, list[str]] = {}  # id of a topic or an error type -> its names in the record
    for link in links:
        ends[link["type"]].append(link["end"])
        if link["type"] in ("OF_TYPE", "ABOUT") and link["stated"] is not None:
            stated[link["end"]] = link["stated"]

    # No model reads an action, so it has no texts here.
    texts = TEXTS_OF_TYPE.get(record_type, ())
    others = _OTHER_FIELDS.get(record_type, ())
    kept = (*texts, *others)
    given: dict[str, Any] = {name: properties.get(name) for name in kept}
    match record_type:
        case "student_interaction":
            given["student_id_from"] = ends["SENT"][0]
            given["student_id_to"] = ends["RECEIVED_BY"][0]
            given["topics"] = tuple(chain.from_iterable(stated.values()))
        case "post_record":
            given["student_id"] = ends["SENT"][0]
        case "teacher_interaction" | "action_record":
            given["teacher_id"] = ends["SENT"][0]
            given["student_id"] = ends["RECEIVED_BY"][0]
        case "error_record":
            given["student_id"] = ends["MADE"][0]
            for error_type, names in stated.items():
                given["error_type_id"] = error_type
                given["error_type"] = next(iter(names), None)
        case "attempt_record":
            given["student_id"] = ends["TRIED"][0]
            given["item_id"] = ends["OF_ITEM"][0]
    if record_type in ("error_record", "attempt_record"):
        given["course_ids"] = tuple(sorted(ends["IN_COURSE"]))
    else:
        given["course_id"] = next(iter(ends["IN_COURSE"]), None)

    # Fields without a value are left out, as in the imported record. So a missing `resolved` stays unset.
    fields = {name: value for name, value in given.items() if value is not None}
    return Record.model_construct(
        type=record_type,
        timestamp=properties["timestamp"].to_native(),
        record_id=properties["id"],
        data=DATA_OF_TYPE[record_type].model_construct(**fields),
    )


_Kept = dict[str, dict[str, dict[str, str]]]  # hash of the text -> aspect -> target -> stamp


def stamp(review: Review) -> str:
    """Return a text that sorts as (time, reviewer, verdict). The review with the greatest stamp decides."""
    return f"{iso(review.at)}|{review.by}|{review.verdict}"


def merged_verdicts(kept: str | None, reviews: Iterable[FindingReview]) -> str:
    """Return the `verdicts` of a ReviewedRecord after these reviews. All reviews are about this record."""
    verdicts: _Kept = json.loads(kept) if kept else {}
    for review in reviews:
        targets = verdicts.setdefault(review.text_hash, {}).setdefault(review.aspect, {})
        targets[review.target] = max(targets.get(review.target, ""), stamp(review))
    return _text(verdicts)


def applied_verdicts(kept: str | None, record: Record) -> str | None:
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
        return applied_verdicts(self._kept.get(record.record_id), record)
