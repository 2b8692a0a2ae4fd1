"""In the example school each mistake counts once, also where its type is stated by id and found by name."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import ErrorFinding, RecordFinding, kind_to_read
from edugraph_common.contracts.records import ErrorRecord, Record, parse_record
from edugraph_insights.whole_graph import summary

from .random_imports import batch, pack

EXAMPLES = Path(__file__).parents[4] / "examples"
FILES = ("school_en.ndjson", "school_zh.ndjson", "courses.ndjson")
AT_ONCE = 100


@pytest.fixture(scope="module")
def school() -> tuple[list[Record], list[RecordFinding]]:
    lines = [
        line
        for name in FILES
        for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    ]
    records = list(
        {each.record_id: each for each in map(parse_record, map(json.loads, lines))}.values()
    )
    analyzer = RuleBasedAnalyzer()
    kinds = [(each, kind_to_read(each)) for each in records]
    return records, [
        analyzer.finding(read_document(each.to_json(), kind, [])) for each, kind in kinds if kind
    ]


def counted_once(records: list[Record], findings: list[RecordFinding]) -> dict[str, int]:
    """How many records are about each type, whose names are those of the one id that is called so."""
    ids_called: dict[str, set[str]] = defaultdict(set)
    stated: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if isinstance(data := record.data, ErrorRecord):
            name = canonical_name(data.error_type) if data.error_type else None
            if data.error_type_id and name:
                ids_called[name].add(data.error_type_id)
            if data.error_type_id or name:
                stated[record.record_id].add(data.error_type_id or str(name))
    for each in findings:
        if isinstance(each.finding, ErrorFinding):
            stated[each.record["record_id"]].update(
                canonical_name(found.name) for found in each.finding.error_types
            )
    mistakes: dict[str, int] = defaultdict(int)
    for types in stated.values():
        for one in {
            min(ids) if len(ids := ids_called.get(each, {each})) == 1 else each for each in types
        }:
            mistakes[one] += 1
    return dict(mistakes)


@pytest.mark.thorough
def test_a_mistake_counts_once(room: Any, school: tuple[list[Record], list[RecordFinding]]) -> None:
    """To take the guard out: let names never join ids."""
    records, findings = school
    room.empty()
    for number, start in enumerate(range(0, len(records), AT_ONCE)):
        room.graph.write_batch(batch(records[start : start + AT_ONCE], "school", number))
    for number, start in enumerate(range(0, len(findings), AT_ONCE)):
        room.graph.write_findings(pack(findings[start : start + AT_ONCE], "school", number))
    expected = counted_once(records, findings)
    query = "MATCH (e)-[:OF_TYPE]->(t:ErrorType) RETURN t.canonical AS type, count(DISTINCT e) AS mistakes"
    assert {row["type"]: row["mistakes"] for row in room.query(query)} == expected
    used = room.query("MATCH (t:ErrorType) WHERE EXISTS { (t)<-[:OF_TYPE]-() } RETURN t.id AS id")
    assert len(used) > len(expected)  # else this would show nothing
    with room.reading() as reader:
        assert summary(reader).nodes["ErrorType"] == len(expected)
