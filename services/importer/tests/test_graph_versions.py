"""The version rule without a graph: which records are written, and what a superseded version had a part in."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from neo4j.time import DateTime
from pydantic import SecretStr
from statements import Transaction

from edugraph_common.contracts.findings import ErrorFinding, FoundErrorType, Origin, RecordFinding
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.records import Record, Withdrawal, iso, microseconds, parse_record
from edugraph_common.sources.students import plain_hash
from edugraph_importer.graph import finding_facts
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.history import (
    WITHDRAWN,
    Entry,
    decide,
    entry_of,
    entry_of_withdrawal,
    remembered,
    short_hash,
)
from edugraph_importer.graph.model import LABEL_OF_TYPE, Called, Outdated
from edugraph_importer.graph.take_back import (
    SupersededVersions,
    lock_superseded,
    place_of,
    remove_superseded,
)
from edugraph_importer.graph.tombstones import ErasedStudents, Tombstones
from edugraph_importer.graph.unit_of_work import UnitOfWork
from edugraph_importer.graph.versions import (
    NOT_ALLOWED,
    OTHER_CONTENT,
    OTHER_TYPE,
    Acceptance,
    Classified,
    Ids,
    Remembered,
    Removals,
    RowsNeeded,
    StoredVersion,
    WrittenVersion,
    classify,
    hold_keys,
    stored_versions,
    withdrawn_entries,
)


def chat(record_id: str, at: str = "2026-01-01T00:00:00Z", **data: Any) -> Record:
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    return parse_record(
        {
            "type": "student_interaction",
            "timestamp": at,
            "record_id": record_id,
            "data": people | data,
        }
    )


def mistake(record_id: str, at: str = "2026-01-01T00:00:00Z") -> Record:
    data = {"student_id": "a", "course_id": "c", "error_text": "x"}
    return parse_record(
        {"type": "error_record", "timestamp": at, "record_id": record_id, "data": data}
    )


def course_record() -> Record:
    head = {"type": "course_record", "timestamp": "2026-01-01T00:00:00Z"}
    return parse_record({**head, "data": {"student_id": "a", "course_id": "c"}})


TOMBSTONES = Tombstones(SecretStr("of the tests alone"))


def stored_version(
    record: Record, accepted: int = 1, others: tuple[Entry, ...] = ()
) -> StoredVersion:
    entry = entry_of(record, accepted, 0)
    return StoredVersion(
        LABEL_OF_TYPE[record.type], record.time, record.content_hash, entry, others
    )


def nobody_erased() -> ErasedStudents:
    return ErasedStudents(Transaction(), [], 0, TOMBSTONES)


def classified(
    *records: Record,
    stored: dict[str, StoredVersion] | None = None,
    withdrawn: dict[str, tuple[Entry, ...]] | None = None,
    accepted: int = 2,
) -> Any:
    lines = list(enumerate(records, start=7))
    return classify(
        lines, Ids(stored or {}, withdrawn or {}), nobody_erased(), Acceptance(accepted)
    )


# --- which records are written ------------------------------------------------------------------------------------

OLD, NEW = chat("r", "2026-01-01T00:00:00Z"), chat("r", "2026-01-02T00:00:00Z")


def test_a_record_that_nobody_knows_is_written() -> None:
    found = classified(OLD, course_record())
    assert list(found.events.values()) == found.records == [OLD, course_record()]
    assert (found.counts, found.noted, found.superseded) == ({"written": 2}, {}, {})


def test_a_later_version_supersedes_the_one_in_the_graph_and_remembers_it() -> None:
    found = classified(NEW, stored={"r": stored_version(OLD)})
    assert (found.events, found.superseded) == ({"r": NEW}, {"r": stored_version(OLD)})
    assert found.versions["r"] == WrittenVersion(entry_of(NEW, 2, 0), (entry_of(OLD, 1, 0),))
    assert (found.counts, found.by_type) == ({"replaced": 1}, {"student_interaction": 1})


def test_an_earlier_version_than_that_in_the_graph_is_remembered_alone() -> None:
    found = classified(OLD, stored={"r": stored_version(NEW)})
    written = WrittenVersion(entry_of(NEW, 1, 0), (entry_of(OLD, 2, 0),))
    assert (found.events, found.superseded, found.counts) == ({}, {}, {"older": 1})
    assert found.noted == {"r": (stored_version(NEW), written)}


def test_the_same_content_raises_the_key_and_is_unchanged() -> None:
    found = classified(OLD, stored={"r": stored_version(OLD)})
    assert (found.counts, found.events) == ({"unchanged": 1}, {})
    assert found.noted["r"][1] == WrittenVersion(entry_of(OLD, 2, 0), (entry_of(OLD, 1, 0),))


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_of_two_contents_of_one_time_the_one_that_was_accepted_later_counts(
    numbers: tuple[int, int],
) -> None:
    first, second = numbers
    stored = {"r": stored_version(chat("r", text="one"), first)}
    found = classified(chat("r", text="two"), stored=stored, accepted=second)
    assert found.counts == {"replaced" if second > first else "older": 1}


def test_the_change_time_counts_for_more_than_the_timestamp() -> None:
    changed = NEW.timestamp + timedelta(days=1)
    corrected = chat("r", "2025-01-01T00:00:00Z").model_copy(update={"changed_at": changed})
    found = classified(corrected, stored={"r": stored_version(NEW, 9)})
    assert (found.events, found.counts) == ({"r": corrected}, {"replaced": 1})


@given(st.permutations([OLD, NEW, chat("r", "2026-01-03T00:00:00Z"), chat("q")]))
def test_the_order_does_not_matter(records: list[Record]) -> None:
    found = classified(*records)
    assert {record.record_id: iso(record.timestamp) for record in found.records} == {
        "r": "2026-01-03T00:00:00.000000Z",
        "q": "2026-01-01T00:00:00.000000Z",
    }
    assert found.counts.total() == 4


@given(st.data())
def test_acceptance_numbers_decide_only_between_equal_change_times(data: st.DataObject) -> None:
    """Out: the change time before `accepted` in `Entry.order`. No two contents have the same change time."""
    numbers = st.integers(1, 4)
    changed = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True))
    contents = [
        Entry(time, 0, 0, data.draw(numbers), 0, data.draw(st.sampled_from([5, 6])))
        for time in changed
    ]
    taken_back = [
        Entry(time, WITHDRAWN, 0, data.draw(numbers), 1, 0)
        for time in data.draw(st.lists(st.integers(0, 10), max_size=3))
    ]
    entries = contents + taken_back
    accepted = data.draw(st.permutations([entry.accepted for entry in entries]))
    permuted = [
        entry._replace(accepted=number) for entry, number in zip(entries, accepted, strict=True)
    ]
    greatest = max(entries, key=lambda each: (each.changed, each.is_withdrawal))
    for some in (entries, permuted):
        assert greatest.has_content_of(decide(some))


# --- types, readings, and records that are taken back ---------------------------------------------------------------


def test_a_row_of_another_type_is_set_aside_and_remembered() -> None:
    other = mistake("r", "2026-02-01T00:00:00Z")
    found = classified(other, stored={"r": stored_version(OLD)})
    assert [(each.line, each.field, each.reason) for each in found.rejects] == [
        (7, "record_id", OTHER_TYPE)
    ]
    assert found.noted["r"][1].others == (entry_of(other, 2, 0),)
    assert (found.events, found.counts) == ({}, {})


def test_a_type_that_was_accepted_first_wins_whenever_it_is_written() -> None:
    found = classified(OLD, stored={"r": stored_version(mistake("r", "2026-02-01T00:00:00Z"), 3)})
    assert (found.events, found.counts) == ({"r": OLD}, {"replaced": 1})


def read_again(record: Record, reading: int) -> Record:
    return record.model_copy(update={"reading": reading})


def test_a_newer_reading_may_change_the_type() -> None:
    other = read_again(mistake("r"), 1)
    assert classified(other, stored={"r": stored_version(OLD)}).events == {"r": other}


def test_of_two_readings_of_one_moment_the_higher_counts() -> None:
    one, other = read_again(chat("r", text="one"), 1), read_again(chat("r", text="two"), 2)
    assert classified(other, stored={"r": stored_version(one, 5)}).events == {"r": other}
    assert classified(one, stored={"r": stored_version(other)}).counts == {"older": 1}


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_of_two_contents_of_a_statement_the_one_that_was_accepted_first_counts(
    numbers: tuple[int, int],
) -> None:
    known, comes = numbers
    stored = {"r": stored_version(read_again(chat("r", text="one"), 1_000), known)}
    other = read_again(chat("r", "2026-02-01T00:00:00Z", text="two"), 1_000)
    found = classified(other, stored=stored, accepted=comes)
    if comes < known:
        assert (found.events, found.counts, found.rejects) == ({"r": other}, {"replaced": 1}, [])
    else:
        assert [(each.line, each.reason) for each in found.rejects] == [(7, OTHER_CONTENT)]
        assert found.noted["r"][1].others == (entry_of(other, comes, 0),)
        assert (found.events, found.counts) == ({}, {})


def test_of_two_contents_of_a_statement_in_one_import_the_first_row_counts() -> None:
    """Out: `row` in `_first_accepted`. The content hash would choose the other one."""
    contents = [read_again(chat("r", text=text), 1_000) for text in ("one", "two")]
    smaller, greater = sorted(contents, key=lambda each: short_hash(each.content_hash))
    assert classified(greater, smaller).events == {"r": greater}


def test_of_two_contents_of_a_statement_in_one_place_any_order_gives_the_same() -> None:
    """Out: `hash` in `_first_accepted`. A version that came with its finding may have the place of another one."""
    one, two = (entry_of(read_again(chat("r", text=text), 1_000), 1, 0) for text in ("one", "two"))
    assert decide([one, two]) == decide([two, one])


def test_a_newer_reading_of_a_statement_counts_and_an_older_one_does_not() -> None:
    newer = read_again(mistake("r"), 1_001)
    older = read_again(chat("r", text="one"), 1_000)
    assert classified(newer, stored={"r": stored_version(older)}).events == {"r": newer}
    same_type = read_again(chat("r", text="two"), 1_001)
    assert classified(older, stored={"r": stored_version(same_type, 5)}).counts == {"older": 1}


def test_a_statement_of_another_type_is_other_content() -> None:
    found = classified(
        read_again(mistake("r"), 1_000), stored={"r": stored_version(read_again(OLD, 1_000))}
    )
    assert [each.reason for each in found.rejects] == [OTHER_CONTENT]


def withdrawal(at: str | None = None) -> Withdrawal:
    return Withdrawal.model_validate({"record_id": "r", "timestamp": at})


def test_what_is_withdrawn_goes_and_its_versions_are_remembered_by_a_hash() -> None:
    entry = entry_of_withdrawal(withdrawal("2026-01-01T00:00:00Z"), 2, 0)
    ids = Ids({"r": stored_version(OLD)}, {})
    found = classify(
        [], ids, nobody_erased(), Acceptance(2), [(1, withdrawal("2026-01-01T00:00:00Z"))]
    )
    assert (found.superseded, found.events) == ({"r": stored_version(OLD)}, {})
    assert found.withdrawn == {plain_hash("r"): Remembered((), (entry_of(OLD, 1, 0), entry))}
    assert (found.counts, found.unknown) == ({"written": 1, "unknown": 0}, [])


def test_an_older_withdrawal_changes_nothing_and_a_later_version_brings_the_record_back() -> None:
    before = entry_of_withdrawal(withdrawal("2026-01-01T00:00:00Z"), 1, 0)
    found = classified(OLD, NEW, withdrawn={"r": (before,)})
    assert found.counts == {"taken_back": 1, "written": 1}
    assert found.events == {"r": NEW}
    assert found.withdrawn == {plain_hash("r"): Remembered((before,), ())}
    late = classify(
        [],
        Ids({"r": stored_version(NEW)}, {}),
        nobody_erased(),
        Acceptance(2),
        [(1, withdrawal("2026-01-01"))],
    )
    assert (late.counts, late.superseded) == ({"older": 1}, {})


def leads(record_id: str, at: str = "2026-01-01T00:00:00Z") -> Record:
    data = {"teacher_id": "t", "group_id": "g", "role": "leader"}
    return parse_record(
        {"type": "membership_record", "timestamp": at, "record_id": record_id, "data": data}
    )


LEARNING, ROSTER = ImportRights(), ImportRights(learning=False, roster=True)


def withdrawn_by(rights: ImportRights, stored: Record) -> Classified:
    ids = Ids({"r": stored_version(stored)}, {})
    return classify([], ids, nobody_erased(), Acceptance(2), [(5, withdrawal())], rights=rights)


@pytest.mark.parametrize(
    ("rights", "record"),
    [(LEARNING, leads("r")), (ROSTER, OLD)],
    ids=["of a roster", "of learning"],
)
def test_a_record_is_not_taken_back_by_who_may_not_write_it(
    rights: ImportRights, record: Record
) -> None:
    """Out: `counts_for` (True). The withdrawal is remembered, so that the order of imports does not matter."""
    found = withdrawn_by(rights, record)
    assert (found.superseded, found.counts) == ({}, {})
    assert [(each.line, each.field, each.reason) for each in found.rejects] == [
        (5, "record_id", NOT_ALLOWED)
    ]
    assert len(found.noted["r"][1].others) == 1


@pytest.mark.parametrize(
    ("rights", "record"),
    [(ROSTER, leads("r")), (LEARNING, OLD)],
    ids=["of a roster", "of learning"],
)
def test_a_record_is_taken_back_by_who_may_write_it(rights: ImportRights, record: Record) -> None:
    found = withdrawn_by(rights, record)
    assert (list(found.superseded), found.rejects, found.counts["written"]) == (["r"], [], 1)


def test_a_withdrawal_of_a_learning_record_keeps_no_membership_out() -> None:
    """Out: `counts_for` (True)."""
    before = entry_of_withdrawal(withdrawal(), 1, 0, roster=False)
    found = classified(leads("r"), withdrawn={"r": (before,)})
    assert (list(found.events), found.counts) == (["r"], {"written": 1})


def test_a_learning_record_never_stands_in_the_place_of_a_membership() -> None:
    """Out: `is_learning` in `_acceptance_order`: a higher reading, or an earlier acceptance, changes the type."""
    found = classified(
        read_again(chat("r", "2026-03-01T00:00:00Z"), 99), stored={"r": stored_version(leads("r"))}
    )
    assert [each.reason for each in found.rejects] == [OTHER_TYPE]
    assert found.superseded == {}
    late = classified(leads("r"), stored={"r": stored_version(read_again(OLD, 99))})
    assert (list(late.events), late.counts) == (["r"], {"replaced": 1})


def test_the_versions_of_withdrawn_ids_are_read_by_their_hashes() -> None:
    numbers = [5, 0, 0, 7, 3, 9]
    tx = Transaction(
        withdrawn=[
            {"id": plain_hash("r"), "history": numbers},
            {"id": plain_hash("s"), "history": []},
        ]
    )
    assert withdrawn_entries(tx, ["r", "s", "q"], 1) == {"r": (Entry(*numbers),), "s": ()}
    assert tx.asked == [("withdrawn", {"ids": sorted(map(plain_hash, "qrs"))})]
    assert withdrawn_entries(Transaction(), ["r"], 0) == {}


def test_a_row_of_another_import_is_asked_for_if_its_version_is_the_record() -> None:
    """A type that was accepted first makes another version of that type the record, which was set aside before."""
    aside, first = entry_of(NEW, 3, 1), read_again(OLD, 0)
    stored = {"r": stored_version(mistake("r"), 2, (aside,))}
    with pytest.raises(RowsNeeded) as needed:
        classify([(1, first)], Ids(stored, {}), nobody_erased(), Acceptance(1))
    assert needed.value.entries == {"r": aside}
    found = classify([(1, first)], Ids(stored, {}, {aside: NEW}), nobody_erased(), Acceptance(1))
    assert found.events == {"r": NEW}
    lost = classify([(1, first)], Ids(stored, {}, {aside: None}), nobody_erased(), Acceptance(1))
    assert (lost.events, list(lost.superseded)) == ({}, ["r"])


def test_of_imports_that_cannot_be_undone_the_first_and_the_greatest_are_enough() -> None:
    """Out: `remembered` keeps all, or leaves the first one out."""
    many = [entry_of(chat("r", text=str(number)), number, 0) for number in range(1, 9)]
    assert remembered(many, undoable_from=6) == (many[0], many[4], *many[5:])
    assert decide(remembered(many, 100)) == decide(many)


# The elements of the key in their order, with the change that makes a version smaller by this element alone.
KEY = {
    "changed": {"changed": 4},
    "is_withdrawal": {"type": 0, "hash": 7},
    "reading": {"reading": 0},
    "accepted": {"accepted": 4},
    "row": {"row": 4},
    "hash": {"hash": 4},
}


@pytest.mark.parametrize("element", KEY)
def test_each_element_of_the_key_counts_for_more_than_those_after_it(element: str) -> None:
    """Out, one at a time: an element of `Entry.order`; or two of them change places."""
    is_withdrawal = element == "is_withdrawal"
    greater = Entry(
        changed=5, type=WITHDRAWN if is_withdrawal else 0, reading=1, accepted=5, row=5, hash=5
    )
    following = list(KEY)[list(KEY).index(element) + 1 :]
    larger_after = {name: 9 for name in following if name != "is_withdrawal"}
    smaller = greater._replace(**(larger_after | KEY[element]))
    if element == "changed":
        smaller = smaller._replace(type=WITHDRAWN)
    assert decide([greater, smaller]) == decide([smaller, greater]) == greater


def entries(accepted: st.SearchStrategy[int]) -> st.SearchStrategy[list[Entry]]:
    small = st.integers(0, 2)
    readings = st.sampled_from([0, 1, 1_000, 1_001])
    contents = st.builds(
        Entry, small, st.integers(0, 1), readings, accepted, st.integers(0, 9), small
    )
    withdrawals = st.builds(
        Entry, small, st.just(WITHDRAWN), st.just(0), accepted, st.integers(0, 9), st.just(0)
    )
    return st.lists(
        contents | withdrawals, max_size=6, unique_by=lambda each: (each.accepted, each.row)
    )


@example(old=[Entry(0, 0, 0, 1, 0, 0), Entry(1, 0, 0, 2, 0, 1), Entry(2, 1, 0, 3, 0, 2)], new=[])
@given(old=entries(st.integers(0, 9)), new=entries(st.integers(10, 12)))
def test_what_is_forgotten_of_imports_that_cannot_be_undone_decides_nothing(
    old: list[Entry], new: list[Entry]
) -> None:
    """Out: the type or the reading in `remembered`."""
    assert decide({*remembered(old, 10), *new}) == decide({*old, *new})


def test_an_erasure_or_a_withdrawal_meanwhile_makes_the_transaction_begin_anew() -> None:
    """To take the guard out: let `Removals.check` return at once."""
    tx = Transaction(more_removals=[])
    Removals(2, 4, 0).check(tx, ["r"])
    Removals(2, 4, 1).check(tx, ["r"])
    numbers = {"erased": 2, "withdrawn": 4, "owners": 0}
    assert tx.asked == [
        ("more_removals", {**numbers, "unreviewed": (), "first_reviews": 1}),
        ("more_removals", {**numbers, "unreviewed": ["r"], "first_reviews": 0}),
    ]
    tx.answers["more_removals"] = [{"id": "x"}]
    with pytest.raises(StaleRead):
        Removals(2, 4).check(tx)


def test_the_keys_of_unknown_records_are_held() -> None:
    held = {f"hold_keys_{label}": [{"held": 1}] for label in RECORD_LABELS}
    tx = Transaction(**held)
    hold_keys(tx, ["s"])
    names = [
        name
        for label in RECORD_LABELS
        for name in (f"hold_keys_{label}", f"delete_replaced_{label}")
    ]
    assert tx.names() == names
    assert all(parameters == {"ids": ["s"]} for _, parameters in tx.asked)
    tx.answers[f"hold_keys_{RECORD_LABELS[0]}"] = [{"held": 0}]
    with pytest.raises(StaleRead):
        hold_keys(tx, ["s"])


# --- retention ----------------------------------------------------------------------------------------------------

KEPT_FROM = "2026-02-01T12:00:00.000000Z"


def test_a_record_about_a_student_is_kept_from_a_moment_on_and_activity_from_the_day_of_it() -> (
    None
):
    """What is about nobody, such as a text of a course, has no age at which it goes."""

    def activity(at: str) -> Record:
        data = {"student_id": "a", "course_id": "c"}
        return parse_record(
            {"type": "activity_record", "timestamp": at, "record_id": at, "data": data}
        )

    content = {
        "type": "course_content",
        "timestamp": "2020-01-01",
        "data": {"course_id": "c", "content": "x"},
    }
    kept = [
        chat("r", KEPT_FROM), activity("2026-02-01T00:00:00Z"), activity("2026-02-02T00:00:00Z"), parse_record(content)
    ]  # fmt: skip
    refused = [
        chat("p", "2026-02-01T11:59:59.999999Z"), mistake("m", "2026-01-31T13:00:00Z"), activity("2026-01-31T23:59:59Z")
    ]  # fmt: skip
    lines = list(enumerate([*refused, *kept], start=3))
    found = classify(lines, Ids({}, {}), nobody_erased(), Acceptance(kept_from=KEPT_FROM))
    assert sorted(each.record_id for each in found.records) == sorted(
        each.record_id for each in kept
    )
    assert [(each.line, each.found) for each in found.rejects] == [
        (3, "2026-02-01"), (4, "2026-01-31"), (5, "2026-01-31")
    ]  # fmt: skip
    assert {(each.field, each.expected, each.reason) for each in found.rejects} == {
        ("timestamp", "2026-02-01 or later", "is older than the graph keeps records")
    }


def test_without_a_retention_nothing_is_too_old() -> None:
    assert classified(chat("r", "0001-01-01T00:00:00Z")).rejects == []


# --- erased students ----------------------------------------------------------------------------------------------


def test_a_record_of_an_erased_student_is_rejected_by_its_field_without_the_id() -> None:
    tx = Transaction(
        tombstones=lambda ids: [{"id": id_} for id_ in ids if id_ == TOMBSTONES.of("b")]
    )
    erased = ErasedStudents(tx, [chat("r"), mistake("m")], 1, TOMBSTONES)
    assert tx.asked[0] == ("tombstones", {"ids": sorted(map(TOMBSTONES.of, "ab"))})
    found = classify([(3, chat("r")), (4, mistake("m"))], Ids({}, {}), erased)
    [reject] = found.rejects
    assert (reject.line, reject.field, reject.found) == (3, "data.student_id_to", "")
    assert reject.reason == "belongs to a student who was forgotten"
    assert reject.expected == "a student who was not forgotten"
    assert [record.record_id for record in found.records] == ["m"]


def test_where_nobody_was_erased_nothing_is_asked_of_each_record() -> None:
    tx = Transaction()
    assert ErasedStudents(tx, [chat("r")], 0, TOMBSTONES).field_naming_one(chat("r")) is None
    assert tx.asked == []


# --- what the graph has -------------------------------------------------------------------------------------------

MOMENT = DateTime.fromisoformat("2026-01-01T00:00:00.000000000+00:00")


HASH = "00000000000000ff"
OF_CHAT = ["student_interaction", MOMENT, HASH, None, None, None, None, None]
AT = microseconds(MOMENT.to_native())


def test_the_versions_under_the_ids_are_read() -> None:
    later = DateTime.fromisoformat("2026-01-01T00:00:00.000001000+00:00")
    raised = ["teacher_interaction", MOMENT, HASH, 2, later, 5, 7, [1, 2, 3, 4, 5, 6]]
    tx = Transaction(
        stored_versions=[{"label": "Interaction", "versions": [["r", OF_CHAT], ["s", raised]]}]
    )
    at = "2026-01-01T00:00:00.000000Z"
    assert stored_versions(tx, {"s", "r"}) == {
        "r": StoredVersion("Interaction", at, HASH, Entry(AT, 0, 0, 0, 0, 255)),
        "s": StoredVersion(
            "Interaction", at, HASH, Entry(AT + 1, 1, 2, 5, 7, 255), (Entry(1, 2, 3, 4, 5, 6),)
        ),
    }
    assert tx.asked == [("stored_versions", {"ids": ["r", "s"]})]


def test_nothing_is_asked_for_no_record() -> None:
    tx = Transaction()
    assert stored_versions(tx, []) == {}
    assert tx.asked == []


@pytest.mark.parametrize(
    "missing", [(0,), (1,), (2,), range(8)], ids=["type", "timestamp", "hash", "all"]
)
def test_a_record_that_is_being_deleted_makes_the_transaction_begin_anew(
    missing: Iterable[int],
) -> None:
    """Neo4j deletes properties one by one, so a reader without a lock may see some of them. Out: any of the three."""
    properties = properties_of("Interaction")
    for place in missing:
        properties[place] = None
    with pytest.raises(StaleRead):
        StoredVersion.read("Interaction", properties)


def link(
    record: str, kind: str, label: str, end: str, interaction_type: str | None = None
) -> dict[str, Any]:
    return {
        "record": record,
        "type": kind,
        "label": label,
        "end": end,
        "interaction_type": interaction_type,
        "stated": None,
        "found": ["T!"] if label == "Topic" else None,
        "strength": 0.25,
        "confidence": 0.75,
        "timestamp": MOMENT,
    }


TYPE_OF_LABEL = {label: kind for kind, label in LABEL_OF_TYPE.items()}


def properties_of(label: str, content_hash: str = HASH) -> list[Any]:
    return [TYPE_OF_LABEL[label], MOMENT, content_hash, None, None, None, None, None]


def old(label: str) -> StoredVersion:
    return StoredVersion.read(label, properties_of(label))


def holding(label: str, links: list[dict[str, Any]], **said: Any) -> Transaction:
    """The graph has the records that these links are of, with the content that `old` has."""
    records = sorted({each["record"] for each in links})
    locked = [[record, properties_of(label), None, None] for record in records]
    return Transaction(
        **{f"lock_records_{label}": [{"records": locked}], f"links_of_{label}": links, **said}
    )


def test_a_superseded_interaction_had_a_part_in_the_totals_of_its_people() -> None:
    rows = [
        link("r", "SENT", "Student", "a", "like"),
        link("r", "RECEIVED_BY", "Student", "b", "like"),
        link("r", "ABOUT", "Topic", "t", "like"),
        link("t", "SENT", "Teacher", "x"),
        link("t", "RECEIVED_BY", "Student", "b"),
        link("c", "SENT", "Student", "b", "chat"),
        link("c", "RECEIVED_BY", "Student", "a", "chat"),
    ]
    tx = holding("Interaction", rows)
    found = lock_superseded(tx, dict.fromkeys(("r", "t", "c"), old("Interaction")))
    assert found.outdated.interactions == {
        "likes": {("a", "b")},
        "teaches": {("x", "b")},
        "chat_with": {("b", "a")},
    }
    assert found.records == {"Interaction": ["c", "r", "t"]}
    assert {("Student", "a"), ("Student", "b"), ("Teacher", "x"), ("Topic", "t")} == found.nodes
    assert (found.outdated.fields, found.outdated.spellings) == (found.nodes, set())
    assert found.spellings == {(("Topic", "t"), "T!"): 1}
    assert "2026-01-01T00:00:00.000000Z|r" in found.outdated.version_keys
    assert not any([found.outdated.mistakes, found.related, found.outdated.contains])
    assert [name for name, _ in tx.asked] == ["lock_records_Interaction", "links_of_Interaction"]
    assert tx.asked[0][1] == tx.asked[1][1] == {"ids": ["c", "r", "t"]}


def test_a_superseded_mistake_had_a_part_in_each_pair_of_its_ends() -> None:
    rows = [
        link("m", "MADE", "Student", "a"),
        *(link("m", "OF_TYPE", "ErrorType", each) for each in ("e", "f")),
        *(link("m", "IN_COURSE", "Course", each) for each in ("c", "d")),
        link("m", "CONCERNS", "KnowledgePoint", "p"),
    ]
    tx = holding("ErrorRecord", rows)
    found = lock_superseded(tx, {"m": old("ErrorRecord")})
    assert found.outdated.mistakes == {
        ("a", kind, course) for kind in ("e", "f") for course in ("c", "d")
    }
    said = {"records": 1, "strength_sum": 250, "confidence_sum": 750}
    assert found.related == {
        (kind, "p", name): number for kind in ("e", "f") for name, number in said.items()
    }
    assert not any(
        [found.outdated.interactions, found.outdated.contains, found.outdated.descriptions]
    )


def test_a_superseded_text_had_a_part_in_what_its_course_contains() -> None:
    rows = [link("k", "IN_COURSE", "Course", "c"), link("k", "DESCRIBES", "KnowledgePoint", "p")]
    tx = holding("CourseContent", rows)
    found = lock_superseded(tx, {"k": old("CourseContent")})
    assert (found.outdated.contains, found.outdated.descriptions) == ({("c", "p")}, {"p"})
    assert not any([found.outdated.interactions, found.outdated.mistakes, found.related])
    assert [name for name, _ in tx.asked] == [
        "lock_records_CourseContent",
        "links_of_CourseContent",
    ]


def test_a_superseded_course_record_had_a_part_in_what_its_student_learns() -> None:
    rows = [link("k", "IN_COURSE", "Course", "c"), link("k", "HAS_RECORD", "Student", "a")]
    tx = holding("CourseRecord", rows)
    found = lock_superseded(tx, {"k": old("CourseRecord")})
    assert found.outdated.learns == {("a", "c")}
    assert not any([found.outdated.contains, found.outdated.mistakes])


def test_how_a_superseded_record_called_ids_is_taken_back() -> None:
    """A record that gives an id without a name keeps the id known as one. What a record names has no id to be called."""
    rows = [
        link("m", "CONCERNS", "KnowledgePoint", "p") | {"stated": ["Sets", "SETS", "Units"]},
        link("m", "OF_TYPE", "ErrorType", "e") | {"stated": []},
        link("m", "CONCERNS", "KnowledgePoint", "found-alone"),
        link("m", "ABOUT", "Topic", "t") | {"stated": ["T"]},
    ]
    tx = holding("ErrorRecord", rows)
    found = lock_superseded(tx, {"m": old("ErrorRecord")})
    called = [
        Called("KnowledgePoint", "p", "sets"),
        Called("KnowledgePoint", "p", "units"),
        Called("ErrorType", "e", "e"),
    ]
    assert found.called == Counter(called)
    assert {("KnowledgePoint", "sets"), ("KnowledgePoint", "units")} <= found.nodes
    unit = UnitOfWork.staged()
    unit.called.update([*called, called[0]])
    remove_superseded(Transaction(), unit, found, {}, {})
    assert +unit.called == Counter([called[0]])


def test_a_superseded_membership_had_a_part_in_who_is_in_its_group_and_in_what_that_is_called() -> (
    None
):
    rows = [
        link("k", "HAS_MEMBERSHIP", "Student", "a"),
        link("k", "IN_GROUP", "Group", "g"),
        link("l", "IN_GROUP", "Group", "h"),
        link("l", "HAS_MEMBERSHIP", "Teacher", "t"),
    ]
    said = [
        {"group": "g", "name": "7b", "course": "c"},
        {"group": "h", "name": None, "course": None},
    ]
    tx = holding("Membership", rows, group_counts=said)
    found = lock_superseded(tx, {"k": old("Membership"), "l": old("Membership")})
    assert found.outdated.memberships == {("Student", "a", "g"), ("Teacher", "t", "h")}
    assert (found.group_counts.names, found.group_counts.courses) == (
        {"g": {"7b": 1}},
        {("g", "c"): 1},
    )
    assert {
        ("Group", "g"),
        ("Group", "h"),
        ("Course", "c"),
        ("Student", "a"),
        ("Teacher", "t"),
    } <= found.nodes


def test_a_superseded_attempt_had_a_part_in_the_practice_and_the_mistakes_of_its_student() -> None:
    rows = [
        link("k", "TRIED", "Student", "a"),
        link("k", "OF_ITEM", "Item", "i"),
        link("k", "OF_TYPE", "ErrorType", "e"),
        link("k", "IN_COURSE", "Course", "c"),
    ]
    said = [{"item": "i", "title": "Quiz", "points": ["Sets"]}]
    tx = holding("Attempt", rows, item_names_Attempt=said)
    found = lock_superseded(tx, {"k": old("Attempt")})
    assert (found.outdated.practised, found.outdated.mistakes) == ({("a", "i")}, {("a", "e", "c")})
    assert (found.item_names.titles, found.item_names.tests) == (
        {"i": {"Quiz": 1}},
        {("i", "sets"): {"Sets": 1}},
    )
    assert ("KnowledgePoint", "sets") in found.nodes


def test_a_superseded_definition_had_a_part_in_what_its_course_contains_and_what_points_require() -> (
    None
):
    rows = [
        link("k", "DEFINES", "KnowledgePoint", "p"),
        link("k", "REQUIRES", "KnowledgePoint", "q"),
        link("k", "IN_COURSE", "Course", "c"),
        link("i", "DEFINES", "Item", "quiz"),
        link("i", "IN_COURSE", "Course", "c"),
    ]
    tx = holding("Definition", rows)
    found = lock_superseded(tx, {"k": old("Definition"), "i": old("Definition")})
    assert (found.claims, found.outdated.contains) == ({("p", "q")}, {("c", "p")})
    assert not any([found.outdated.descriptions, found.spellings, found.outdated.learns])


@pytest.mark.parametrize(
    "records", [[], [["r", properties_of("Interaction", "ff" * 8), None, None]]]
)
def test_a_version_that_is_not_there_any_more_makes_the_transaction_begin_anew(
    records: list[Any],
) -> None:
    tx = Transaction(lock_records_Interaction=[{"records": records}])
    with pytest.raises(StaleRead):
        lock_superseded(tx, {"r": old("Interaction")})


def test_what_was_found_in_a_superseded_version_is_known() -> None:
    finding = ErrorFinding(error_types=(FoundErrorType(name="Sign", confidence=0.5),), confidence=1)
    origin = Origin(analyser="offline", model="lexicon", prompt_version="1")
    text = finding_facts.stored_text(
        RecordFinding(record=mistake("m").to_json(), finding=finding, origin=origin)
    )
    tx = Transaction(
        lock_records_ErrorRecord=[{"records": [["m", properties_of("ErrorRecord"), text, None]]}]
    )
    found = lock_superseded(tx, {"m": old("ErrorRecord")})
    assert found.findings == {"m": finding_facts.facts_of(finding)}


def test_nothing_is_locked_for_nothing() -> None:
    tx = Transaction()
    assert not lock_superseded(tx, {}).records
    assert tx.asked == []


def test_what_a_removed_version_had_a_part_in_is_computed_anew_once_its_node_is_gone() -> None:
    unit = UnitOfWork.staged()
    unit.fields["Student", "a"] = {"name": ("Ana", "k|r")}
    outdated = Outdated(
        version_keys={"k|r"},
        fields={("Student", "a"), ("Topic", "t")},
        spellings={("Topic", "t"), ("KnowledgePoint", "p")},
        descriptions={"p"},
        mistakes={("a", "e", "c")},
        relates_to={("e", "p")},
        contains={("c", "p")},
        interactions={"likes": {("a", "b")}},
    )
    gone = SupersededVersions(outdated=outdated)
    gone.records["ErrorRecord"] = ["m", "n", "o", "p", "r"]
    place = place_of("ErrorRecord", [("Student", "a"), ("Course", "c"), ("ErrorType", "e")])
    gone.places = dict.fromkeys(gone.records["ErrorRecord"], place)
    next_places = {
        "n": place_of("ErrorRecord", [("Student", "a"), ("Course", "d")]),
        "o": place_of("ErrorRecord", [("Student", "b"), ("Course", "c")]),
        "p": place_of("Attempt", [("Student", "a"), ("Course", "c")]),
        "r": place_of("ErrorRecord", [("Course", "c"), ("Student", "a"), ("ErrorType", "f")]),
    }
    tx = Transaction()
    remove_superseded(tx, unit, gone, {}, next_places)
    asked = dict(tx.asked)
    assert tx.names()[:2] == ["delete_records_ErrorRecord", "delete_replaced_ErrorRecord"]
    # The students of these lose them: they are withdrawn, or their next version is in another place.
    assert asked["delete_records_ErrorRecord"] == {"ids": ["m", "n", "o", "p"]}
    assert asked["delete_replaced_ErrorRecord"] == {"ids": ["r"]}
    assert asked["recompute_likes"] == asked["remove_likes"] == {"rows": [{"from": "a", "to": "b"}]}
    assert asked["recompute_has_error"] == {"rows": [{"student": "a", "type": "e", "course": "c"}]}
    assert asked["recompute_relates_to"] == {"ids": ["e"]}
    assert asked["recompute_contains"] == {"rows": [{"from": "c", "to": "p"}]}
    assert (asked["spellings_Topic"], asked["spellings_KnowledgePoint"]) == (
        {"ids": ["t"]},
        {"ids": ["p"]},
    )
    assert asked["descriptions"] == {"ids": ["p"]}
    assert asked["names_Student"] == {"ids": ["a"]}
    assert unit.fields["Student", "a"] == {}


def test_a_field_that_a_correction_gives_again_is_taken_from_it_without_reading_the_others() -> (
    None
):
    """To take the guard out: let `remove_superseded` pass by `newer`."""
    for given_by, asked in (("l|r", False), ("k|r", False), ("j|q", True)):
        unit, course = UnitOfWork.staged(), ("Course", "c")
        unit.fields[course] = {"name": ("Maths", "k|r"), "difficulty": ("beginner", "b|x")}
        gone = SupersededVersions(outdated=Outdated(version_keys={"k|r"}, fields={course}))
        gone.records["CourseRecord"] = ["r"]
        tx = Transaction()
        newer = {course: {"name": ("Mathematics", given_by)}}
        remove_superseded(tx, unit, gone, newer, {})
        assert ("latest_of_course_named" in tx.names()) is asked
        assert "name" not in unit.fields[course]
        assert course in unit.changed_nodes


def test_where_nothing_is_superseded_nothing_is_removed() -> None:
    tx = Transaction()
    nothing = SupersededVersions(outdated=Outdated(spellings={("Topic", "t")}))
    remove_superseded(tx, UnitOfWork.staged(), nothing, {}, {})
    assert tx.asked == []


def test_a_tombstone_is_a_keyed_hash_of_the_plain_hash() -> None:
    plain = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert plain_hash("a") == plain
    assert TOMBSTONES.of("a") == TOMBSTONES.keyed(plain)
    assert TOMBSTONES.of("a").startswith("h1:")
    assert Tombstones(SecretStr("another installation")).of("a") != TOMBSTONES.of("a")


def test_an_id_that_no_record_can_have_is_looked_for_like_any_other() -> None:
    """Whoever is named by a row that was set aside is looked for, half an emoji in the id or not."""
    assert TOMBSTONES.of("\ud83d") != TOMBSTONES.of("?")
