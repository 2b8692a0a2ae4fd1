"""Pseudonyms before entry: what names a person is replaced on the sender's machine (docs/adr/0030).

Whatever the format of a file, its rows become records of the record contract, which are written with pseudonyms. So
what the contract has no field for never leaves, and all formats name one person in one way.
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
"""The fields with the id of a person, and the field with that person's name."""
TEXT_FIELDS = frozenset(
    {
        *("text", "subject", "feedback", "question", "error_text", "response", "title", "item_title", "content"),
        *("course_description", "group_name", "name"),
    }
)
KEPT_FIELDS = frozenset(
    {
        *("course_id", "course_ids", "course_name", "topics", "error_type", "error_type_id"),
        *("interaction_type", "message_count", "like_count", "interaction_count", "occurrence_count"),
        *("item_id", "knowledge_points", "correct", "score", "attempt_number", "duration_seconds"),
        *("group_id", "term", "starts", "ends", "breaks", "role", "activity_id", "kind"),
        *("difficulty", "severity", "resolved", "progress", "time_spent", "enrollment_date", "completion_date"),
        *("point_id", "names", "requires"),
    }
)
"""The fields that are sent as they are: they name courses and things, or count. A field in none of these sets is an
error, so that a new field of the contract is not sent before somebody has looked at it."""

PRIVATE_MODE = 0o600
MAP_VERSION = 1
_KEY_BYTES = 32
_CHARACTERS = 20  # of base32: 100 bits, so that two of a million people meet with a chance below 10^-18
_CACHED, _WRITTEN_AT_ONCE = 65_536, 10_000
_SHORTEST_ID = 4  # characters: a shorter one stands in too many texts as something else
_HAN = re.compile(r"[\u3400-\u9fff]")
# A withdrawal takes back its record whatever its time, but the contract wants one.

Kind = Literal["person", "name", "record"]


class Word(NamedTuple):
    """What a text may say of a person: a name, or an id; and the pseudonym that takes its place."""

    value: str
    is_name: bool
    pseudonym: str = ""


FindWords = Callable[[str, Iterable[Word]], Iterator[tuple[int, int, Word]]]
"""(text, words) -> where one of them stands: start, end, and the word. Spans may overlap."""


class UnusableMap(Exception):
    """The file cannot be the map. The message is a sentence for the user."""


