"""`edugraph persons` says whose an id is, and which ids are nobody's."""

from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_common.contracts.api import ContestedId, PersonIds, Persons

runner = CliRunner()
KNOWN = PersonIds(owner="S05", ids=("17", "S05"), contested=("0",))
CONTESTED = ContestedId(id="0", persons=200, claimed_by=("S05", "S06"))


class Gateway:
    def person_ids(self, person_id: str | None = None) -> Persons:
        person = KNOWN if person_id in KNOWN.ids else None
        return Persons(
            claims=201, joined=1, contested_in_all=1, contested=(CONTESTED,), person=person
        )


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    def client() -> Any:
        return nullcontext(Gateway())

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
