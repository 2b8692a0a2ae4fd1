"""`edugraph persons` says whose an id is, and which ids are nobody's."""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_common.contracts.api import Accepted, ContestedId, PersonIds, Persons
from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_common.contracts.school_records import PersonRecord

runner = CliRunner()
KNOWN = PersonIds(owner="S05", ids=("17", "S05"), contested=("0",))
CONTESTED = ContestedId(id="0", persons=200, claimed_by=("S05", "S06"))


class Gateway:
    sent: list[tuple[list[dict[str, Any]], dict[str, Any]]] = []

    def import_records(self, records: list[dict[str, Any]], **options: Any) -> Accepted:
        self.sent.append((records, options))
        return Accepted(job_id="job-1", task_id="task-1")

    def person_ids(self, person_id: str | None = None) -> Persons:
        person = KNOWN if person_id in KNOWN.ids else None
        return Persons(
            claims=201, joined=1, contested_in_all=1, contested=(CONTESTED,), person=person
        )


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    def client() -> Any:
        return nullcontext(Gateway())

    monkeypatch.setattr(Gateway, "sent", [])
    monkeypatch.setattr("edugraph_cli.commands.persons.Client.from_environment", client)


def said(*arguments: str) -> str:
    done = runner.invoke(app, ["persons", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return " ".join(done.output.split())


def test_any_id_shows_all_ids_of_the_person() -> None:
    answer = "S05 stands for this person. Ids: 17, S05 Claimed by others as well: 0"
    assert said("show", "17") == answer
    assert said("show", "S05") == answer
    assert "No claim names the id 99" in said("show", "99")


def test_contested_ids_are_listed_with_who_claims_them() -> None:
    answer = said("contested")
    assert "201 claims, by which 1 ids belong to a person with another id." in answer
    assert "0 200 S05, S06" in answer


def sent_records() -> list[list[Record | Withdrawal]]:
    """Return the rows of each import, as the importer reads them."""
    found = []
    for rows, _ in Gateway.sent:
        read: list[Record | Withdrawal] = []
        for row in rows:
            parsed = parse_row(row)
            assert isinstance(parsed, Record | Withdrawal)
            read.append(parsed)
        found.append(read)
    return found


def decision(record: Record | Withdrawal) -> tuple[str, tuple[str, ...]]:
    """Return the person and the ids that a record gives to the person."""
    assert isinstance(record, Record)
    assert isinstance(record.data, PersonRecord)
    assert record.data.decides
    return record.data.person_id, record.data.claimed


def test_a_decision_replaces_the_earlier_one_about_the_same_id() -> None:
    """Out: the id in the record's id, or its hash of only the person."""
    assert "Accepted as job job-1." in said("join", "S05", "17", "card/5", "17")
    said("join", "S06", "17", "--source", "lms")
    said("part", "17", "--source", "lms")
    said("withdraw", "17", "--source", "lms")
    joined, [again], [parted], [withdrawal] = sent_records()
    assert [decision(each) for each in joined] == [("S05", ("17",)), ("S05", ("card/5",))]
    assert decision(again) == ("S06", ("17",))
    assert decision(parted) == ("17", ("17",))
    assert isinstance(withdrawal, Withdrawal)
    first, other = joined
    assert {again.record_id, parted.record_id, withdrawal.record_id} == {first.record_id}
    assert other.record_id != first.record_id
    times = [datetime.fromisoformat(rows[0]["timestamp"]) for rows, _ in Gateway.sent]
    assert times == sorted(set(times))
    assert abs((datetime.now(UTC) - times[0]).total_seconds()) < 60
    [row] = Gateway.sent[-1][0]
    # An erasure finds the withdrawal by the id.
    assert row["data"] == {"person_id": "17"}
    options = [each for _, each in Gateway.sent]
    assert options == [{}, {"source": "lms"}, {"source": "lms"}, {"source": "lms"}]


def test_an_id_is_the_same_in_each_form_of_its_letters() -> None:
    """Out: `normal_id`. Then `withdraw` would take back a record that `join` never sent."""
    said("join", "S05", "Ren\u00e9", " Rene\u0301 ")
    said("withdraw", "Rene\u0301")
    [joined], [withdrawn] = sent_records()
    assert joined.record_id == withdrawn.record_id
    done = runner.invoke(app, ["persons", "join", "Ren\u00e9", "Rene\u0301"])
    assert done.exit_code == 2


def test_the_own_id_of_a_person_is_not_joined() -> None:
    done = runner.invoke(app, ["persons", "join", "S05", "17", "S05"])
    assert done.exit_code == 2
    assert Gateway.sent == []
