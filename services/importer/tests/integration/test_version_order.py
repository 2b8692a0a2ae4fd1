"""The graph is the fold of its imports: of each record the greatest version of the imports that are not undone.

The fold is computed from the rows of the files. `make version-order` tries 2,000 examples, or ORDERS=1000 in each
of two checkouts. EDUGRAPH_EXAMPLES sets the number of examples.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import permutations, product
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import at_once

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph, RecordBatch, versions
from edugraph_importer.graph import apply as apply_module
from edugraph_importer.graph import removal as removal_module
from edugraph_importer.graph.unit_of_work import write_records
from edugraph_importer.undo import undo_import

from .imports import graph_with_rows, split
from .random_imports import EXAMPLES

Row = dict[str, Any]
IDS = ("r0", "r1")
STATEMENT = 1_000  # Readings from here on are those of statements.
MOMENTS = tuple(f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
TYPES: dict[str, tuple[dict[str, Any], ...]] = {
    "student_interaction": tuple(
        {
            "student_id_from": "a",
            "student_id_to": "b",
            "interaction_type": "like",
            "like_count": number,
        }
        for number in (1, 2)
    ),
    "error_record": tuple(
        {"student_id": "a", "course_id": course, "error_text": "x", "error_type": "sign"}
        for course in ("c", "d")
    ),
    "membership_record": tuple(
        {"teacher_id": "t", "group_id": group, "role": "leader"} for group in ("g", "h")
    ),
    "person_record": tuple({"person_id": "a", "also": [other]} for other in ("17", "18")),
}
ROSTER = ("membership_record", "person_record")
RIGHTS = (
    ImportRights(roster=True),
    ImportRights(learning=True, roster=False),
    ImportRights(learning=False, roster=True),
)


def may_change(rights: ImportRights, record_type: str) -> bool:
    return rights.roster if record_type in ROSTER else rights.learning


class Import(NamedTuple):
    rows: list[Row]
    accepted: int
    batch_size: int
    is_undone: bool
    rights: ImportRights = RIGHTS[0]


class Version(NamedTuple):
    """A row and where it stands. `place` tells rows of one import apart, in their order."""

    row: Row
    accepted: int
    place: tuple[int, bool, int]
    rights: ImportRights

    @property
    def is_withdrawal(self) -> bool:
        return bool(self.row.get("withdrawn"))

    @property
    def type_order(self) -> tuple[Any, ...]:
        """The version with the smallest value gives a record its type."""
        return (
            self.row["type"] not in ROSTER,
            -self.row.get("reading", 0),
            self.accepted,
            self.place,
        )

    @property
    def order(self) -> tuple[Any, ...]:
        changed = datetime.fromisoformat(self.row.get("changed_at") or self.row["timestamp"])
        return changed, self.is_withdrawal, self.row.get("reading", 0), self.accepted, self.place


def fold(imports: Sequence[Import]) -> list[Row]:
    """Return the rows that are the records, by the rules alone."""
    versions: dict[str, list[Version]] = {}
    for each in imports:
        if each.is_undone:
            continue
        for number, row in enumerate(each.rows):
            # Within a batch, withdrawals come after records.
            place = (number // each.batch_size, bool(row.get("withdrawn")), number)
            if not row.get("withdrawn") and not may_change(each.rights, row["type"]):
                continue
            version = Version(row, each.accepted, place, each.rights)
            versions.setdefault(row["record_id"], []).append(version)
    records: list[Row] = []
    for some in versions.values():
        contents = [each for each in some if not each.is_withdrawal]
        if not contents:
            continue
        first = min(contents, key=lambda each: each.type_order)
        kind = first.row["type"]
        candidates = [each for each in contents if each.row["type"] == kind]
        if first.row.get("reading", 0) >= STATEMENT:
            candidates = [first]
        candidates += [
            each for each in some if each.is_withdrawal and may_change(each.rights, kind)
        ]
        greatest = max(candidates, key=lambda each: each.order)
        if not greatest.is_withdrawal:
            records.append(greatest.row)
    return records


@st.composite
def row_lists(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for _ in range(draw(st.integers(1, 5))):
        row: Row = {
            "record_id": draw(st.sampled_from(IDS)),
            "timestamp": draw(st.sampled_from(MOMENTS)),
        }
        if draw(st.booleans()):
            row["changed_at"] = draw(st.sampled_from(MOMENTS))
        if draw(st.integers(0, 4)) == 0:
            rows.append(row | {"withdrawn": True})
            continue
        kind = draw(
            st.sampled_from(
                ["student_interaction", "student_interaction", "error_record", "membership_record"]
            )
        )
        row |= {"type": kind, "data": draw(st.sampled_from(TYPES[kind]))}
        if draw(st.integers(0, 3)) == 0:
            row["reading"] = draw(st.sampled_from([1, STATEMENT, STATEMENT, STATEMENT + 1]))
        rows.append(row)
    return rows


@st.composite
def import_lists(draw: st.DrawFn) -> list[Import]:
    numbers = draw(st.permutations(range(1, draw(st.integers(1, 4)) + 1)))
    return [
        Import(
            draw(row_lists()),
            number,
            draw(st.integers(1, 3)),
            draw(st.booleans()),
            draw(st.sampled_from(RIGHTS)),
        )
        for number in numbers
    ]


@pytest.fixture(scope="module")
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    with graph_with_rows(room, blobs) as graph:
        yield graph


class Died(Exception):
    """Stands for a process that ends in the middle of an undo."""


def undo_some(
    graph: Graph, blobs: Blobs, job_id: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undo a job, and die after `most` batches."""
    original, done = graph.undo_batch, 0

    def undo_batch(*arguments: Any) -> Any:
        nonlocal done
        if done == most:
            raise Died
        done += 1
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(graph, "undo_batch", undo_batch)
        with suppress(Died):
            undo_import(graph, blobs, job_id)


