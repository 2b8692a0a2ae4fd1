"""Records about students end when their retention is over, first their texts; what is left is right in every sum."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.findings import ErrorFinding, RecordFinding
from edugraph_common.contracts.records import Record, iso, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.contracts.school_records import ActivityRecord, MembershipRecord, TermRecord
from edugraph_importer.graph import Graph, RecordRetention
from edugraph_importer.graph.model import LABEL_OF_TYPE
from edugraph_importer.graph.versions import AGEING_LABELS, TOO_OLD

from .random_imports import (
    EXAMPLES,
    ORIGIN,
    batch,
    finding_lists,
    in_order,
    is_activity,
    latest_versions,
    pack,
    record_lists,
    versions_of,
)

DAYS = 2
KEPT_FROM = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)  # between the moments of the records
NOW = KEPT_FROM + timedelta(days=DAYS)
TEXTS = ("text", "title", "subject", "feedback", "question", "error_text", "response")
TEXTS_IN_FINDINGS = {"x"}  # the quote in random findings


def always() -> bool:
    return True


def keeping(room: Room, *, texts: int = 0, records: int = 0, now: datetime = NOW) -> Graph:
    """The same graph, whose records have a retention."""
    return Graph(room.settings, RecordRetention(texts, records, 90, 30, lambda: now))


def is_kept(record: Record) -> bool:
    if is_activity(record):
        return record.time[:10] >= iso(KEPT_FROM)[:10]
    return LABEL_OF_TYPE[record.type] not in AGEING_LABELS or record.time >= iso(KEPT_FROM)


def ended_memberships(records: Sequence[Record]) -> set[str]:
    """The records of each time in a group that is over: its latest record says when, or the latest of its term does."""
    terms, times = dict[str | None, datetime](), dict[Any, list[Any]]()
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, TermRecord) and data.ends:
            terms[data.term] = data.ends
        elif isinstance(data, MembershipRecord):
            key = (data.student_id, data.teacher_id, data.group_id, data.term, data.starts)
            times.setdefault(key, []).append(record)
    ended = [
        stated
        for (*_, term, _), stated in times.items()
        if (stated[-1].data.ends or terms.get(term, KEPT_FROM)) < KEPT_FROM
    ]
    return {record.record_id for stated in ended for record in stated}


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_the_graph_is_as_if_older_records_had_never_come(room: Room, data: st.DataObject) -> None:
    """Out: anything of `_remove` in retention.py, such as a label of AGEING_LABELS."""
    # Activity before midnight may reach into the first day that is kept, whose minutes stay.
    drawn = data.draw(versions_of(data.draw(record_lists())))
    records = [
        record for record in drawn if not (is_activity(record) and record.time[11:13] >= "20")
    ]
    findings = data.draw(finding_lists(latest_versions(records)))
    ended_ids = ended_memberships(latest_versions(records))
    kept, gone = list[Record](), list[Record]()
    for each in latest_versions(records):
        # An activity may have the id of a record.
        is_ended = each.record_id in ended_ids and not is_activity(each)
        (kept if is_kept(each) and not is_ended else gone).append(each)
    ids = {record.record_id for record in kept if not is_activity(record)}
    expected = in_order(room, kept, [each for each in findings if each.record["record_id"] in ids])

    in_order(room, records, findings)
    with closing(keeping(room, records=DAYS)) as graph:
        ended = graph.end_old_records(always)
        active = [(record.data, record.time[:10]) for record in gone]
        days = {
            (data.student_id, data.course_id, day)
            for data, day in active
            if isinstance(data, ActivityRecord)
        }
        assert ended.removed == sum(not is_activity(record) for record in gone) + len(days)
        assert ended.finished
        assert room.digest() == expected
        assert graph.derive_anew(repair=False)["wrong"] == {}
        assert graph.end_old_records(always) == (0, 0, 0, True)


@EXAMPLES
@given(data=st.data())
def test_texts_and_quotes_of_older_records_go_and_every_sum_stays(
    room: Room, data: st.DataObject
) -> None:
    """Out: a property in `blank`, `_without_quotes`, or `feedback_pairs`."""
    records = data.draw(record_lists())
    in_order(room, records, data.draw(finding_lists(records)))
    before = _properties(room)
    with closing(keeping(room, texts=DAYS)) as graph:
        graph.end_old_records(always)
        assert graph.derive_anew(repair=False)["wrong"] == {}
        assert graph.end_old_records(always) == (0, 0, 0, True)
    after, old = _properties(room), {record.record_id for record in records if not is_kept(record)}
    assert after.keys() == before.keys()
    for record_id, properties in after.items():
        if record_id not in old:
            assert properties == before[record_id]
            continue
        gone = {name for name in before[record_id] if name in (*TEXTS, "found_evidence")}
        assert before[record_id].keys() - properties.keys() == gone
        assert not TEXTS_IN_FINDINGS & set(str(properties.get("finding")).split('"'))
        same = properties.keys() - {"finding", "written"}
        assert {name: properties[name] for name in same} == {
            name: before[record_id][name] for name in same
        }


def _properties(room: Room) -> dict[str, dict[str, Any]]:
    query = "MATCH (n) WHERE labels(n)[0] IN $labels RETURN n.id AS id, properties(n) AS p"
    return {
        row["id"]: row["p"]
        for row in room.query(query, labels=[*AGEING_LABELS, "CourseContent", "Definition"])
    }


def mistake(timestamp: str) -> Record:
    data = {"student_id": "a", "course_id": "c", "error_text": "x"}
    return parse_record(
        {"type": "error_record", "timestamp": timestamp, "record_id": timestamp, "data": data}
    )


def test_older_records_are_refused_with_the_reason(room: Room, graph: Graph) -> None:
    """Out: `kept_from` in `_refusal`, or in write_findings. What defines an item has no age."""
    item = {
        "type": "item_record",
        "timestamp": "2020-01-01",
        "record_id": "i",
        "data": {"item_id": "i"},
    }
    active = {
        "type": "activity_record",
        "timestamp": "2026-01-01",
        "data": {"student_id": "a", "course_id": "c"},
    }
    records = [
        mistake("2026-01-02T01:29:59Z"),
        mistake("2026-01-02T01:30:00Z"),
        *map(parse_record, (item, active)),
    ]
    with closing(keeping(room, records=DAYS)) as keeper:
        outcome = keeper.write_batch(batch(records, "j", 0))
        assert (outcome.written, outcome.rejected, outcome.reasons) == (2, 2, {TOO_OLD: 2})
        assert outcome.errors[0].expected == "2026-01-02 or later"
        finding = RecordFinding(
            record=records[0].to_json(), finding=ErrorFinding(confidence=1.0), origin=ORIGIN
        )
        found = keeper.write_findings(pack([finding], "j", 0))
        assert (found.findings, found.failed) == (0, 1)
    assert [row["id"] for row in room.query("MATCH (n:ErrorRecord) RETURN n.id AS id")] == [
        "2026-01-02T01:30:00Z"
    ]
    assert graph.write_batch(batch(records[:1], "k", 0)).written == 1


def member(record_id: str, timestamp: str, **data: Any) -> Record:
    value = {"type": "membership_record", "timestamp": timestamp, "record_id": record_id}
    return parse_record({**value, "data": {"group_id": "g", "student_id": "a", **data}})


TERM = {"type": "term_record", "timestamp": "2025-01-01", "record_id": "t", "data": {"term": "t"}}
TIMES: dict[str, tuple[dict[str, Any], int]] = {
    "open": ({}, 1),
    "its term is unknown": ({"term": "u"}, 1),
    "its term is not over": ({"term": "t"}, 1),
    "over": ({"ends": "2026-01-02T01:29:59Z"}, 0),
    "not over": ({"ends": "2026-01-02T01:30:00Z"}, 1),
    "over before its term": ({"term": "t", "ends": "2026-01-01"}, 0),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_membership_ages_by_its_end(room: Room, graph: Graph, name: str) -> None:
    """Out: the end or the term in `ended_memberships` of groups.py, or `of_memberships`."""
    data, left = TIMES[name]
    term = parse_record({**TERM, "data": {"term": "t", "ends": "2026-02-01"}})
    graph.write_batch(batch([member("r", "2025-01-01", **data), term], "j", 0))
    with closing(keeping(room, records=DAYS)) as keeper:
        assert keeper.end_old_records(always) == (0, 1 - left, 0, True)
        left_nodes = [
            len(room.query(f"MATCH (n:{label}) RETURN n"))
            for label in ("Membership", "Group", "Student")
        ]
        assert left_nodes == [left] * 3
        over = {"data": {"term": "t", "ends": "2026-01-01"}, "timestamp": "2025-01-02"}
        keeper.write_batch(batch([parse_record({**TERM, **over})], "k", 0))
        ages_by_term = name == "its term is not over"
        assert keeper.end_old_records(always) == (0, int(ages_by_term), 0, True)


def test_the_end_of_a_membership_takes_its_beginning_along_whenever_it_comes(
    room: Room, graph: Graph
) -> None:
    """Out: let `ended_memberships` return the last of `stated` alone, or `_refusal` refuse an end of long ago."""
    began, ended = member("r1", "2025-01-01"), member("r2", "2025-02-01", ends="2025-02-01")
    other = member("r3", "2025-01-01", student_id="b")
    for order in ([began, ended], [ended, began]):
        room.empty()
        graph.write_batch(batch([other], "o", 0))
        alone = room.digest()
        with closing(keeping(room, records=DAYS)) as keeper:
            for number, record in enumerate(order):
                assert keeper.write_batch(batch([record], "j", number)).rejected == 0
            assert keeper.end_old_records(always) == (0, 2, 0, True)
        assert room.digest() == alone


def test_it_stops_when_there_is_no_time_and_goes_on_later(room: Room, graph: Graph) -> None:
    graph.write_batch(batch([mistake("2026-01-01")], "j", 0))
    with closing(keeping(room, records=DAYS)) as keeper:
        assert keeper.end_old_records(lambda: False) == (0, 0, 0, False)
        assert keeper.end_old_records(always) == (0, 1, 0, True)


@pytest.mark.parametrize("days", [{}, {"texts": 0, "records": 0}])
def test_by_default_nothing_ends(room: Room, graph: Graph, days: dict[str, int]) -> None:
    graph.write_batch(batch([mistake("1999-01-01")], "j", 0))
    digest = room.digest()
    with closing(keeping(room, **days)) as keeper:
        assert keeper.end_old_records(always) == (0, 0, 0, True)
    assert room.digest() == digest


def reviewed(graph: Graph, record_id: str) -> None:
    """Say something of a record, whether it is there or not, a long time ago: when it was said does not count."""
    said = {
        "record_id": record_id,
        "text_hash": text_hash(mistake("2026-01-01")),
        "by": "ann",
        "verdict": "accepted",
    }
    when = {"aspect": "error_type", "target": "sign", "at": "2020-01-01T00:00:00Z"}
    graph.write_reviews([FindingReview.model_validate({**said, **when})])


def test_what_was_said_of_a_record_that_is_missing_goes_after_its_time(
    room: Room, graph: Graph
) -> None:
    """Out: `stored`, or `missing_since` in _remove_orphans, set_reviewed or the comparison with it."""

    def after(days: int) -> int:
        with closing(keeping(room, now=NOW + timedelta(days=days))) as keeper:
            blanked, removed, orphans, finished = keeper.end_old_records(always)
        assert (blanked, removed, finished) == (0, 0, True)
        return orphans

    def left() -> list[str]:
        of_reviews = {row["id"] for row in room.query("MATCH (v:Review) RETURN v.record_id AS id")}
        held = {row["id"] for row in room.query("MATCH (h:ReviewedRecord) RETURN h.id AS id")}
        assert of_reviews == held
        return sorted(held)

    def record(record_id: str) -> Record:
        return mistake("2026-01-01").model_copy(update={"record_id": record_id})

    names = ["again", "late", "never", "there"]
    for name in names:
        reviewed(graph, name)
    graph.write_batch(batch([record("there")], "j", 0))
    assert [after(0), after(89)] == [0, 0]
    graph.write_batch(batch([record("late")], "j", 1))
    reviewed(graph, "again")
    assert (left(), after(91), left()) == (names, 1, ["again", "late", "there"])
    graph.write_batch(batch([], "j", 2, ["late", "there"]))
    assert [after(92), after(181), after(183)] == [0, 0, 3]
    assert left() == []


def test_a_record_that_comes_while_its_reviews_are_to_go_keeps_them(
    room: Room, graph: Graph
) -> None:
    """Out: `stored` in `_remove_orphans`. The statement before saw that it was missing."""
    reviewed(graph, "r")
    with closing(keeping(room)) as keeper:
        keeper.end_old_records(always)
    record = mistake("2026-01-01").model_copy(update={"record_id": "r"})
    with closing(keeping(room, now=NOW + timedelta(days=91))) as keeper:
        write = keeper._write

        def overtaken(work: Any, *arguments: Any) -> Any:
            graph.write_batch(batch([record], "j", 0))
            return write(work, *arguments)

        with patch.object(keeper, "_write", overtaken):
            assert keeper.end_old_records(always) == (0, 0, 0, True)
    assert len(list(room.query("MATCH (h:ReviewedRecord) RETURN h.id AS id"))) == 1
