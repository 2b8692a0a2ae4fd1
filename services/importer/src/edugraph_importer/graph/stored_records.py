"""Records that are read back from the graph, with the fields that matter for their findings."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import neo4j

from edugraph_common.contracts.records import DATA_OF_TYPE, Record
from edugraph_common.contracts.reviews import TEXTS_OF_TYPE
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.queries import CYPHER


def stored_records(tx: neo4j.Transaction, label: str, record_ids: Sequence[str]) -> dict[str, Record]:
    """Return id -> record for these records, which must be locked. `stored_record` says which fields they have.

    Raises StaleRead if one of them is missing: the embedded engine holds no locks before the commit.
    """
    links: dict[str, list[neo4j.Record]] = defaultdict(list)
    for link in tx.run(CYPHER[f"links_of_{label}"], ids=record_ids):
        links[link["record"]].append(link)
    rows = tx.run(CYPHER[f"reviewed_records_{label}"], ids=record_ids)
    records = {row["id"]: stored_record(row["properties"], links[row["id"]]) for row in rows}
    if records.keys() != set(record_ids):
        raise StaleRead
    return records


def stored_record(properties: Mapping[str, Any], links: Sequence[Mapping[str, Any] | neo4j.Record]) -> Record:
    """Return a record with the fields that matter for its finding: texts, people, courses and stated names."""
    ends: dict[str, list[str]] = defaultdict(list)
    stated: dict[str, list[str]] = {}
    for link in links:
        ends[link["type"]].append(link["end"])
        if link["type"] in ("OF_TYPE", "ABOUT") and link["stated"] is not None:
            stated[link["end"]] = link["stated"]
    given: dict[str, Any] = {name: properties.get(name) for name in TEXTS_OF_TYPE[properties["record_type"]]}
    match properties["record_type"]:
        case "student_interaction":
            given |= {"student_id_from": ends["SENT"][0], "student_id_to": ends["RECEIVED_BY"][0]}
            given["topics"] = tuple(name for names in stated.values() for name in names)
        case "post_record":
            given["student_id"] = ends["SENT"][0]
        case "teacher_interaction":
            given |= {"teacher_id": ends["SENT"][0], "student_id": ends["RECEIVED_BY"][0]}
        case "error_record":
            given |= {"student_id": ends["MADE"][0], "course_ids": tuple(sorted(ends["IN_COURSE"]))}
            given |= {name: properties.get(name) for name in ("occurrence_count", "severity", "resolved")}
            for error_type, names in stated.items():
                given |= {"error_type_id": error_type, "error_type": names[0] if names else None}
        case "attempt_record":
            given |= {"student_id": ends["TRIED"][0], "item_id": ends["OF_ITEM"][0]}
            given |= {"course_ids": tuple(sorted(ends["IN_COURSE"]))}
            given |= {name: properties.get(name) for name in ("correct", "score")}
    if "course_ids" not in given:
        given["course_id"] = next(iter(ends["IN_COURSE"]), None)
    # Fields without a value are left out, as in the imported record. So a missing `resolved` stays unset.
    said = {name: value for name, value in given.items() if value is not None}
    return Record.model_construct(
        type=properties["record_type"],
        timestamp=properties["timestamp"].to_native(),
        record_id=properties["id"],
        data=DATA_OF_TYPE[properties["record_type"]].model_construct(**said),
    )
