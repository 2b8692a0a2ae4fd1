"""Rosters of OneRoster: what becomes of their rows, and what is said of a ZIP that is none."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_common.sources import Platforms, oneroster
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import Roster, RosterSettings, read_roster

READ_AT = datetime(2026, 3, 1, tzinfo=UTC)
SETTINGS = RosterSettings(Platforms({"sis": ""}), READ_AT, ZoneInfo("Asia/Shanghai"))
USERS = [
    {
        "sourcedId": "u1",
        "givenName": "芳",
        "familyName": "王",
        "username": "wang",
        "role": "student",
    },
    {
        "sourcedId": "u2",
        "givenName": "Ana",
        "familyName": "Li",
        "username": "ana",
        "role": "teacher",
    },
    {"sourcedId": "u3", "givenName": "Max", "familyName": "", "username": "", "role": "student"},
]
CLASSES = [
    {
        "sourcedId": "c1",
        "title": "Algebra A",
        "courseSourcedId": "ALG",
        "classType": "scheduled",
        "termSourcedIds": "t1",
    },
    {
        "sourcedId": "c2",
        "title": "7b",
        "courseSourcedId": "HR",
        "classType": "homeroom",
        "termSourcedIds": "t1,t2",
    },
]
TERMS = [
    {
        "sourcedId": "t1",
        "title": "Spring",
        "type": "term",
        "startDate": "2026-02-23",
        "endDate": "2026-07-05",
    },
    {
        "sourcedId": "t2",
        "title": "Autumn",
        "type": "term",
        "startDate": "2026-09-01",
        "endDate": "2027-01-16",
    },
]
ENROLLMENTS = [
    {"sourcedId": "e1", "classSourcedId": "c1", "userSourcedId": "u1", "role": "student"},
    {
        "sourcedId": "e2",
        "classSourcedId": "c1",
        "userSourcedId": "u2",
        "role": "teacher",
        "beginDate": "2026-03-01",
    },
    {
        "sourcedId": "e3",
        "classSourcedId": "c2",
        "userSourcedId": "u1",
        "role": "student",
        "endDate": "2026-12-01",
    },
    {"sourcedId": "e4", "classSourcedId": "c2", "userSourcedId": "u2", "role": "proctor"},
    {"sourcedId": "e5", "classSourcedId": "c9", "userSourcedId": "u2", "role": "teacher"},
]
FILES = {
    "users.csv": USERS,
    "classes.csv": CLASSES,
    "enrollments.csv": ENROLLMENTS,
    "academicSessions.csv": TERMS,
}


def table(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(names), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def zipped(files: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in files.items():
            archive.writestr(name, "\ufeff" + table(rows) if isinstance(rows, list) else rows)
    return packed.getvalue()


def read(files: dict[str, Any], settings: RosterSettings = SETTINGS) -> Roster:
    return read_roster(io.BytesIO(zipped(files)), settings)


def records(roster: Roster) -> list[Any]:
    return [row for row in map(parse_row, roster.records) if isinstance(row, Record)]


def test_enrollments_are_memberships_with_the_dates_and_the_term_of_their_class() -> None:
    roster = read({**FILES, "orgs.csv": [{"sourcedId": "o", "type": "school"}]})
    found = {
        (each.data.group_id, each.data.student_id or each.data.teacher_id): each.data
        for each in records(roster)[2:]
    }
    member, leader, home = found["c1", "u1"], found["c1", "u2"], found["c2", "u1"]
    assert (member.student_name, member.group_name, member.course_id, member.term) == (
        "王芳",
        "Algebra A",
        "ALG",
        "t1",
    )
    assert (member.starts, member.ends) == (
        datetime(2026, 2, 22, 16, tzinfo=UTC),
        datetime(2026, 7, 4, 16, tzinfo=UTC),
    )
    assert (leader.teacher_name, leader.leads) == ("Ana Li", True)
    assert leader.starts == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert (home.course_id, home.term, home.ends) == (
        None,
        None,
        datetime(2026, 11, 30, 16, tzinfo=UTC),
    )
    assert [each.data.name for each in records(roster)[:2]] == ["Spring", "Autumn"]
    assert roster.unused == {
        "enrollment (proctor)": 1,
        "enrollment (of a user or class that is not in the roster)": 1,
        "user (in no class)": 1,
        "org (school)": 1,
    }


@pytest.mark.parametrize(
    ("given", "family", "name"),
    [
        ("Ana", "Li", "Ana Li"),
        ("Ali", "Ali", "Ali Ali"),
        ("Ana", "", "Ana"),
        ("", "Li", "Li"),
        ("芳", "王", "王芳"),
        ("王", "王", "王王"),
        ("芳", "", "芳"),
    ],
)
def test_only_names_of_western_scripts_have_a_space(given: str, family: str, name: str) -> None:
    """To take the guard out: join the parts without a space where they are equal."""
    user = {"sourcedId": "u1", "givenName": given, "familyName": family, "role": "student"}
    roster = read({**FILES, "users.csv": [user], "enrollments.csv": ENROLLMENTS[:1]})
    member = records(roster)[-1].data
    assert member.student_name == name


def test_the_next_roster_changes_and_ends_what_the_last_one_said() -> None:
    """To take the guard out: let `_record` make the id of all that the row holds."""
    first = {each.record_id for each in records(read(FILES))}
    later = [ENROLLMENTS[0] | {"endDate": "2026-05-01", "dateLastModified": "2026-05-01T00:00:00Z"}]
    gone = [ENROLLMENTS[1] | {"status": "tobedeleted", "dateLastModified": "2026-05-01T00:00:00Z"}]
    rows = [parse_row(each) for each in read({**FILES, "enrollments.csv": later + gone}).records]
    changed, ended = rows[-2:]
    assert isinstance(changed, Record)
    assert isinstance(ended, Withdrawal)
    assert {changed.record_id, ended.record_id} <= first
    assert changed.timestamp == datetime(2026, 5, 1, tzinfo=UTC)


def test_people_have_the_ids_by_which_other_sources_know_them() -> None:
    by_name = RosterSettings(Platforms({}), READ_AT, UTC, "https://other", "username")
    roster = read(
        {**FILES, "enrollments.csv": [ENROLLMENTS[0], ENROLLMENTS[0] | {"userSourcedId": "u3"}]},
        by_name,
    )
    assert records(roster)[-1].data.student_id == "https://other|wang"
    assert roster.unused["enrollment (of a user without username)"] == 1


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (b"PK\x03\x04 no more", "cut off"),
        (zipped(FILES)[:-40], "cut off"),
        (zipped({"users.csv": USERS}), "classes.csv, enrollments.csv is not in it"),
        (zipped({**FILES, "users.csv": b"\xff\xfe\x00"}), "not UTF-8"),
        (zipped({**FILES, "users.csv": 'sourcedId\n"' + "x" * 200_000 + '"\n'}), "no CSV"),
    ],
)
def test_what_is_no_roster_is_told_in_one_sentence(packed: bytes, told: str) -> None:
    with pytest.raises(MalformedFile, match=told) as caught:
        read_roster(io.BytesIO(packed), SETTINGS)
    assert "\n" not in str(caught.value)


def test_a_small_zip_that_would_become_large_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To take the guard out: let `_Rows` not add up the sizes."""
    monkeypatch.setattr(oneroster, "MAX_BYTES", 10_000)
    with pytest.raises(MalformedFile, match="split the roster"):
        read({**FILES, "users.csv": "sourcedId\n" + "x\n" * 10_000})


