"""The types in which the graph's modules speak about records: ids, facts, counts, days of activity.

This module neither reads nor writes the graph.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar

import neo4j

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.records import (
    iso,
)
from edugraph_importer.graph.statements import Row

T = TypeVar("T")

Node = tuple[str, str]  # (label, id)
Pair = tuple[str, str]  # (id, id): a relationship's start and end
IdClaim = tuple[str, str, bool]  # (person, claimed id, whether it is an operator's decision)
PersonInGroup = tuple[str, str, str]  # (label of the person, their id, group id)
# (student id, error type id, course id): one HAS_ERROR relationship
MistakeKey = tuple[str, str, str]
Mention = tuple[Node, str]  # an error type, a knowledge point or a topic, and a spelling of it
SpellingsById = dict[str, list[str]]  # node id -> its spellings, sorted

# Record type -> label of the record's node. An activity has no node: it is added to days.
LABEL_OF_TYPE = {
    "student_interaction": "Interaction",
    "teacher_interaction": "Interaction",
    "error_record": "ErrorRecord",
    "course_content": "CourseContent",
    "course_record": "CourseRecord",
    "attempt_record": "Attempt",
    "item_record": "Definition",
    "membership_record": "Membership",
    "term_record": "Definition",
    "point_record": "Definition",
    "post_record": "Interaction",
    "person_record": "PersonRecord",
    "action_record": "Interaction",
}

# Severity -> weight of one mistake. The numbers are exact in binary, so that sums do not depend on their order.
SEVERITY_WEIGHT = {"low": 0.5, "medium": 1.0, "high": 2.0, None: 1.0}

# The importance of a point in a course for which a school defines it. It is the same as that of a point that a text
# teaches.
STATED_IMPORTANCE = "core"

# Field of a point's definition -> field of the point. Texts give points a `description`, too, so the school's own one
# has another name there.
POINT_FIELDS = {
    "name": "title",
    "names": "other_names",
    "label": "label",
    "description": "statement",
    "parent": "parent",
    "standard_id": "standard_id",
}

# The fields of LEARNS, each from the latest CourseRecord that gives it.
LEARNS_FIELDS = ("enrollment_date", "progress", "completion_date", "time_spent")

# Field of a record about its course -> property of its IN_COURSE. The property has the key in the index that finds
# the latest record with this field.
KEYS_IN_COURSE = {"course_name": "named", "course_description": "described", "difficulty": "rated"}

InteractionSum = Literal["chat_with", "likes", "teaches"]
# (name of the sum, id of the sender, id of the receiver)
InteractionKey = tuple[InteractionSum, str, str]

FILLED_MINUTES = 5  # a gap of at most this length between two active minutes counts as active
_HOUR = (1 << 60) - 1


class Interaction(NamedTuple):
    """The amounts that one record adds to one CHAT_WITH, LIKES or TEACHES relationship. Only TEACHES has feedback."""

    key: InteractionKey
    number: int
    feedback: str | None = None


class Mistakes(NamedTuple):
    """The amounts that one record adds to one HAS_ERROR relationship. `resolved` is None if it is not given."""

    key: MistakeKey
    number: int
    severity_weight: float
    resolved: bool | None


class Called(NamedTuple):
    """The fact that records call an id by a name. `name` is the canonical name, or the id if a record has no name."""

    label: str
    id: str
    name: str


class PointSaid(NamedTuple):
    """A point_record in the terms of the graph. `spelled` has all names of the point as they are given.

    `parent` and `requires` are canonical names.
    """

    id: str
    spelled: list[str]
    requires: list[str]
    parent: str | None


class Learns(NamedTuple):
    """The values that one course_record gives to one LEARNS relationship."""

    pair: Pair
    values: dict[str, Any]


class Practice(NamedTuple):
    """The outcome that one attempt adds to one PRACTISED relationship. `pair` has the student and the item.

    `place` sorts as (timestamp, number of the attempt, record id). The attempt with the smallest place is the first.
    """

    pair: Pair
    outcome: int  # in thousandths
    place: str


def attempt_place(version_key: str, attempt_number: int | None) -> str:
    """Return the sort key of an attempt for `Practice`. An attempt without a number comes first."""
    at, _, record_id = version_key.partition("|")
    return f"{at}|{attempt_number or 0:010d}|{record_id}"


@dataclass(slots=True)
class ItemNames:
    """The numbers of records that use a name for an item, or for a knowledge point that an item tests.

    With counts a record can be removed without reading the other records of the item. `titles` maps an item to the
    counts of its titles in attempts. `tests` maps (item, knowledge point) to the counts of the point's spellings.
    """

    titles: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    tests: dict[Pair, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(
        self, item_id: str, title: str | None, knowledge_points: Iterable[str], records: int = 1
    ) -> None:
        """Add the names in one record, or in `records` equal ones. With -1 subtract one record."""
        if title is not None:
            self.titles[item_id][title] += records
        for point, spellings in spellings_by_id(knowledge_points).items():
            for spelling in spellings:
                self.tests[item_id, point][spelling] += records

    def merge(self, other: "ItemNames", times: int = 1) -> None:
        """Add the counts of `other`. With -1 subtract them."""
        for item_id, titles in other.titles.items():
            add_counts(self.titles[item_id], titles, times)
        for pair, spellings in other.tests.items():
            add_counts(self.tests[pair], spellings, times)

    def mentions(self) -> dict[Mention, int]:
        """Return the number of records for each spelling of each knowledge point."""
        found = Counter[Mention]()
        for (_, point), spellings in self.tests.items():
            for spelling, number in spellings.items():
                found[("KnowledgePoint", point), spelling] += number
        return found

    def nodes(self) -> Iterator[Node]:
        yield from (("Item", item_id) for item_id in self.titles)
        for item_id, point in self.tests:
            yield from (("Item", item_id), ("KnowledgePoint", point))


@dataclass(slots=True)
class GroupCounts:
    """The numbers of memberships that give a name to a group (`names`), or a course to it (`courses`).

    With counts a membership can be removed without reading the others. `courses` maps (group, course) to the number.
    """

    names: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    courses: Counter[Pair] = field(default_factory=Counter)

    def add(self, group_id: str, name: str | None, course_id: str | None, records: int = 1) -> None:
        """Add the name and course in one membership, or in `records` equal ones. With -1 subtract one membership."""
        if name is not None:
            self.names[group_id][name] += records
        if course_id is not None:
            self.courses[group_id, course_id] += records

    def merge(self, other: "GroupCounts", times: int = 1) -> None:
        """Add the counts of `other`. With -1 subtract them."""
        for group_id, names in other.names.items():
            add_counts(self.names[group_id], names, times)
        add_counts(self.courses, other.courses, times)

    def nodes(self) -> Iterator[Node]:
        yield from (("Group", group_id) for group_id in self.names)
        for group_id, course_id in self.courses:
            yield from (("Group", group_id), ("Course", course_id))


def add_counts(counts: Counter[T], more: Mapping[T, int], times: int = 1) -> None:
    """Add numbers to counts. With -1 subtract them."""
    for key, number in more.items():
        counts[key] += times * number


def spellings_by_id(names: Iterable[str]) -> SpellingsById:
    """Return canonical name -> sorted spellings. The canonical name is the id of the node."""
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(canonical_name(name), set()).add(name)
    return {node_id: sorted(spellings) for node_id, spellings in found.items()}


class Day(NamedTuple):
    """A day of a student in a course. `date` is an ISO date in UTC."""

    student_id: str
    course_id: str
    date: str

    @property
    def id(self) -> str:
        return json.dumps(self, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Activity:
    """The minutes of one day in which a student was active. Bit n of `minutes` stands for minute n of the day.

    Records only add minutes. So repeated records change nothing, in whatever order they arrive, and no activity can
    be taken back (docs/adr/0038).
    """

    minutes: int = 0
    kinds: set[str] = field(default_factory=set)

    def add(self, other: "Activity") -> None:
        self.minutes |= other.minutes
        self.kinds |= other.kinds

    @classmethod
    def read(cls, row: neo4j.Record) -> "Activity":
        minutes = 0
        for hour, minutes_of_hour in enumerate(row["hours"]):
            minutes += minutes_of_hour << 60 * hour
        return cls(minutes, set(row["kinds"] or ()))

    def row(self) -> Row:
        """Return the stored form: an integer for each hour, whose bit n stands for minute n of the hour."""
        hours = [self.minutes >> 60 * hour & _HOUR for hour in range(24)]
        return {
            "hours": hours,
            "minutes": active_minutes(self.minutes),
            "kinds": sorted(self.kinds) or None,
        }


def active_minutes(minutes: int) -> int:
    """Return the number of minutes in which a student was active. Short gaps between active minutes count, too."""
    if minutes == 0:
        return 0
    first = (minutes & -minutes).bit_length() - 1
    active = [minute for minute in range(first, minutes.bit_length()) if minutes >> minute & 1]
    number = len(active)
    for minute, next_minute in pairwise(active):
        gap = next_minute - minute - 1
        if gap <= FILLED_MINUTES:
            number += gap
    return number


# The version key of a record without versions.
NO_VERSION: Row = dict.fromkeys(("changed", "reading", "accepted", "row", "history"))


@dataclass(slots=True)
class Facts:
    """The facts that one record states, or that its finding adds.

    `nodes` has all nodes to lock. `rows` has (name of the statement, row). `fields` has (node, name, value); the
    latest record decides each field. `spellings` has positive or negative changes of the numbers of mentions.
    `contains` has (course, point) and `prerequisites` has (point, required point); both come from point_records.
    `id_claims` has the claims of a person_record.
    """

    version_key: str
    nodes: set[Node]
    rows: list[tuple[str, Row]] = field(default_factory=list)
    fields: list[tuple[Node, str, Any]] = field(default_factory=list)
    spellings: dict[Mention, int] = field(default_factory=dict)
    interaction: Interaction | None = None
    mistakes: list[Mistakes] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)
    learns: Learns | None = None
    practice: Practice | None = None
    item_names: ItemNames | None = None
    memberships: list[PersonInGroup] = field(default_factory=list)
    group_counts: GroupCounts | None = None
    active_days: list[tuple[Day, Activity]] = field(default_factory=list)
    contains: set[Pair] = field(default_factory=set)
    prerequisites: set[Pair] = field(default_factory=set)
    id_claims: set[IdClaim] = field(default_factory=set)


@dataclass(slots=True)
class Outdated:
    """The aggregates to recompute, because records or findings were removed from them.

    `spellings` and `relates_to` are only used when everything is derived again; otherwise they are counted up and
    down. `descriptions` has ids of points. `fields` has nodes whose name or other field may come from a removed
    record. `version_keys` has the keys of the removed records. With `any_field`, all fields of these nodes are
    recomputed.
    """

    interactions: dict[InteractionSum, set[Pair]] = field(default_factory=lambda: defaultdict(set))
    mistakes: set[MistakeKey] = field(default_factory=set)
    practised: set[Pair] = field(default_factory=set)
    memberships: set[PersonInGroup] = field(default_factory=set)
    relates_to: set[Pair] = field(default_factory=set)
    contains: set[Pair] = field(default_factory=set)
    learns: set[Pair] = field(default_factory=set)
    spellings: set[Node] = field(default_factory=set)
    descriptions: set[str] = field(default_factory=set)
    fields: set[Node] = field(default_factory=set)
    version_keys: set[str] = field(default_factory=set)
    any_field: bool = False


def version_key(row: Mapping[str, Any] | neo4j.Record) -> str:
    """Return the version key of the record in a row. The row has its `timestamp`, and its id as `record`."""
    return f"{iso(row['timestamp'].to_native())}|{row['record']}"


def time_of(version_key: str) -> str:
    """Return the time at the beginning of a version key, as ISO text."""
    return version_key.partition("|")[0]


def course_key(course_id: str, version_key: str) -> str:
    """Return the index key of a version key. All keys of a course begin with its id and sort as its version keys."""
    return f"{course_id}|{version_key}"