# (address of the graph, contents) -> the digest of a graph that has these contents alone
_digests: dict[tuple[str, str], str] = {}


def digest_of_fold(room: Any, imports: Sequence[Import]) -> str:
    """Return the digest of the fold. It does not depend on readings and change times, so it is asked for once."""
    contents = [
        {name: row[name] for name in ("record_id", "type", "timestamp", "data")}
        for row in fold(imports)
    ]
    contents.sort(key=lambda row: row["record_id"])
    key = (room.settings.uri, json.dumps(contents))
    if key not in _digests:
        room.empty()
        records = [parse_record(row) for row in contents]
        batch = RecordBatch(
            "reference", 0, list(enumerate(records, start=1)), (), len(records), accepted=1
        )
        room.graph.write_batch(batch)
        _digests[key] = room.digest()
    return _digests[key]


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_the_graph_is_the_fold_of_the_imports_that_are_not_undone(
    room: Any, graph: Graph, blobs: Blobs, data: st.DataObject
) -> None:
    """Out, one at a time: an element of `Entry.order`; the type or the statement in `decide`; `counts_for` (True);
    `is_learning`; `remembered` (empty); the comparison of
    `accepted` in `undo_batch`; the mark in `begin_undo`; `read_rows` (None for each); `progress.next_batch`.
    """
    monkeypatch = pytest.MonkeyPatch()
    imports = data.draw(import_lists())
    expected = digest_of_fold(room, imports)
    room.empty()
    for name in blobs.folders("jobs"):
        blobs.delete(f"jobs/{name}")
    jobs = [
        split(blobs, each.rows, each.batch_size, each.accepted, rights=each.rights)
        for each in imports
    ]
    # Each batch once or twice, in any order; the undo of an import is begun and ended after its first deliveries.
    waiting = [
        (number, message) for number, (_, messages) in enumerate(jobs) for message in messages
    ]
    waiting = data.draw(st.permutations(waiting))
    left = [len(messages) for _, messages in jobs]
    delivered: list[Any] = []
    undoing: list[int] = []

    def deliver(number: int, message: Any) -> None:
        batch = read_batch(blobs, message).graph
        if number in undoing and message not in delivered:
            with pytest.raises(Rejected):
                graph.write_batch(batch)
        else:
            outcome = graph.write_batch(batch)
            counts = (
                outcome.written, outcome.replaced, outcome.unchanged, outcome.older, outcome.taken_back, outcome.rejected
            )  # fmt: skip
            assert sum(counts) == outcome.read
        delivered.append(message)

    for number, message in waiting:
        deliver(number, message)
        left[number] -= 1
        if delivered and data.draw(st.integers(0, 3)) == 0:
            again = data.draw(st.sampled_from(delivered))
            deliver(next(n for n, (_, messages) in enumerate(jobs) if again in messages), again)
        for each, (job_id, _) in enumerate(jobs):
            if imports[each].is_undone and left[each] == 0 and data.draw(st.booleans()):
                undoing.append(each)
                undo_some(graph, blobs, job_id, data.draw(st.integers(0, 3)), monkeypatch)
    for each, (job_id, _) in enumerate(jobs):
        if imports[each].is_undone:
            report = undo_import(graph, blobs, job_id)
            assert report["not_restored"] == 0
            assert undo_import(graph, blobs, job_id) == report | {"not_restored_ids": []}
    assert room.digest() == expected
    assert room.graph.derive_anew(repair=False)["wrong"] == {}


