"""Pseudonyms before import: ids and names of persons are replaced on the machine of the sender (docs/adr/0030).

The rows of each format become records of the record contract, which are written with pseudonyms. So data without a
field in the contract never leaves the machine, and all formats name a person in the same way.
"""

import base64
import hashlib
import hmac
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from stat import S_IMODE
from types import TracebackType
from typing import IO, Any, Literal, NamedTuple, Self

from edugraph_common.contracts.records import Record, Withdrawal, iso
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS, Platforms

PERSON_FIELDS = {
    "student_id": "student_name",
    "student_id_from": "student_name_from",
    "student_id_to": "student_name_to",
    "teacher_id": "teacher_name",
}
"""The fields with the id of a person -> the field with the name of this person."""
TEXT_FIELDS = frozenset(
    {
        "text",
        "subject",
        "feedback",
        "question",
        "error_text",
        "response",
        "title",
        "item_title",
        "content",
        "course_description",
        "description",
        "group_name",
        "name",
    }
)
# The ids in a person_record. Its `name` is the name of the person.
ID_FIELDS = frozenset({"person_id", "also"})
# The ids of other records. A discussion often has the id of its first post.
RECORD_FIELDS = frozenset({"reply_to", "thread_id"})
KEPT_FIELDS = frozenset(
    {
        "course_id",
        "course_ids",
        "course_name",
        "topics",
        "error_type",
        "error_type_id",
        "interaction_type",
        "spoken",
        "not_until",
        "message_count",
        "like_count",
        "interaction_count",
        "occurrence_count",
        "item_id",
        "knowledge_points",
        "correct",
        "score",
        "attempt_number",
        "duration_seconds",
        "group_id",
        "term",
        "starts",
        "ends",
        "breaks",
        "role",
        "activity_id",
        "kind",
        "difficulty",
        "severity",
        "resolved",
        "progress",
        "time_spent",
        "enrollment_date",
        "completion_date",
        "point_id",
        "names",
        "requires",
        "label",
        "parent",
        "standard_id",
        "max_score",
        "hints",
        "late",
        "assigned_to",
        "opens_at",
        "due_at",
        "decides",
    }
)
"""The fields that are sent unchanged. They name courses and other things, or they are numbers.

A field that is in none of these sets is an error, so that a new field of the contract is not sent before somebody has
looked at it.
"""

PRIVATE_MODE = 0o600
MAP_VERSION = 1
_KEY_BYTES = 32
# The characters of base32 in a pseudonym. They are 100 bits, so that among a million people the chance of two equal
# pseudonyms is below 10^-18.
_CHARACTERS = 20
_CACHED = 65_536
_WRITTEN_AT_ONCE = 10_000
# Characters. A shorter id stands in too many texts with another meaning.
_SHORTEST_ID = 4
_HAN = re.compile(r"[\u3400-\u9fff]")

Kind = Literal["person", "name", "record"]
_KIND_OF_FIELD: dict[str, Kind] = {
    **dict.fromkeys(PERSON_FIELDS, "person"),
    **dict.fromkeys(PERSON_FIELDS.values(), "name"),
    **dict.fromkeys(RECORD_FIELDS, "record"),
}


class Word(NamedTuple):
    """A name or an id of a person that may stand in a text, and the pseudonym that replaces it."""

    value: str
    is_name: bool
    pseudonym: str = ""


FindWords = Callable[[str, Iterable[Word]], Iterator[tuple[int, int, Word]]]
"""(text, words) -> each place of a word: start, end, and the word. Places may overlap."""


class UnusableMap(Exception):
    """The file cannot be used as the map. The message is a sentence for the user."""