@given(st.data())
def test_a_damaged_roster_is_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    packed = bytearray(zipped(FILES))
    for place in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=8)):
        packed[place] = data.draw(st.integers(0, 255))
    try:
        roster = read_roster(io.BytesIO(bytes(packed)), SETTINGS)
    except MalformedFile:
        return
    assert all(isinstance(each, dict) for each in roster.records)


def test_other_ids_of_a_user_become_claims_of_the_person() -> None:
    """Out: the prefix, the person's own id, or the form of userIds in `_person`."""
    other_ids: tuple[oneroster.OtherIds, ...] = ("username", "userIds", "identifier", "email")
    settings = RosterSettings(
        Platforms({"sis": "sis:"}),
        READ_AT,
        ZoneInfo("UTC"),
        "sis",
        "identifier",
        "north",
        other_ids,
    )
    users = [
        {
            "sourcedId": "u1",
            "identifier": "S05",
            "username": "wang",
            "userIds": "{LTI:7f3a},{AD: x@y }",
        },
        {
            "sourcedId": "u2",
            "identifier": "S06",
            "username": "S06",
            "userIds": "{LTI:}",
            "email": "",
        },
        {"sourcedId": "u3", "identifier": "", "username": "max"},
        {"sourcedId": "u4", "identifier": "S07", "username": "eva", "status": "tobedeleted"},
    ]
    files = {**FILES, "users.csv": users}
    roster = read(files, settings)
    persons = [row for row in roster.records if row.get("type") == "person_record"]
    assert [row["data"] for row in persons] == [
        {"person_id": "sis:S05", "also": ["sis:wang", "7f3a", "x@y"]}
    ]
    assert isinstance(parse_row(persons[0]), Record)
    assert persons[0]["record_id"].startswith("north:")
    ended = [row for row in roster.records if row.get("withdrawn")]
    assert len(ended) == 1
    assert not any(row.get("type") == "person_record" for row in read(files).records)