def private_file(path: Path) -> IO[bytes]:
    """Open a new file that its owner alone may read, in the place of an old one."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_MODE), "wb")


class PseudonymMap:
    """The key from which pseudonyms are made, and which of them stand for whom: a SQLite file for its owner alone.

    The same word of one kind always has the same pseudonym, in whatever file and order; without the key nobody can
    tell which. People and names are kept in the map. Records are not: there are as many as rows.
    """

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        """Raises UnusableMap."""
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
            raise UnusableMap(f"{path} is no map of pseudonyms; name another file") from None
        self._new = list[tuple[Kind, str, str]]()
        self.of = lru_cache(maxsize=_CACHED)(self._of)

    def _open(self, new_key: bytes) -> bytes:
        """Two commands that make one map at the same time agree on the key of the first."""
        with self._database as database:
            database.execute("CREATE TABLE IF NOT EXISTS map (version INTEGER PRIMARY KEY, key BLOB NOT NULL)")
            database.execute(
                "CREATE TABLE IF NOT EXISTS pseudonyms (kind TEXT, original TEXT, pseudonym TEXT NOT NULL UNIQUE,"
                " PRIMARY KEY (kind, original)) WITHOUT ROWID"
            )
            database.execute("INSERT OR IGNORE INTO map VALUES (?, ?)", (MAP_VERSION, new_key))
        return bytes(self._database.execute("SELECT key FROM map").fetchone()[0])

    def _of(self, kind: Kind, original: str) -> str:
        """Return the pseudonym of an id, a name or the id of a record, and note it."""
        digest = hmac.digest(self._key, f"{kind}\0{original}".encode(), hashlib.sha256)
        pseudonym = kind[0] + base64.b32encode(digest).decode().lower()[:_CHARACTERS]
        if kind != "record":
            self._new.append((kind, original, pseudonym))
            if len(self._new) >= _WRITTEN_AT_ONCE:
                self.save()
        return pseudonym

    def save(self) -> None:
        with self._database as database:
            database.executemany(
                "INSERT INTO pseudonyms VALUES (?, ?, ?) ON CONFLICT (kind, original) DO NOTHING", self._new
            )
        self._new.clear()

    def originals(self, pseudonym: str) -> str | None:
        """Return what a pseudonym of this map stands for."""
        query = "SELECT original FROM pseudonyms WHERE pseudonym = ?"
        row = self._database.execute(query, (pseudonym,)).fetchone()
        return str(row[0]) if row else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.save()
        finally:
            self._database.close()


def pseudonymize(
    row: Record | Withdrawal, names: PseudonymMap, find: FindWords, platforms: Platforms = UNKNOWN_PLATFORMS
) -> dict[str, Any]:
    """Return the row as the JSON of a record, with pseudonyms for the ids of people and records, and for names.

    In free texts the names and ids of the row's own people are replaced where `find` finds them; an id also as its
    platform writes it. Raises ValueError for a field of which nobody has said what it holds.
    """
    if isinstance(row, Withdrawal):
        # A record that is taken back for good has no time. The copy says the moment at which it is made.
        moment = datetime.now(UTC) if row.timestamp is None else row.change_time
        return {"timestamp": iso(moment), "record_id": names.of("record", row.record_id), "withdrawn": True}
    value = row.to_json()
    given = value["data"]
    people = list[Word]()
    for id_field, name_field in PERSON_FIELDS.items():
        if person := given.get(id_field):
            pseudonym = names.of("person", person)
            people += [Word(called, False, pseudonym) for called in sorted(platforms.names_of(person)) if called]
        if name := given.get(name_field):
            people.append(Word(name, True, names.of("name", name)))
    data: dict[str, Any] = {}
    for field, item in given.items():
        if item is None or field in KEPT_FIELDS:
            data[field] = item
        elif field in PERSON_FIELDS:
            data[field] = names.of("person", item)
        elif field in PERSON_FIELDS.values():
            data[field] = names.of("name", item)
        elif field in TEXT_FIELDS:
            data[field] = _replaced(item, people, find)
        else:
            raise ValueError(f"pseudonymization does not know the field {field}")
    return {**value, "record_id": names.of("record", row.record_id), "data": data}


def _replaced(text: str, people: Iterable[Word], find: FindWords) -> str:
    """Of spans that overlap, the first and longest one decides who is meant, and no rest of another stays."""
    pieces, last = list[str](), 0
    for start, end, word in sorted(find(text, people), key=lambda span: (span[0], -span[1])):
        if start >= last:
            pieces += [text[last:start], word.pseudonym]
        last = max(last, end)
    return "".join([*pieces, text[last:]])


def find_whole_words(text: str, words: Iterable[Word]) -> Iterator[tuple[int, int, Word]]:
    """Find names and their parts as whole words, and ids: the rule where the analyzer's is not installed.

    It knows no forms of address and no nicknames. An id that is short, or a number of few digits, is left.
    """
    for word in words:
        for part in _parts(word):
            # Chinese has no spaces, so there a name is found wherever it stands.
            edges = ("", "") if _HAN.search(part) else (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])")
            for match in re.finditer(re.escape(part).join(edges), text, re.IGNORECASE):
                yield (*match.span(), word)


def _parts(word: Word) -> list[str]:
    if not word.is_name:
        return [word.value] if len(word.value) >= _SHORTEST_ID else []
    if _HAN.search(word.value):
        given = word.value[1:]
        return [word.value, *([given] if len(given) > 1 else [])]
    return [word.value, *(part for part in re.split(r"[\s,._]+", word.value) if len(part) > 1)]
