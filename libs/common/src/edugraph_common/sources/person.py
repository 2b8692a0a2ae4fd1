"""Persons who are erased or restricted, and the parts of JSON that are about them.

Messages, results and reports hold records, findings and rejects. Each of them is compared as a whole by the ids in
its fields, and never by its text.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edugraph_common.contracts.messages import STATEMENT_ROW
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.record_keys import source_and_id
from edugraph_common.contracts.records import DATA_OF_TYPE, shorten
from edugraph_common.contracts.words import is_in, standing_alone
from edugraph_common.sources.students import (
    STUDENT_FIELDS,
    names_without_id,
    people_of_record,
    plain_hash,
    students_of_record,
    texts_in,
)

# Messages, results and reports have far fewer levels. A wrong row may have as many as a decoder of JSON reads.
_MOST_LEVELS = 100
SHORTEST_WORD = 3  # characters of an id that is searched in other people's texts, since shorter ids are in too many
# Only the required fields, since other fields may be left out.
_REJECT_FIELDS = frozenset(
    name for name, field in Reject.model_fields.items() if field.is_required()
)

_TYPES_OF_ROWS = frozenset({*DATA_OF_TYPE, STATEMENT_ROW})


def quoted_ids(ids: Iterable[str], record_keys: Iterable[str]) -> frozenset[str]:
    """Return the ids of a person and of their records, as a report of wrong values quotes them.

    A report has the key of a record, or the id that its source sent.
    """
    keys = frozenset(record_keys)
    sent_ids = {source_and_id(key).id for key in keys}
    return frozenset(map(shorten, keys.union(sent_ids, ids)))


@dataclass(frozen=True)
class Person:
    """All ids of a person, and the ids of the records that name the person, as far as the graph knows them.

    `names`: the names of the person in texts. They matter for texts without ids, such as file names.
    """

    ids: frozenset[str]
    records: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @cached_property
    def marks(self) -> frozenset[str]:
        return frozenset(map(record_mark, self.records))

    def is_among(self, ids: Iterable[str]) -> bool:
        return not self.ids.isdisjoint(map(normal_id, ids))

    @cached_property
    def _quoted_ids(self) -> frozenset[str]:
        return quoted_ids(self.ids, self.records)

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        return standing_alone((*self.ids, *self.names), ignore_case=True)

    def is_named_in(self, text: str) -> bool:
        """Return whether a text contains an id or a name as a word, in any Unicode form."""
        return is_in(self._words, text)

    def is_quoted(self, found: str) -> bool:
        """Return whether the wrong value in a report is one of the ids, or a text that names the person.

        A short id is in too many texts, so it counts only as the whole value, or in a list or object.
        """
        if normal_id(found) in self._quoted_ids:
            return True
        is_a_list_or_object = found.startswith(("[", "{"))
        if is_a_list_or_object:
            return self.is_named_in(found)
        return self.is_written_in(found)

    @cached_property
    def written(self) -> re.Pattern[str] | None:
        """The pattern that finds the person in texts of people, as they are searched, or None without a word."""
        words = (*self.names, *(each for each in self.ids if len(each) >= SHORTEST_WORD))
        return standing_alone(words, ignore_case=True)

    def is_written_in(self, text: str) -> bool:
        """Return whether a text of people names the person, ignoring case. Short ids do not count."""
        return is_in(self.written, text)


@dataclass(frozen=True)
class ErasedPeople:
    """All persons who were erased before, known only by their tombstones and not by their ids and names.

    `is_erased` takes the `plain_hash` of an id. `marks` are the marks of their records that were refused.
    """

    is_erased: Callable[[str], bool]
    marks: frozenset[str] = frozenset()
    ids: None = None
    _seen: dict[str, bool] = field(default_factory=dict)

    def is_among(self, ids: Iterable[str]) -> bool:
        for each in map(normal_id, ids):
            if each not in self._seen:
                self._seen[each] = self.is_erased(plain_hash(each))
            if self._seen[each]:
                return True
        return False

    def is_quoted(self, found: str) -> bool:
        return self.is_among((found,))


class RestrictedPeople(Person):
    """All ids of restricted students.

    A wrong value is not shown without the row that it came from, because it may belong to one of them.
    """

    def is_quoted(self, found: str) -> bool:
        return bool(found)


Who = Person | ErasedPeople


class Scrubbed:
    """JSON without the records of a person. `removed` is the number of removed parts, and `taken` their content.

    A record becomes {}, so that each row keeps its number. It is rejected later, like the record of an erased
    student. A finding is removed and counts as failed. A part that is nested more deeply than `_MOST_LEVELS` is
    removed as a whole if any text in it names the person.
    """

    def __init__(self, who: Who, text: str | bytes) -> None:
        self._who, self.taken = who, list[Any]()
        self.is_json = True
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            self.is_json, self.text = (
                False,
                text if isinstance(text, str) else text.decode(errors="replace"),
            )
            return
        changed = self._changed(value, _MOST_LEVELS)
        self.text = json.dumps(changed, ensure_ascii=False)

    @property
    def removed(self) -> int:
        return len(self.taken)

    def _changed(self, value: Any, levels: int) -> Any:
        """Return a value without the records of the person. `levels` is how many levels of it are looked at."""
        if not isinstance(value, list | dict):
            return value
        if levels == 0:
            return self._changed_as_a_whole(value)
        if isinstance(value, list):
            return [self._changed(each, levels - 1) for each in value]
        if value.keys() >= _REJECT_FIELDS:
            return self._changed_reject(value)
        if (self._is_record(value) and self._is_their_record(value)) or (
            "finding" in value and self._is_finding(value)
        ):
            self.taken.append(value)
            return {}
        if isinstance(value.get("findings"), list):
            return self._without_findings(value)
        return {name: self._changed(each, levels - 1) for name, each in value.items()}

    def _changed_as_a_whole(self, value: Any) -> Any:
        texts = frozenset(texts_in(value))
        names_person = self._who.is_among({*students_of_record(value), *texts})
        if not names_person and isinstance(self._who, Person):
            names_person = any(map(self._who.is_written_in, texts))
        if not names_person:
            return value
        self.taken.append(value)
        return {}

    def _is_their_record(self, value: dict[str, Any]) -> bool:
        """Return whether a record is about the person: by its ids, or by a name whose id is missing."""
        if self._who.is_among(students_of_record(value)):
            return True
        if not isinstance(self._who, Person):
            return False
        kind, data = value.get("type"), value.get("data", value)
        names: Iterable[str] = names_without_id(data) if isinstance(data, dict) else ()
        if isinstance(kind, str) and kind in _TYPES_OF_ROWS:
            names = people_of_record(value).names
        return any(map(self._who.is_written_in, names))

    @staticmethod
    def _is_record(value: dict[str, Any]) -> bool:
        return "data" in value or not STUDENT_FIELDS.isdisjoint(value)

    def _changed_reject(self, value: dict[str, Any]) -> dict[str, Any]:
        raw = value.get("raw")
        names = isinstance(raw, str) and self._names_person(raw)
        if not names and not self._who.is_quoted(str(value["found"])):
            return value
        self.taken.append(value)
        return {**value, "found": "", **({"raw": None} if "raw" in value else {})}

    def _names_person(self, raw: str) -> bool:
        """Return whether the row of a reject is about the person.

        Cells of a table have no fields, so any word counts.
        """
        row = Scrubbed(self._who, raw)
        if row.removed:
            return True
        return not row.is_json and isinstance(self._who, Person) and self._who.is_written_in(raw)

    def _without_findings(self, value: dict[str, Any]) -> dict[str, Any]:
        theirs = [each for each in value["findings"] if self._is_finding(each)]
        kept = [each for each in value["findings"] if not self._is_finding(each)]
        self.taken += theirs
        failed = int(value.get("failed") or 0) + len(theirs)
        if theirs:
            return {**value, "findings": kept, "failed": failed}
        return value

    def _is_finding(self, value: Any) -> bool:
        """Return whether a value is a finding about the person. It has its record, or in a result the record's id."""
        if not isinstance(value, dict):
            return False
        record, record_id = value.get("record"), value.get("record_id")
        return self._who.is_among(students_of_record(record)) or (
            isinstance(record_id, str) and record_mark(record_id) in self._who.marks
        )