def likes(number: int, at: str = MOMENTS[0], **head: Any) -> Row:
    data = TYPES["student_interaction"][0] | {"like_count": number}
    return {"type": "student_interaction", "record_id": "r", "timestamp": at, "data": data, **head}


SECOND: dict[str, list[Row]] = {
    "a greater version": [likes(3)],
    "a smaller version": [likes(3, MOMENTS[0], changed_at="2025-12-01T00:00:00Z")],
    "the same content later": [likes(1, changed_at=MOMENTS[1])],
    "a withdrawal": [{"record_id": "r", "timestamp": MOMENTS[0], "withdrawn": True}],
    "another type": [
        {
            "type": "error_record",
            "record_id": "r",
            "timestamp": MOMENTS[2],
            "data": TYPES["error_record"][0],
        }
    ],
}


FIRST: dict[str, list[Row]] = {
    "nothing": [],
    "a record": [likes(1)],
    "a withdrawal": [{"record_id": "r", "timestamp": MOMENTS[0], "withdrawn": True}],
}
THIRD: dict[str, list[Row]] = {
    "another content": [likes(2)],
    "the same content": [likes(1)],
    "a later withdrawal": [{"record_id": "r", "timestamp": MOMENTS[1], "withdrawn": True}],
}
CASES = [", ".join(case) for case in product(FIRST, SECOND, THIRD)]


