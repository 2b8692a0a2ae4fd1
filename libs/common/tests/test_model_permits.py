"""A permit is for one caller and this very basis, names nobody in its key, and ends with an erasure."""

import json
from typing import Any

import pytest

from edugraph_common.contracts.drafts import Draft, DraftBasis
from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.model_permits import (
    PERMIT_LIFETIME,
    ModelPermits,
    permit_of,
)
from edugraph_common.sources.person import ErasedPeople, Person, Scrubbed
from edugraph_common.sources.students import plain_hash

TEACHER = Caller("k1", (), ("teacher",), "T01")
RECORD = {"number": 1, "record_id": "r1", "student_id": "S05", "at": "2026-11-02", "text": "2/5"}
BASIS = DraftBasis.model_validate(
    {
        "kind": "summary",
        "course_id": "MATH8",
        "students": [{"student_id": "S05", "name": "Anna"}, {"student_id": "S06"}],
        "records": [RECORD, {**RECORD, "number": 2, "student_id": "S06"}],
    }
)


class Server:
    """Stands for Redis: keys with their values and lifetimes."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.lifetimes: list[Any] = []

    def set(self, key: str, value: str, px: Any) -> None:
        self.values[key] = value
        self.lifetimes.append(px)

    def get(self, key: str) -> str | None:
        return self.values.get(key)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def permits(server: Server) -> ModelPermits:
    found = ModelPermits(server)  # type: ignore[arg-type]
    found.give(TEACHER, BASIS)
    return found


@pytest.mark.parametrize(
    ("caller", "basis"),
    [
        (Caller("k2", (), ("teacher",), "T01"), BASIS),
        (Caller("k1", (), ("teacher",), "T02"), BASIS),
        (Caller("k1", (), ("teacher",), None), BASIS),
        (TEACHER, BASIS.model_copy(update={"course_id": "MATH9"})),
        (TEACHER, BASIS.model_copy(update={"records": BASIS.records[:1]})),
        (TEACHER, BASIS.model_copy(update={"kind": "feedback"})),
    ],
    ids=["another key", "another person", "nobody", "another course", "fewer", "another kind"],
)
def test_a_permit_is_for_one_caller_and_these_records(
    permits: ModelPermits, caller: Caller, basis: DraftBasis
) -> None:
    """Out, each alone: the client, the person or the basis in `permit_of`."""
    assert permits.holds(permit_of(TEACHER, BASIS))
    assert not permits.holds(permit_of(caller, basis))


def test_a_permit_ends_and_its_key_names_nobody(permits: ModelPermits, server: Server) -> None:
    """Out: the lifetime, or the hash."""
    [key] = server.values
    assert server.lifetimes == [PERMIT_LIFETIME]
    for name in ("S05", "Anna", "MATH8", "T01", "2/5"):
        assert name not in key
    [value] = server.values.values()
    assert json.loads(value) == {"student_ids": ["S05", "S06"]}
    server.values.clear()
    assert not permits.holds(permit_of(TEACHER, BASIS))


def erased(student: str) -> list[Person | ErasedPeople]:
    """Return the two ways in which an erasure knows a person."""
    return [
        Person(frozenset({student})),
        ErasedPeople(lambda hashed: hashed == plain_hash(student)),
    ]


@pytest.mark.parametrize("student", ["S05", "S06"])
def test_an_erasure_ends_the_permit(permits: ModelPermits, server: Server, student: str) -> None:
    """Out: `student_ids` in STUDENT_FIELDS, or the look at the value in `holds`."""
    for who in erased("S77"):
        assert Scrubbed(who, next(iter(server.values.values()))).removed == 0
    for who in erased(student):
        permits.give(TEACHER, BASIS)
        for key, value in server.values.items():
            server.values[key] = Scrubbed(who, value).text
        assert not permits.holds(permit_of(TEACHER, BASIS))


def test_permits_are_emptied_before_results_are_searched() -> None:
    """A draft whose permit ended after it was stored must be found. Out: the place of the entry in PLACES."""
    assert patterns_of("results") == ("edugraph:draft-permit:*", "celery-task-meta-*")


@pytest.mark.parametrize("student", ["S05", "S06"])
def test_a_whole_draft_goes_with_each_of_its_students(student: str) -> None:
    """A sentence may name a student whose record another sentence cites. Out: `student_ids` in STUDENT_FIELDS."""
    draft = Draft.model_validate(
        {
            "job_id": "j",
            "state": "draft",
            "kind": "summary",
            "course_id": "MATH8",
            "student_ids": ["S05", "S06"],
            "sentences": [{"text": "Anna adds denominators.", "cites": [1]}],
            "records": [{"number": 1, "record_id": "r1", "student_id": "S05"}],
        }
    )
    stored = json.dumps({"status": "SUCCESS", "result": draft.model_dump(mode="json")})
    for who in erased(student):
        assert json.loads(Scrubbed(who, stored).text) == {"status": "SUCCESS", "result": {}}
    for who in erased("S77"):
        assert Scrubbed(who, stored).removed == 0


def test_a_message_that_waits_as_a_dead_letter_loses_the_records_of_an_erased_student() -> None:
    message = {"job_id": "j", "basis": BASIS.model_dump(mode="json"), "permit": "0" * 64}
    for who in erased("S05"):
        left = Scrubbed(who, json.dumps([[message], {}, {}])).text
        assert "S05" not in left
        assert "Anna" not in left
