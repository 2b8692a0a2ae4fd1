"""Records that are read back from the graph, with the fields that matter for their findings."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import neo4j

from edugraph_common.contracts.records import DATA_OF_TYPE, Record
from edugraph_common.contracts.reviews import TEXTS_OF_TYPE
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.queries import CYPHER

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

    kept = (*TEXTS_OF_TYPE[record_type], *_OTHER_FIELDS.get(record_type, ()))
    given: dict[str, Any] = {name: properties.get(name) for name in kept}
    match record_type:
        case "student_interaction":
            given["student_id_from"] = ends["SENT"][0]
            given["student_id_to"] = ends["RECEIVED_BY"][0]
            given["topics"] = tuple(chain.from_iterable(stated.values()))
        case "post_record":
            given["student_id"] = ends["SENT"][0]
        case "teacher_interaction":
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
