"""An erasure in the stores beside the files, on the real servers: what goes, what stays, and what comes back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from engines import real_servers
from hypothesis import assume, example, given
from hypothesis import strategies as st
from importers import no_letters

from edugraph_common.contracts.fits import FitHeader, LabelledRow
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.fit_store import write_fit
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_common.runtime.shared_state.object_store import ERASURES, Blobs, export_key
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.sources.person import Person, Scrubbed
from edugraph_common.sources.students import plain_hash
from edugraph_importer.erasure import Erasure
from edugraph_importer.graph import Graph, RecordBatch

from .random_imports import FEW_EXAMPLES

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def client() -> "Iterator[redis.Redis]":
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield client
    client.close()


@pytest.fixture
def erasure(graph: Graph, client: "redis.Redis", tmp_path: Path) -> Erasure:
    jobs, blobs, members = Jobs(client), Blobs(str(tmp_path)), CourseMembers(client)
    return Erasure(
        graph,
        jobs,
        blobs,
        RedisTexts(client),
        members,
        no_letters,
        lambda: NOW,
    )


def mistake(student: str, number: int = 0, text: str = "wrong") -> dict[str, Any]:
    data = {
        "student_id": student,
        "course_id": "c",
        "error_text": text,
        "student_name": f"Name of {student}",
    }
    return {
        "type": "error_record",
        "timestamp": "2026-01-01",
        "record_id": f"{student}/{number}",
        "data": data,
    }


def claims(person: str, *also: str) -> dict[str, Any]:
    data = {"person_id": person, "also": also}
    return {"type": "person_record", "timestamp": "2026-01-01", "data": data}


def person_row(person: str, *also: str, name: str) -> dict[str, Any]:
    row = claims(person, *also)
    return {**row, "data": {**row["data"], "name": name}}


def write(graph: Graph, *rows: dict[str, Any]) -> Any:
    records: list[tuple[int, Record]] = list(enumerate(map(parse_record, rows), start=1))
    return graph.write_batch(RecordBatch(uuid4().hex, 0, records, (), len(rows)))


def tombstones(room: Any) -> list[str]:
    return [row["id"] for row in room.query("MATCH (t:Tombstone) RETURN t.id AS id")]


def test_an_unknown_id_leaves_nothing_behind_unless_it_is_to_be_blocked(
    erasure: Erasure, room: Any
) -> None:
    result = erasure.erase(("nobody",))
    assert (result["known"], tombstones(room), erasure.blobs.keys(ERASURES)) == (False, [], [])
    assert erasure.graph.last_erasure() is None
    erasure.erase(("nobody",), block=True)
    assert erasure.graph.last_erasure() == NOW
    (tombstone,) = tombstones(room)
    assert len(erasure.blobs.keys(ERASURES)) == 1
    assert plain_hash("nobody") not in tombstone
    assert write(erasure.graph, mistake("nobody")).rejected == 1


@pytest.mark.parametrize("erased", ["4", "2026-4", "uuid-4"])
@pytest.mark.parametrize("is_settled", [True, False])
def test_all_ids_of_a_person_are_erased_refused_and_admitted_together(
    erasure: Erasure, room: Any, erased: str, is_settled: bool
) -> None:
    """Out: `_all_ids` in `erase`, its settler, `join_tombstones`, `claims_of_persons` in `claims_about`, or a field in `_shown_person`."""
    write(erasure.graph, mistake("4"), mistake("5"), mistake("uuid-4"))
    write(erasure.graph, claims("2026-4", "4", "uuid-4", "shared"), claims("5", "shared"))
    if is_settled:
        erasure.graph.settle_persons()
    ids = ("2026-4", "4", "uuid-4")
    preview = erasure.erase((erased,), dry_run=True)
    assert preview["ids"] == [{"student_id": each} for each in sorted(ids)]
    assert preview["claims"] == [
        {"person_id": "2026-4", "also": ["4", "shared", "uuid-4"]},
        {"person_id": "5", "also": ["shared"]},
    ]
    # The result of this task stays in Redis for days. An erasure of any id takes the id out of it.
    for each in ids:
        left = Scrubbed(Person(frozenset({each})), json.dumps(preview)).text
        assert f'"{each}"' not in left
    assert preview["removed"]["graph"] == {"Student": 1, "records": 3}
    erasure.erase((erased,))
    assert [row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")] == ["5"]
    # The other person's claim is the only one to the shared id now.
    assert {row["id"] for row in room.query("MATCH (p:PersonId) RETURN p.id AS id")} == {
        "5",
        "shared",
    }
    assert len(tombstones(room)) == 3
    assert [write(erasure.graph, mistake(each)).rejected for each in ids] == [1, 1, 1]
    # A list that ties an id to the forgotten person is set aside.
    assert write(erasure.graph, claims("new", "uuid-4"), claims("6", "7")).rejected == 1
    erasure.admit((erased,))
    assert erasure.blobs.keys(ERASURES) == []
    assert [write(erasure.graph, mistake(each)).rejected for each in ids] == [0, 0, 0]


def test_an_id_that_a_list_ties_to_a_forgotten_person_stays_refused_after_a_restore(
    erasure: Erasure, room: Any
) -> None:
    """Out: `note_tied`, or its second reading of the tombstones."""
    erasure.erase(("4",), block=True)
    write(erasure.graph, claims("2026-4", "4"))
    erasure.note_tied(("2026-4", "4", "5"))
    assert len(erasure.blobs.keys(ERASURES)) == 2
    room.driver.execute_query("MATCH (t:Tombstone) DELETE t")  # as an older backup is
    erasure.replay()
    assert write(erasure.graph, mistake("2026-4")).rejected == 1
    erasure.admit(("4",))
    assert erasure.blobs.keys(ERASURES) == []
    assert write(erasure.graph, mistake("2026-4")).written == 1


def test_somebody_of_whom_only_a_file_knows_is_blocked(erasure: Erasure, room: Any) -> None:
    with erasure.blobs.write("jobs/j/source.ndjson") as file:
        file.write(json.dumps(mistake("4")).encode() + b"\n")
    result = erasure.erase(("4",))
    assert (result["known"], result["removed"]["files"]["rows"], len(tombstones(room))) == (
        True,
        1,
        1,
    )


def test_all_ids_of_a_person_go_and_no_other(erasure: Erasure, room: Any) -> None:
    write(erasure.graph, *map(mistake, ("4", "ann", "S0104", "14")))
    result = erasure.erase(("4", "ann"))
    assert result["removed"]["graph"]["Student"] == 2
    assert {row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")} == {
        "S0104",
        "14",
    }


def test_exports_that_wait_go_with_an_erasure(erasure: Erasure) -> None:
    """Out: `exports` in Erasure._clean. One of another person may hold messages with this one."""
    write(erasure.graph, mistake("4"))
    key = export_key("x", NOW)
    with erasure.blobs.write(key) as file:
        file.write(b"zip")
    assert erasure.erase(("4",), dry_run=True)["removed"]["files"]["exports"] == 1
    assert erasure.erase(("nobody",))["known"] is False
    assert erasure.blobs.exists(key)
    assert erasure.erase(("4",))["removed"]["files"]["exports"] == 1
    assert not erasure.blobs.exists(key)


def test_a_dry_run_says_what_an_erasure_would_remove_and_changes_nothing(
    erasure: Erasure, room: Any, client: "redis.Redis"
) -> None:
    write(erasure.graph, mistake("4"), mistake("S0104"))
    job_id, key = uuid4().hex, f"celery-task-meta-{uuid4()}"
    erasure.jobs.create(
        job_id, "import", "inline", NOW, tasks=json.dumps([["t", {"records": [mistake("4")]}, "i"]])
    )
    client.set(key, json.dumps({"status": "SUCCESS", "result": {"errors": [reject("4")]}}), ex=60)
    header = FitHeader(version="v", course_id="c", fitted_at="2026-01-05", items=1, name_weight=0.1)
    write_fit(erasure.blobs, header, [LabelledRow(record_id="4/0", students=("4",), words={})])
    before = (room.digest(), erasure.jobs.tasks(job_id), client.get(key))
    dry = erasure.erase(("4",), dry_run=True)
    assert (room.digest(), erasure.jobs.tasks(job_id), client.get(key)) == before
    assert tombstones(room) == []
    done = erasure.erase(("4",))
    for store in ("files", "fits", "jobs", "results", "answers"):
        assert dry["removed"][store] == done["removed"][store], store
    assert (done["removed"]["jobs"]["texts"], done["removed"]["results"]["texts"]) == (1, 1)
    assert done["removed"]["fits"]["rows"] == 1


def reject(found: str) -> dict[str, Any]:
    return {
        "line": 1,
        "field": "data.student_id",
        "expected": "x",
        "found": found,
        "reason": "is wrong",
    }


def test_texts_in_redis_lose_their_records_and_nothing_else(
    erasure: Erasure, client: "redis.Redis"
) -> None:
    """To take the guard out: compare ids as parts of a text in Person.is_among."""
    records = [
        mistake("4"),
        mistake("S0104", text="4"),
        mistake("14"),
        mistake("2026", text="said 4"),
    ]
    job_id, key = uuid4().hex, f"celery-task-meta-{uuid4()}"
    erasure.jobs.create(
        job_id, "import", "inline", NOW, tasks=json.dumps([["t", {"records": records}, "i"]])
    )
    results = {
        "status": "SUCCESS",
        "result": {"errors": [reject("4"), reject("S0104"), reject("14")]},
    }
    client.set(key, json.dumps(results), ex=60)
    erasure.graph.block(("4",), None, NOW)
    erasure.erase(("4",))
    assert json.loads(erasure.jobs.tasks(job_id) or "")[0][1]["records"] == [{}, *records[1:]]
    kept = json.loads(str(client.get(key)))["result"]["errors"]
    assert [each["found"] for each in kept] == ["", "S0104", "14"]
    assert 0 < int(client.ttl(key)) <= 60
    for other in ("S01", "026"):
        texts = (erasure.jobs.tasks(job_id), client.get(key))
        erasure.erase((other,), block=True)
        assert (erasure.jobs.tasks(job_id), client.get(key)) == texts


def test_answers_of_the_model_go_by_the_mark_of_their_record(
    erasure: Erasure, client: "redis.Redis"
) -> None:
    write(erasure.graph, mistake("4", 7), mistake("14", 7))
    names = {student: f"edugraph:llm:answer:error:{uuid4().hex}" for student in ("4", "14")}
    for student, name in names.items():
        client.set(
            name,
            json.dumps({"quote": "x", "paid": {"by": "p", "of": record_mark(f"{student}/7")}}),
            ex=60,
        )
    assert erasure.erase(("4",))["removed"]["answers"] == {"answers": 1}
    assert (client.exists(names["4"]), client.exists(names["14"])) == (0, 1)
    client.delete(names["14"])


def test_texts_of_others_that_name_the_person_are_listed_and_stay(
    erasure: Erasure, room: Any
) -> None:
    texts = [
        "I asked Name of ann",
        "name OF ANN said",
        "Name of anna",
        "王小明说",
        "ann-7 helped",
        "nobody",
    ]
    write(
        erasure.graph,
        mistake("ann"),
        *(mistake("b", number, text) for number, text in enumerate(texts)),
    )
    before = room.query("MATCH (e:ErrorRecord {id: 'b/0'}) RETURN e.error_text AS text")
    result = erasure.erase(("ann", "ann-7"), ["王小明"])
    assert sorted(each["record_id"] for each in result["mentions"]) == ["b/0", "b/1", "b/3", "b/4"]
    assert room.query("MATCH (e:ErrorRecord {id: 'b/0'}) RETURN e.error_text AS text") == before


def test_a_restored_graph_loses_them_again_and_one_may_be_admitted(
    erasure: Erasure, room: Any
) -> None:
    write(erasure.graph, mistake("4"), mistake("14"))
    expected = room.query("MATCH (s:Student {id: '14'}) RETURN s.id AS id")
    erasure.erase(("4",))
    room.query("MATCH (t:Tombstone) RETURN t")
    room.driver.execute_query("MATCH (t:Tombstone) DELETE t")  # as an older backup is
    write(erasure.graph, mistake("4"))
    assert erasure.replay()["removed"]["graph"] == {"Student": 1}
    assert room.query("MATCH (s:Student) RETURN s.id AS id") == expected
    assert write(erasure.graph, mistake("4")).rejected == 1
    erasure.admit(("4",))
    assert erasure.blobs.keys(ERASURES) == []
    assert write(erasure.graph, mistake("4")).written == 1


# Forms of ids that lists of persons have: numbers, addresses, names of files, Han characters, other scripts.
IDS_OF_LISTS = (
    "0104",
    "S-0104_x",
    "né-77",
    "欧阳思齐",
    "Mia+Berg@school.example",
    "ann.csv",
    "Олег-7",
    "阿依古丽·买买提",
    "محمد_1",
)
names_of_lists = st.sampled_from(["Mia+Berg", "Quillon Zephyr", "김민수", "Zoë O'Neill"])


@st.composite
def crosswalks(draw: st.DrawFn) -> tuple[list[str], str, str]:
    """Return the ids of a person, one of them to erase by, and the id of somebody else that has an id of theirs in it."""
    ids = draw(st.lists(st.sampled_from(IDS_OF_LISTS), min_size=2, max_size=4, unique=True))
    neighbour = draw(st.sampled_from(["_", "-", "7", "和", "ж", "x", ".csv", "+"]))
    inner = draw(st.sampled_from(ids))
    other = draw(st.sampled_from([f"{inner}{neighbour}", f"{neighbour}{inner}"]))
    assume(other not in ids)
    return ids, draw(st.sampled_from(ids)), other


def ids_in_graph(room: Any) -> set[str]:
    """Return each text in the graph, of nodes, relationships and lists, except locks and the ledger of batches."""
    rows = room.query(
        "MATCH (n) WHERE NOT n:Lock AND NOT n:ImportBatch AND NOT n:ImportJob RETURN properties(n) AS p"
    )
    rows += room.query("MATCH ()-[r]->() RETURN properties(r) AS p")
    found = set()
    for row in rows:
        for value in row["p"].values():
            found.update(value if isinstance(value, list) else [value])
    return {each for each in found if isinstance(each, str)}


@FEW_EXAMPLES
@given(
    crosswalk=crosswalks(),
    name=names_of_lists,
    is_settled=st.booleans(),
    chain=st.booleans(),
)
@example(
    crosswalk=(["0104", "Mia+Berg@school.example"], "0104", "0104_"),
    name="Mia+Berg",
    is_settled=False,
    chain=True,
)
def test_no_id_and_no_name_of_a_list_is_left_whatever_stands_beside_it(  # noqa: PLR0917 - hypothesis names them
    erasure: Erasure,
    room: Any,
    crosswalk: tuple[list[str], str, str],
    name: str,
    is_settled: bool,
    chain: bool,
) -> None:
    """A list says which ids are one person. Somebody else's id that contains one of them stays, with its claims.

    Out: `_all_ids` in `erase`, the erasure of PersonId, of PersonRecord or of its name.
    """
    ids, erased, other = crosswalk
    room.empty()
    lists = [person_row(ids[0], *ids[1:], name=name)]
    if chain:
        lists = [person_row(before, behind, name=name) for before, behind in pairwise(ids)]
    theirs = [mistake(each, number) for number, each in enumerate(ids)]
    write(erasure.graph, *theirs, *lists)
    write(erasure.graph, mistake(other), person_row(other, "S99", name="Somebody Else"))
    if is_settled:
        erasure.graph.settle_persons()

    erasure.erase((erased,))

    left = ids_in_graph(room)
    assert {other, "S99", "Somebody Else"} <= left
    person = Person(frozenset(ids), names=frozenset({name, *(f"Name of {each}" for each in ids)}))
    kept_of_other = {
        other,
        f"Name of {other}",
        f"{other}/0",
        f"default/{other}/0",
        f"default/{other}",
    }
    named = {each for each in left - kept_of_other if each in person.ids or name in each}
    assert named == set()
    for each in ids:
        assert write(erasure.graph, mistake(each)).rejected == 1
        again = write(erasure.graph, person_row("new", each, name=name))
        assert again.rejected == 1
    assert write(erasure.graph, mistake(other, 1)).written == 1
