"""Rosters: the CSV files of OneRoster 1.1 and 1.2 in a ZIP archive become memberships and terms.

A class becomes a group, an enrollment a membership, and an academic session a term. In both versions the end date is
not part of the time. https://www.imsglobal.org/spec/oneroster/v1p2
"""

import csv
import hashlib
import io
import json
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

MAX_BYTES = 512 * 1024 * 1024  # of all files together, uncompressed, since a small ZIP may unpack to any size
_REQUIRED = ("users.csv", "classes.csv", "enrollments.csv")
_FILES = (*_REQUIRED, "academicSessions.csv", "orgs.csv")
_ROLES = {"student": "student", "teacher": "teacher", "aide": "teacher"}
_FIRST_HAN = "\u2e80"  # names with characters from here on are written without a space, the family name first

PersonKey = Literal["sourcedId", "username", "identifier", "email"]
Row = dict[str, str]


@dataclass(frozen=True)
class RosterSettings:
    """The settings for reading a roster.

    - `platform`: the address of the system whose ids these are. None means the school's own system.
    - `person_key`: the column of users.csv whose value is a person's id in other sources.
    - `zone`: the time zone of dates.
    - `read_at`: the time of rows without a time.
    - `source`: the name of the list, if there are several. Each list has its own records.
    """

    platforms: Platforms
    read_at: datetime
    zone: tzinfo
    platform: str | None = None
    person_key: PersonKey = "sourcedId"
    source: str | None = None

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
        roster, users, classes = Roster(), rows.by_id("users.csv"), rows.by_id("classes.csv")
        sessions = rows.by_id("academicSessions.csv")
        for session in sessions.values():
            term = {"term": settings.id(session["sourcedId"]), "name": session.get("title")}
            dates = {"starts": session.get("startDate"), "ends": session.get("endDate")}
            term |= {name: _moment(day, settings) for name, day in dates.items()}
            roster.records.append(_record("term_record", "academicSession", session, term, settings))
        enrolled = set[str]()
        for row in rows.of("enrollments.csv"):
            enrolled.add(row.get("userSourcedId", ""))
            user, of_class = users.get(row.get("userSourcedId", "")), classes.get(row.get("classSourcedId", ""))
            role = _ROLES.get(row.get("role", "").lower())
            if user is None or of_class is None:
                roster.unused["enrollment (of a user or class that is not in the roster)"] += 1
            elif role is None:
                roster.unused[f"enrollment ({row.get('role', '')[:40] or 'without a role'})"] += 1
            elif not user.get(settings.person_key):
                roster.unused[f"enrollment (of a user without {settings.person_key})"] += 1
            else:
                terms = (sessions.get(term.strip()) for term in of_class.get("termSourcedIds", "").split(","))
                seat = _Seat(role, user, of_class, [term for term in terms if term])
                roster.records.append(_membership(row, seat, settings))
        alone = len(users.keys() - enrolled)
        roster.unused.update({"user (in no class)": alone} if alone else {})
        roster.unused.update(f"org ({row.get('type', '')[:40]})" for row in rows.of("orgs.csv"))
        return roster


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise MalformedFile(
            "a file in the ZIP is not UTF-8, as OneRoster wants it: export the roster again"
        ) from None
    except (zipfile.BadZipFile, ValueError):  # a position before the beginning of the file raises ValueError
        raise MalformedFile("it is no ZIP file, or it is cut off or damaged: export the roster again") from None
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
        if sum(info.file_size for name, info in self._members.items() if name in _FILES) > MAX_BYTES:
            raise MalformedFile(f"its files have more than {MAX_BYTES // 1024**2} MiB: split the roster by school")

    def of(self, name: str) -> Iterator[Row]:
        """Yield the rows of a file. A missing file has no rows."""
        if name not in self._members:
            return
        with self._archive.open(self._members[name]) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")):
                yield {key: value.strip() for key, value in row.items() if key and isinstance(value, str)}

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
    is_home_room = of_class.get("classType", "").lower() == "homeroom"
    course = "" if is_home_room else of_class.get("courseSourcedId", "")
    first = row.get("beginDate") or min(_given(in_terms, "startDate"), default=None)
    after = row.get("endDate") or max(_given(in_terms, "endDate"), default=None)
    data = {
        "group_id": settings.id(of_class["sourcedId"]),
        "group_name": of_class.get("title"),
        f"{role}_id": settings.id(user[settings.person_key]),
        f"{role}_name": _name(user),
        "term": settings.id(in_terms[0]["sourcedId"]) if len(in_terms) == 1 else None,
        "course_id": settings.id(course) if course else None,
        "role": "member" if role == "student" else "leader",
    }
    dates = {"starts": _moment(first, settings), "ends": _moment(after, settings)}
    return _record("membership_record", "enrollment", row, data | dates, settings)


def _record(kind: str, thing: str, row: Row, data: Mapping[str, Any], settings: RosterSettings) -> dict[str, Any]:
    """Return a record. Its id comes from the id of the row, so that the next roster can change or end the record."""
    key = json.dumps(["oneroster", thing, settings.id(row.get("sourcedId") or json.dumps(row, sort_keys=True))])
    record_id = source_prefix(settings.source) + hashlib.sha256(key.encode()).hexdigest()
    at = row.get("dateLastModified") or settings.read_at.isoformat()
    if row.get("status", "").lower() == "tobedeleted":
        return {"timestamp": at, "record_id": record_id, "withdrawn": True}
    given = {name: value for name, value in data.items() if value}
    return {"type": kind, "timestamp": at, "record_id": record_id, "data": given}


def source_prefix(source: str | None) -> str:
    """Return the prefix of the record ids of a named list. A list without a name has an empty prefix."""
    return f"{source}:" if source else ""


def _given(rows: Iterable[Row], name: str) -> Iterator[str]:
    return (row[name] for row in rows if row.get(name))


def _moment(day: str | None, settings: RosterSettings) -> str | None:
    """Return the beginning of a day at the school.

    A text that is not a date is returned unchanged, to be rejected.
    """
    try:
        return datetime.combine(date.fromisoformat(day), time(), settings.zone).isoformat() if day else None
    except ValueError:
        return day


def _name(user: Row) -> str:
    given, family = user.get("givenName", ""), user.get("familyName", "")
    parts = [family, given] if (family or given)[:1] >= _FIRST_HAN else [given, family]
    return ("" if parts[0] == family else " ").join(part for part in parts if part)
