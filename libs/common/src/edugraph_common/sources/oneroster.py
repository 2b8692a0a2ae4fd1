"""Rosters: the CSV files of OneRoster 1.1 and 1.2 in a ZIP archive become memberships, terms and ids of persons.

A class becomes a group, an enrollment a membership, and an academic session a term. A user with other ids becomes a
person_record, if the caller says which columns have them. In both versions the end date is
not part of the time. https://www.imsglobal.org/spec/oneroster/v1p2
"""

import csv
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from typing import IO, Any, Literal, NamedTuple

from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.platforms import Platforms

# The bound of all files together, uncompressed, since a small ZIP may unpack to any size.
MAX_BYTES = 512 * 1024 * 1024
_REQUIRED = ("users.csv", "classes.csv", "enrollments.csv")
_FILES = (*_REQUIRED, "academicSessions.csv", "orgs.csv")
_ROLES = {"student": "student", "teacher": "teacher", "aide": "teacher"}
_FIRST_HAN = "\u2e80"  # names with characters from here on are written without a space, the family name first

PersonKey = Literal["sourcedId", "username", "identifier", "email"]
# The columns of users.csv that may have other ids of a person.
OtherIds = Literal["sourcedId", "username", "identifier", "email", "userIds"]
Row = dict[str, str]
# An entry of the column userIds, such as {LTI:7f3a}: the system and the id that it gave.
_USER_ID = re.compile(r"\{[^:{}]*:([^{}]*)\}")


@dataclass(frozen=True)
class RosterSettings:
    """The settings for reading a roster.

    - `platform`: the address of the system whose ids these are. None means the school's own system.
    - `person_key`: the column of users.csv whose value is a person's id in other sources.
    - `zone`: the time zone of dates.
    - `read_at`: the time of rows without a time.
    - `source`: the name of the list, if there are several. Each list has its own records.
    - `other_ids`: the columns of users.csv with other ids of the same person.
    """

    platforms: Platforms
    read_at: datetime
    zone: tzinfo
    platform: str | None = None
    person_key: PersonKey = "sourcedId"
    source: str | None = None
    other_ids: tuple[OtherIds, ...] = ()

    def id(self, name: str) -> str:
        return self.platforms.account_id(self.platform, name)


@dataclass
class Roster:
    """The content of a roster. `records` have the form of the record contract. `unused`: reason -> number of rows."""

    records: list[dict[str, Any]] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)


def read_roster(file: IO[bytes], settings: RosterSettings) -> Roster:
    """Return the roster in a ZIP archive.

    Raises MalformedFile if the file is not a roster, is cut off, or is too large when unpacked.
    """
    with _told(), zipfile.ZipFile(file) as archive:
        rows = _Rows(archive)
        roster = Roster()
        users = rows.by_id("users.csv")
        classes = rows.by_id("classes.csv")
        sessions = rows.by_id("academicSessions.csv")
        for session in sessions.values():
            roster.records.append(_term(session, settings))

        for row in users.values():
            roster.records += _person(row, settings)
        enrolled = set[str]()
        for row in rows.of("enrollments.csv"):
            user_id = row.get("userSourcedId", "")
            enrolled.add(user_id)
            user = users.get(user_id)
            of_class = classes.get(row.get("classSourcedId", ""))
            role = _ROLES.get(row.get("role", "").lower())
            if user is None or of_class is None:
                roster.unused["enrollment (of a user or class that is not in the roster)"] += 1
            elif role is None:
                roster.unused[f"enrollment ({row.get('role', '')[:40] or 'without a role'})"] += 1
            elif not user.get(settings.person_key):
                roster.unused[f"enrollment (of a user without {settings.person_key})"] += 1
            else:
                seat = _Seat(role, user, of_class, _sessions_of(of_class, sessions))
                roster.records.append(_membership(row, seat, settings))

        users_in_no_class = users.keys() - enrolled
        if users_in_no_class:
            roster.unused["user (in no class)"] += len(users_in_no_class)
        for row in rows.of("orgs.csv"):
            roster.unused[f"org ({row.get('type', '')[:40]})"] += 1
        return roster


def _term(session: Row, settings: RosterSettings) -> dict[str, Any]:
    """Return the record of an academic session."""
    term = {
        "term": settings.id(session["sourcedId"]),
        "name": session.get("title"),
        "starts": _moment(session.get("startDate"), settings),
        "ends": _moment(session.get("endDate"), settings),
    }
    return _record("term_record", "academicSession", session, term, settings)


def _person(user: Row, settings: RosterSettings) -> list[dict[str, Any]]:
    """Return the record of a user's ids, or nothing if the user has no other ids in the chosen columns."""
    person = user.get(settings.person_key)
    if not person:
        return []
    also: list[str] = []
    for column in settings.other_ids:
        value = user.get(column, "")
        if column == "userIds":
            # Other systems have given these ids, so they have no prefix of this platform.
            given = [each.strip() for each in _USER_ID.findall(value)]
            also += filter(None, given)
        elif value and value != person:
            also.append(settings.id(value))
    if not also:
        return []
    data = {"person_id": settings.id(person), "also": also, "name": _name(user)}
    return [_record("person_record", "user", user, data, settings)]


