"""What is renamed leaves the graph of records that had the new id from the start."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.findings import ErrorFinding, FoundErrorType, RecordFinding
from edugraph_common.contracts.messages import Renamable
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import ItemReview

from .random_imports import (
    EXAMPLES,
    ORIGIN,
    batch,
    finding_lists,
    in_order,
    latest_only,
    pack,
    record_lists,
)

FIELDS: Mapping[str, tuple[str, ...]] = {
    "course": ("course_id", "course_ids"),
    "group": ("group_id",),
    "item": ("item_id",),
}
TO: Mapping[str, tuple[str, str, str]] = {  # an id, one that is new, and one that is another's
    "course": ("c", "z", "d"),
    "group": ("g", "z", "h"),
    "item": ("i", "z", "j"),
}


def renamed(value: Mapping[str, Any], of: str, old: str, new: str) -> dict[str, Any]:
    """A record as JSON, with the new id."""

    def other(given: Any) -> Any:
        return (
            [other(each) for each in given]
            if isinstance(given, list)
            else new
            if given == old
            else given
        )

    data = {
        name: other(given) if name in FIELDS[of] else given for name, given in value["data"].items()
    }
    return {**value, "data": data}


def content(room: Any) -> str:
    """The digest without the hashes, which stay those of the sources."""
    room.driver.execute_query(
        "MATCH (n) WHERE n.content_hash IS NOT NULL SET n.content_hash = ''",
        database_=room.settings.database,
    )
    digest: str = room.digest()
    return digest


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_the_graph_is_that_of_records_with_the_new_id(room: Any, data: st.DataObject) -> None:
    """To take the guard out: in `renaming._renamed`, return `locked.outdated`; leave `_put_said` out."""
    records = data.draw(record_lists())
    findings = latest_only(data.draw(finding_lists(records)))
    of: Renamable = data.draw(st.sampled_from(["course", "group", "item"]))
    old, *news = TO[of]
    new = data.draw(st.sampled_from(news))
    others = [parse_record(renamed(each.to_json(), of, old, new)) for each in records]
    found = [
        each.model_copy(update={"record": renamed(each.record, of, old, new)}) for each in findings
    ]
    in_order(room, others, found)
    expected = content(room)
    in_order(room, records, findings)
    assert room.graph.rename(of, old, new, lambda: True, merge=True).finished
    before = room.digest()
    # The same file, and what a later analysis finds in it, make nothing twice and bring no old id back.
    room.graph.write_batch(
        batch([each for each in records if each.type != "activity_record"], "again", 0)
    )
    for number, finding in enumerate(findings):
        room.graph.write_findings(pack([finding], "again", number))
    assert room.digest() == before
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    assert content(room) == expected


def attempt(number: int, item: str, **more: Any) -> Record:
    data = {"student_id": "a", "item_id": item, "correct": True, **more}
    return parse_record(
        {
            "type": "attempt_record",
            "timestamp": "2026-01-01",
            "record_id": f"r{number}",
            "data": data,
        }
    )


def test_without_time_it_goes_on_when_it_is_asked_again(room: Any) -> None:
    room.empty()
    room.graph.write_batch(batch([attempt(number, "i") for number in range(150)], "job", 0))
    assert room.graph.rename("item", "i", "z", lambda: False) == (100, False, None)
    assert room.graph.rename("item", "i", "z", lambda: True) == (50, True, None)
    assert room.graph.rename("item", "i", "z", lambda: True).refused == "missing"
    assert room.query("MATCH (i:Item) RETURN i.id AS id") == [{"id": "z"}]
    assert room.query("MATCH ()-[r:PRACTISED]->() RETURN r.tries AS tries") == [{"tries": 150}]


def test_two_are_made_one_only_when_that_is_said(room: Any) -> None:
    """To take the guard out: let `_begin` not look whether the new id is taken."""
    room.empty()
    room.graph.write_batch(batch([attempt(0, "i"), attempt(1, "j")], "job", 0))
    before = room.digest()
    assert room.graph.rename("item", "i", "j", lambda: True).refused == "taken"
    assert room.graph.rename("item", "nothing", "j", lambda: True).refused == "missing"
    assert room.digest() == before
    assert room.graph.rename("item", "i", "j", lambda: True, merge=True) == (1, True, None)
    # A later file still has the old id: which item it is was said already.
    room.graph.write_batch(batch([attempt(2, "i")], "later", 0))
    assert room.graph.rename("item", "i", "j", lambda: True) == (1, True, None)
    assert room.query("MATCH ()-[r:PRACTISED]->() RETURN r.tries AS tries") == [{"tries": 3}]


def test_what_is_found_later_counts_for_the_new_id_and_the_name_comes_along(room: Any) -> None:
    """To take the guards out: let `_lock_records` find no renamed records; leave `_put_said` out."""
    room.empty()
    data = {"student_id": "a", "course_id": "c", "course_name": "Sums", "error_text": "1 - 2 = 1"}
    record = parse_record(
        {"type": "error_record", "timestamp": "2026-01-01", "record_id": "r", "data": data}
    )
    room.graph.write_batch(batch([record], "job", 0))
    assert room.graph.rename("course", "c", "z", lambda: True).finished
    found = ErrorFinding(
        error_types=(FoundErrorType(name="sign errors", confidence=1),), confidence=1
    )
    room.graph.write_findings(
        pack([RecordFinding(record=record.to_json(), finding=found, origin=ORIGIN)], "job", 0)
    )
    mistakes = room.query("MATCH ()-[r:HAS_ERROR]->() RETURN r.course_id AS course")
    assert mistakes == [{"course": "z"}]
    assert room.query("MATCH (c:Course) RETURN c.id AS id, c.name AS name") == [
        {"id": "z", "name": "Sums"}
    ]


def test_the_texts_of_a_course_are_sought_by_its_new_id(room: Any) -> None:
    """To take the guard out: let `move_in_course` leave `course_id` out."""
    room.empty()
    value = {"type": "course_content", "timestamp": "2026-01-01", "record_id": "t"}
    room.graph.write_batch(
        batch([parse_record(value | {"data": {"course_id": "c", "content": "Sums."}})], "job", 0)
    )
    assert room.graph.rename("course", "c", "z", lambda: True).finished
    assert room.query(
        "MATCH (n:CourseContent)-[:IN_COURSE]->(c) RETURN n.course_id AS by, c.id AS of"
    ) == [{"by": "z", "of": "z"}]


@pytest.mark.parametrize("verdict", ["accepted", "rejected", "withdrawn"])
def test_what_reviewers_said_of_an_item_is_said_of_its_new_id(room: Any, verdict: str) -> None:
    """To take the guard out: leave `_move_reviews` out."""
    room.empty()
    records = [
        attempt(0, "i", knowledge_points=["P"]),
        attempt(1, "j", knowledge_points=["Q"]),
    ]

    def said(item: str, point: str, day: int, verdict: str) -> ItemReview:
        at = datetime(2026, 1, day, tzinfo=UTC)
        return ItemReview.model_validate(
            {"at": at, "by": "r", "item_id": item, "knowledge_point": point, "verdict": verdict}
        )

    def reviews(item: str) -> list[ItemReview]:
        return [
            said(item, "P", 2, verdict),
            said(item, "Q", 1, "rejected"),
            said("j", "Q", 3, "accepted"),
        ]

    room.graph.write_batch(
        batch(
            [parse_record(renamed(each.to_json(), "item", "i", "j")) for each in records], "job", 0
        )
    )
    room.graph.write_reviews(reviews("j"))
    expected = content(room)
    room.empty()
    room.graph.write_batch(batch(records, "job", 0))
    room.graph.write_reviews(reviews("i"))
    assert room.graph.rename("item", "i", "j", lambda: True, merge=True).finished
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    assert content(room) == expected