@pytest.mark.parametrize("case", CASES)
def test_what_another_transaction_writes_between_reading_and_locking_is_seen(
    room: Any, graph: Graph, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Out, one at a time: the comparison in `lock_superseded`, that in `lock_withdrawn`, `hold_keys` in `apply`, or the
    label `Record` of new records.
    """
    first, second, third = case.split(", ", 2)
    rows_by_number = {1: FIRST[first], 3: SECOND[second], 2: THIRD[third]}
    imports = [
        Import(rows, number, 3, is_undone=False) for number, rows in rows_by_number.items() if rows
    ]
    expected = digest_of_fold(room, imports)
    room.empty()
    *before, between, at_last = [
        split(blobs, each.rows, each.batch_size, each.accepted)[1] for each in imports
    ]
    for messages in before:
        graph.write_batch(read_batch(blobs, messages[0]).graph)
    original: Callable[..., Any] = versions.withdrawn_entries

    def read(*arguments: Any) -> Any:
        monkeypatch.setattr(apply_module, "withdrawn_entries", original)
        found = original(*arguments)
        room.graph.write_batch(read_batch(blobs, between[0]).graph)
        return found

    monkeypatch.setattr(apply_module, "withdrawn_entries", read)
    graph.write_batch(read_batch(blobs, at_last[0]).graph)
    assert room.digest() == expected


@pytest.mark.parametrize(
    "case", [", ".join(case) for case in product(("import", "undo"), SECOND, THIRD)]
)
def test_an_undo_and_an_import_side_by_side_see_each_other(
    room: Any, graph: Graph, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Out: the comparison in `lock_superseded`, or that in `lock_withdrawn`.

    The transaction that is named first has read the record, and has not locked it yet when the other one comes.
    """
    outer, second, third = case.split(", ", 2)
    imports = [
        Import(FIRST["a record"], 1, 3, is_undone=False),
        Import(SECOND[second], 3, 3, is_undone=True),
        Import(THIRD[third], 2, 3, is_undone=False),
    ]
    expected = digest_of_fold(room, imports)
    room.empty()
    batches = []
    for each in imports:
        _, [message] = split(blobs, each.rows, each.batch_size, each.accepted)
        batches.append(read_batch(blobs, message).graph)
    for batch in batches[:2]:
        graph.write_batch(batch)
    progress = graph.begin_undo(batches[1].job_id)

    def write_third() -> None:
        graph.write_batch(batches[2])

    def undo_second() -> None:
        graph.undo_batch(batches[1], progress)

    works = {
        "import": (apply_module, write_third, undo_second),
        "undo": (removal_module, undo_second, write_third),
    }
    module, first, between = works[outer]

    def read(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "withdrawn_entries", versions.withdrawn_entries)
        found = versions.withdrawn_entries(*arguments)
        between()
        return found

    monkeypatch.setattr(module, "withdrawn_entries", read)
    first()
    assert room.digest() == expected


def row_of(record_type: str, at: str = MOMENTS[0], **data: Any) -> Row:
    return {"type": record_type, "record_id": "r", "timestamp": at, "data": data}


# No row names a person or course of another row, so that only their id can make two transactions wait.
MISTAKE = row_of("error_record", student_id="d", course_id="d", error_text="x", error_type="sign")
ATTEMPT = row_of("attempt_record", MOMENTS[2], student_id="e", item_id="e", correct=True)
MEMBERSHIP = row_of("membership_record", teacher_id="t", group_id="g", role="leader")
LATER_MISTAKE = row_of("error_record", MOMENTS[1], student_id="f", course_id="f", error_text="x")
AT_ONCE: dict[str, tuple[Row, Row]] = {
    "a like and a mistake": (likes(1), MISTAKE),
    "a mistake and an attempt": (MISTAKE, ATTEMPT),
    "an attempt and a membership": (ATTEMPT, MEMBERSHIP),
    "two contents": (MISTAKE, LATER_MISTAKE),
    "a record and its withdrawal": (likes(1), SECOND["a withdrawal"][0]),
    "a later record and its withdrawal": (likes(1, MOMENTS[1]), SECOND["a withdrawal"][0]),
    "two withdrawals": (SECOND["a withdrawal"][0], THIRD["a later withdrawal"][0]),
}


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
@pytest.mark.parametrize("case", AT_ONCE)
@pytest.mark.parametrize("room", [pytest.param("neo4j", marks=pytest.mark.real)], indirect=True)
def test_two_transactions_that_create_one_id_at_the_same_time_do_not_both_succeed(
    room: Any, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, case: str, numbers: tuple[int, int]
) -> None:
    """Out: the label `Record` of new records, or `hold_keys` in `apply`.

    Both transactions have read that the id is unknown before one of them writes. On the embedded engine,
    transactions that write take turns.
    """
    imports = [
        Import([row], number, 3, is_undone=False)
        for row, number in zip(AT_ONCE[case], numbers, strict=True)
    ]
    expected = digest_of_fold(room, imports)
    room.empty()
    both_have_read = threading.Barrier(2)
    first_tries: set[int] = set()

    def write(*arguments: Any) -> None:
        if threading.get_ident() not in first_tries:
            first_tries.add(threading.get_ident())
            both_have_read.wait(30)
        write_records(*arguments)

    monkeypatch.setattr(apply_module, "write_records", write)
    works = []
    for each in imports:
        _, [message] = split(blobs, each.rows, each.batch_size, each.accepted)
        works.append(partial(room.graph.write_batch, read_batch(blobs, message).graph))
    at_once(works)
    assert room.digest() == expected
    records = room.query("MATCH (n:Record {id: 'r'}) RETURN labels(n) AS labels")
    assert len(records) <= 1


def test_regraded_attempts_with_an_unchanged_timestamp_are_written(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `accepted` in `Entry.order`."""
    room.empty()
    head = {"type": "attempt_record", "timestamp": MOMENTS[0]}
    rows = [
        head
        | {
            "record_id": f"a{number}",
            "data": {"student_id": "s", "item_id": f"i{number}", "score": 0.5},
        }
        for number in range(60)
    ]
    regraded = [
        row | {"data": row["data"] | {"score": 1.0}} for row in json.loads(json.dumps(rows))
    ]
    outcomes = []
    for some in (rows, regraded, regraded):
        _, [message] = split(blobs, some, 100)
        outcomes.append(graph.write_batch(read_batch(blobs, message).graph))
    first, second, third = outcomes
    assert (first.written, second.replaced, third.unchanged) == (60, 60, 60)
    [found] = room.query("MATCH (n:Attempt) RETURN count(n) AS number, min(n.score) AS least")
    assert found == {"number": 60, "least": 1.0}


def test_earlier_timestamps_are_older_unless_the_import_is_the_change_time(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `changed_at` in `read_batch`."""
    room.empty()
    head = {"type": "attempt_record", "timestamp": MOMENTS[1]}
    rows = [
        head
        | {
            "record_id": f"a{number}",
            "data": {"student_id": "s", "item_id": f"i{number}", "score": 0.5},
        }
        for number in range(60)
    ]
    corrected = [row | {"timestamp": MOMENTS[0]} for row in rows]
    _, [message] = split(blobs, rows, 100)
    assert graph.write_batch(read_batch(blobs, message).graph).written == 60
    _, [message] = split(blobs, corrected, 100)
    assert graph.write_batch(read_batch(blobs, message).graph).older == 60
    accepted = 1_800_000_000_000_000
    _, [message] = split(blobs, corrected, 100, accepted)
    as_import = message.model_copy(update={"changed_at": "import"})
    assert graph.write_batch(read_batch(blobs, as_import).graph).replaced == 60


def test_a_withdrawal_of_an_unknown_id_is_kept_and_counted(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `unknown` in `Ids`."""
    room.empty()
    withdrawal = {"record_id": "r", "timestamp": MOMENTS[1], "withdrawn": True}
    outcomes = []
    for rows in ([withdrawal], [likes(1)], [likes(1, MOMENTS[2])], [withdrawal]):
        _, [message] = split(blobs, rows)
        outcomes.append(graph.write_batch(read_batch(blobs, message).graph))
    unknown, taken_back, back, older = outcomes
    assert (unknown.written, unknown.unknown, unknown.by_type) == (1, 1, {"withdrawal": 1})
    assert (taken_back.taken_back, taken_back.written) == (1, 0)
    assert (back.written, older.older) == (1, 1)
    assert room.query("MATCH (n:Interaction) RETURN count(n) AS number") == [{"number": 1}]


def test_a_row_of_another_type_is_set_aside_with_the_reason(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    room.empty()
    other = SECOND["another type"]
    outcomes = []
    for rows in ([likes(1)], other):
        _, [message] = split(blobs, rows)
        outcomes.append(graph.write_batch(read_batch(blobs, message).graph))
    assert outcomes[1].rejected == 1
    assert outcomes[1].reasons == {
        "is the id of a record of another type, which counts for more": 1
    }
    assert room.query("MATCH (n:ErrorRecord) RETURN count(n) AS number") == [{"number": 0}]


def statement(statement_id: str, score: float, at: str = MOMENTS[0], **more: Any) -> Row:
    return {
        "id": statement_id,
        "actor": {"account": {"homePage": "https://school.example", "name": "s"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/scored"},
        "object": {"id": "https://school.example/quiz"},
        "result": {"success": True, "score": {"scaled": score}},
        "timestamp": at,
        **more,
    }


VOID = {
    "id": "v",
    "actor": {"account": {"homePage": "https://school.example", "name": "s"}},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
    "object": {"objectType": "StatementRef", "id": "a"},
}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_statement_that_was_accepted_first_counts(
    room: Any, graph: Graph, blobs: Blobs, order: Sequence[int]
) -> None:
    """Out: `FIRST_STATEMENT_READING` in `xapi.READING`, or the statement in `decide`."""
    room.empty()
    sent = [
        statement("a", 0.5),
        statement(
            "a",
            0.5,
            MOMENTS[0].replace("Z", "+00:00"),
            stored=MOMENTS[2],
            authority={"name": "LRS"},
        ),
        statement("a", 1.0, MOMENTS[2]),
    ]
    messages = [
        split(blobs, [row], accepted=number, file_format="xapi")[1]
        for number, row in enumerate(sent, start=1)
    ]
    outcomes = [graph.write_batch(read_batch(blobs, messages[each][0]).graph) for each in order]
    assert room.query("MATCH (n:Attempt) RETURN n.score AS score") == [{"score": 0.5}]
    by_number = dict(zip(order, outcomes, strict=True))
    is_last_the_first_written = order[0] == 2
    assert by_number[2].reasons == (
        {} if is_last_the_first_written else {"is other content of a known statement": 1}
    )
    assert sum(each.unchanged for each in outcomes) == 1


def test_a_void_takes_a_statement_back_for_good(room: Any, graph: Graph, blobs: Blobs) -> None:
    room.empty()
    outcomes = []
    for row in (statement("a", 0.5), VOID, statement("a", 0.5), statement("a", 1.0, MOMENTS[2])):
        _, [message] = split(blobs, [row], file_format="xapi")
        outcomes.append(graph.write_batch(read_batch(blobs, message).graph))
    assert [each.taken_back for each in outcomes] == [0, 0, 1, 1]
    assert room.query("MATCH (n:Attempt) RETURN n.score AS score") == []
