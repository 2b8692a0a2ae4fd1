"""`edugraph roster`: what it writes, and what it says of a file that it cannot read."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_common.contracts.records import Record, parse_row

FILES = {
    "users.csv": "sourcedId,givenName,familyName,username\nu1,Ana,Li,ana\nu2,Ben,Ott,ben\n",
    "classes.csv": "sourcedId,title,classType,courseSourcedId,termSourcedIds\nk,7b,homeroom,,\n",
    "enrollments.csv": "sourcedId,classSourcedId,userSourcedId,role\ne1,k,u1,student\ne2,k,u2,proctor\n",
}


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    path = tmp_path / "roster.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return path


def test_a_roster_becomes_records_and_the_rest_is_named(roster: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ndjson"
    said = CliRunner().invoke(
        app, ["roster", str(roster), "-o", str(output), "--person-key", "username"]
    )
    assert said.exit_code == 0
    [row] = [parse_row(json.loads(line)) for line in output.read_text().splitlines()]
    assert isinstance(row, Record)
    assert row.data.model_dump(exclude_none=True) == {
        "group_id": "k",
        "student_id": "ana",
        "student_name": "Ana Li",
        "group_name": "7b",
        "role": "member",
    }
    assert "enrollment (proctor)" in said.output


def test_a_whole_roster_ends_what_the_last_one_named(roster: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.ndjson.gz", tmp_path / "second.ndjson"
    assert CliRunner().invoke(app, ["roster", str(roster), "-o", str(first)]).exit_code == 0
    files = FILES | {
        "enrollments.csv": "sourcedId,classSourcedId,userSourcedId,role\ne2,k,u2,teacher\n"
    }
    with zipfile.ZipFile(roster, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    said = CliRunner().invoke(
        app, ["roster", str(roster), "-o", str(second), "--snapshot", str(first)]
    )
    assert said.exit_code == 0
    rows = [
        row
        for line in second.read_text().splitlines()
        if isinstance(row := parse_row(json.loads(line)), Record)
    ]
    assert {
        row.data.model_dump()["student_id"]: row.data.model_dump()["ends"] is None for row in rows
    } == {
        None: True,
        "u1": False,
    }
    assert "ended now" in said.output
    missing = CliRunner().invoke(
        app, ["roster", str(roster), "-o", str(second), "--snapshot", str(tmp_path / "no")]
    )
    assert missing.exit_code == 2


def test_two_lists_with_the_same_enrollments_have_records_of_their_own(
    roster: Path, tmp_path: Path
) -> None:
    """Out: `source_prefix` in the id of a record."""
    outputs = {name: tmp_path / f"{name}.ndjson" for name in ("here", "there", "later")}
    for name in ("here", "there"):
        assert (
            CliRunner()
            .invoke(app, ["roster", str(roster), "-o", str(outputs[name]), "--source", name])
            .exit_code
            == 0
        )
    here, there = (json.loads(outputs[name].read_text())["record_id"] for name in ("here", "there"))
    assert (here.partition(":")[0], there.partition(":")[0]) == ("here", "there")
    later = ["roster", str(roster), "-o", str(outputs["later"]), "--source", "here", "--snapshot"]
    wrong = CliRunner().invoke(app, [*later, str(outputs["there"])])
    assert (wrong.exit_code, outputs["later"].exists()) == (2, False)
    assert "of the source here" in " ".join(wrong.output.split())
    assert CliRunner().invoke(app, [*later, str(outputs["here"])]).exit_code == 0
    assert (
        CliRunner().invoke(app, ["roster", str(roster), "-o", "x", "--source", "a:b"]).exit_code
        == 2
    )


def test_what_is_no_roster_is_told_in_a_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    path, output = tmp_path / "roster.zip", tmp_path / "out.ndjson"
    path.write_bytes(b"PK\x03\x04 cut off")
    said = CliRunner().invoke(app, ["roster", str(path), "-o", str(output)])
    assert (said.exit_code, output.exists()) == (2, False)
    assert "export the roster again" in " ".join(said.output.split())
    zone = CliRunner().invoke(
        app, ["roster", str(path), "-o", str(output), "--time-zone", "Moon/Base"]
    )
    assert zone.exit_code == 2
    assert "Moon/Base is not a known time zone" in " ".join(zone.output.split())


def test_a_fault_while_reading_is_not_taken_for_a_wrong_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the time zone before the `try` in `read_roster_file`."""

    def fail(*_: Any) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("edugraph_cli.commands.rosters.read_roster", fail)
    path = tmp_path / "roster.zip"
    path.write_bytes(b"PK")
    said = CliRunner().invoke(app, ["roster", str(path), "-o", str(tmp_path / "out.ndjson")])
    assert str(said.exception) == "a fault of ours"
    assert "time zone" not in said.output