def _sessions_of(of_class: Row, sessions: Mapping[str, Row]) -> list[Row]:
    """Return the sessions of a class that are in the roster."""
    found = []
    for session_id in of_class.get("termSourcedIds", "").split(","):
        session = sessions.get(session_id.strip())
        if session:
            found.append(session)
    return found


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise MalformedFile(
            "a file in the ZIP is not UTF-8, as OneRoster wants it: export the roster again"
        ) from None
    except (
        zipfile.BadZipFile,
        ValueError,
    ):  # a position before the beginning of the file raises ValueError
        raise MalformedFile(
            "it is no ZIP file, or it is cut off or damaged: export the roster again"
        ) from None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        raise MalformedFile(
            "a file in the ZIP cannot be unpacked: export the roster again, without a password"
        ) from None
    except csv.Error:
        raise MalformedFile("a file in the ZIP is no CSV: export the roster again") from None


class _Rows:
    """The rows of a roster's files. At most `MAX_BYTES` are unpacked."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        # The files may be in a folder.
        self._members = {info.filename.rsplit("/", 1)[-1]: info for info in archive.infolist()}
        self._archive = archive
        missing = [name for name in _REQUIRED if name not in self._members]
        if missing:
            raise MalformedFile(f"it is no OneRoster ZIP: {', '.join(missing)} is not in it")
        # A ZIP archive states the sizes of its files, and a file is never unpacked beyond its stated size.
        stated_bytes = 0
        for name, info in self._members.items():
            if name in _FILES:
                stated_bytes += info.file_size
        if stated_bytes > MAX_BYTES:
            raise MalformedFile(
                f"its files have more than {MAX_BYTES // 1024**2} MiB: split the roster by school"
            )

    def of(self, name: str) -> Iterator[Row]:
        """Yield the rows of a file. A missing file has no rows."""
        if name not in self._members:
            return
        with self._archive.open(self._members[name]) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")):
                yield {
                    key: value.strip()
                    for key, value in row.items()
                    if key and isinstance(value, str)
                }

    def by_id(self, name: str) -> dict[str, Row]:
        return {row["sourcedId"]: row for row in self.of(name) if row.get("sourcedId")}


class _Seat(NamedTuple):
    """The person and the class of an enrollment. `in_terms` are the sessions of the class."""

    role: str
    user: Row
    of_class: Row
    in_terms: list[Row]


def _membership(row: Row, seat: _Seat, settings: RosterSettings) -> dict[str, Any]:
    role, user, of_class, in_terms = seat
    first_day = row.get("beginDate") or min(_given(in_terms, "startDate"), default=None)
    day_after = row.get("endDate") or max(_given(in_terms, "endDate"), default=None)
    term = None
    if len(in_terms) == 1:
        term = settings.id(in_terms[0]["sourcedId"])
    course_id = None
    is_home_room = of_class.get("classType", "").lower() == "homeroom"
    if of_class.get("courseSourcedId") and not is_home_room:
        course_id = settings.id(of_class["courseSourcedId"])
    data = {
        "group_id": settings.id(of_class["sourcedId"]),
        "group_name": of_class.get("title"),
        f"{role}_id": settings.id(user[settings.person_key]),
        f"{role}_name": _name(user),
        "term": term,
        "course_id": course_id,
        "role": "member" if role == "student" else "leader",
        "starts": _moment(first_day, settings),
        "ends": _moment(day_after, settings),
    }
    return _record("membership_record", "enrollment", row, data, settings)


def _record(
    kind: str, thing: str, row: Row, data: Mapping[str, Any], settings: RosterSettings
) -> dict[str, Any]:
    """Return a record. Its id comes from the id of the row, so that the next roster can change or end the record."""
    row_id = row.get("sourcedId") or json.dumps(row, sort_keys=True)
    key = json.dumps(["oneroster", thing, settings.id(row_id)])
    record_id = source_prefix(settings.source) + hashlib.sha256(key.encode()).hexdigest()
    at = row.get("dateLastModified") or settings.read_at.isoformat()
    if row.get("status", "").lower() == "tobedeleted":
        return {"timestamp": at, "record_id": record_id, "withdrawn": True}
    given = {name: value for name, value in data.items() if value}
    return {"type": kind, "timestamp": at, "record_id": record_id, "data": given}


def source_prefix(source: str | None) -> str:
    """Return the prefix of the record ids of a named list. A list without a name has an empty prefix."""
    if not source:
        return ""
    return f"{source}:"


def _given(rows: Iterable[Row], name: str) -> Iterator[str]:
    return (row[name] for row in rows if row.get(name))


def _moment(day: str | None, settings: RosterSettings) -> str | None:
    """Return the beginning of a day at the school.

    A text that is not a date is returned unchanged, to be rejected.
    """
    if not day:
        return None
    try:
        begin = datetime.combine(date.fromisoformat(day), time(), settings.zone)
    except ValueError:
        return day
    return begin.isoformat()


def _name(user: Row) -> str:
    given = user.get("givenName", "")
    family = user.get("familyName", "")
    first_character = (family or given)[:1]
    if first_character >= _FIRST_HAN:
        return f"{family}{given}"
    return f"{given} {family}".strip()