def private_file(path: Path) -> IO[bytes]:
    """Open a new file that only its owner may read. An old file is replaced."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_MODE), "wb")


class PseudonymMap:
    """The key of the pseudonyms, and the person or name behind each one: a SQLite file that only its owner may read.

    The same word of one kind always has the same pseudonym, in each file and in each order. Without the key nobody
    can compute it. The map keeps persons and names, but not records, since there are as many records as rows.
    """

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        """Open the map, or make it. `random` returns random bytes. Raises UnusableMap."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_MODE))
        except FileExistsError:
            mode = S_IMODE(path.stat().st_mode)
            if mode & ~PRIVATE_MODE:
                raise UnusableMap(
                    f"{path} may be read by others than its owner (mode {mode:o}), and it says who is who; "
                    f"take that away: chmod 600 {path}"
                ) from None
        self._database = sqlite3.connect(path, timeout=60)
        try:
            self._key = self._open(random(_KEY_BYTES))
        except sqlite3.DatabaseError:
            raise UnusableMap(f"{path} is not a map of pseudonyms; name another file") from None
        self._new = list[tuple[Kind, str, str]]()
        self.of = lru_cache(maxsize=_CACHED)(self._of)

    def _open(self, new_key: bytes) -> bytes:
        """Return the key. If two commands make the same map at the same time, both use the key of the first."""
        with self._database as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS map (version INTEGER PRIMARY KEY, key BLOB NOT NULL)"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS pseudonyms (kind TEXT, original TEXT, pseudonym TEXT NOT NULL UNIQUE,"
                " PRIMARY KEY (kind, original)) WITHOUT ROWID"
            )
            database.execute("INSERT OR IGNORE INTO map VALUES (?, ?)", (MAP_VERSION, new_key))
        return bytes(self._database.execute("SELECT key FROM map").fetchone()[0])

    def _of(self, kind: Kind, original: str) -> str:
        """Return the pseudonym of a person's id, a name, or the id of a record, and remember it for `save`."""
        digest = hmac.digest(self._key, f"{kind}\0{original}".encode(), hashlib.sha256)
        pseudonym = kind[0] + base64.b32encode(digest).decode().lower()[:_CHARACTERS]
        if kind != "record":
            self._new.append((kind, original, pseudonym))
            if len(self._new) >= _WRITTEN_AT_ONCE:
                self.save()
        return pseudonym

    def save(self) -> None:
        """Write the new pseudonyms into the file."""
        with self._database as database:
            database.executemany(
                "INSERT INTO pseudonyms VALUES (?, ?, ?) ON CONFLICT (kind, original) DO NOTHING",
                self._new,
            )
        self._new.clear()

    def originals(self, pseudonym: str) -> str | None:
        """Return the id or name behind a pseudonym, or None if it is not in the map."""
        query = "SELECT original FROM pseudonyms WHERE pseudonym = ?"
        row = self._database.execute(query, (pseudonym,)).fetchone()
        if row is None:
            return None
        return str(row[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.save()
        finally:
            self._database.close()


def pseudonymize(
    row: Record | Withdrawal,
    names: PseudonymMap,
    find: FindWords,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> dict[str, Any]:
    """Return the row as the JSON of a record, with pseudonyms for the ids of persons and records, and for names.

    In free texts the names and ids of the persons of this row are replaced where `find` finds them. An id is also
    found in the form in which its platform writes it. Raises ValueError for a field that is in none of the sets of
    fields above.
    """
    if isinstance(row, Withdrawal):
        # A withdrawal without a time takes back its record permanently. The copy gets the present time, since the
        # contract wants one.
        moment = datetime.now(UTC) if row.timestamp is None else row.change_time
        return {
            "timestamp": iso(moment),
            "record_id": names.of("record", row.record_id),
            "withdrawn": True,
        }
    value = row.to_json()
    given = value["data"]
    if row.type == "person_record":
        ids = _with_other_ids(given, names)
        return {**value, "record_id": names.of("record", row.record_id), "data": ids}
    people: list[Word] = []
    for id_field, name_field in PERSON_FIELDS.items():
        person = given.get(id_field)
        if person:
            pseudonym = names.of("person", person)
            people += [
                Word(called, False, pseudonym)
                for called in sorted(platforms.names_of(person))
                if called
            ]
        name = given.get(name_field)
        if name:
            people.append(Word(name, True, names.of("name", name)))
    data: dict[str, Any] = {}
    for field, item in given.items():
        if item is None or field in KEPT_FIELDS:
            data[field] = item
        elif field in _KIND_OF_FIELD:
            data[field] = names.of(_KIND_OF_FIELD[field], item)
        elif field in TEXT_FIELDS:
            data[field] = _replaced(item, people, find)
        else:
            raise ValueError(f"pseudonymization does not know the field {field}")
    return {**value, "record_id": names.of("record", row.record_id), "data": data}


def _with_other_ids(given: dict[str, Any], names: PseudonymMap) -> dict[str, Any]:
    """Return the fields of a person_record with pseudonyms."""
    data: dict[str, Any] = {"person_id": names.of("person", given["person_id"])}
    if given.get("also"):
        data["also"] = [names.of("person", each) for each in given["also"]]
    if given.get("name"):
        data["name"] = names.of("name", given["name"])
    return data


def _replaced(text: str, people: Iterable[Word], find: FindWords) -> str:
    """Return the text with pseudonyms.

    If places overlap, the first and longest one decides which pseudonym is written. Nothing of the others stays.
    """
    pieces: list[str] = []
    replaced_until = 0
    for start, end, word in sorted(find(text, people), key=lambda place: (place[0], -place[1])):
        if start >= replaced_until:
            pieces += [text[replaced_until:start], word.pseudonym]
        replaced_until = max(replaced_until, end)
    pieces.append(text[replaced_until:])
    return "".join(pieces)


def find_whole_words(text: str, words: Iterable[Word]) -> Iterator[tuple[int, int, Word]]:
    """Yield the places of names, parts of names, and ids as whole words. Used if the analyzer is not installed.

    Forms of address and nicknames are not found, nor are short ids.
    """
    for word in words:
        for part in _parts(word):
            pattern = re.escape(part)
            # Chinese is written without spaces, so a Chinese name is found at each place.
            if not _HAN.search(part):
                pattern = rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"
            for match in re.finditer(pattern, text, re.IGNORECASE):
                yield (*match.span(), word)


def _parts(word: Word) -> list[str]:
    """Return the texts by which a word is found."""
    if not word.is_name:
        if len(word.value) < _SHORTEST_ID:
            return []
        return [word.value]
    if _HAN.search(word.value):
        parts = [word.value[1:]]  # the given name
    else:
        parts = re.split(r"[\s,._]+", word.value)
    return [word.value, *(part for part in parts if len(part) > 1)]
