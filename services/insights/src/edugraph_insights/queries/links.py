"""The closed list of the relationships that the general queries show, with the labels at their ends.

The ledger, reviews, and hashes of forgotten records are left out, because they serve the maintenance of the graph.
Relationships that repeat others are left out too: definitions of items, memberships (MEMBER_OF shows them), and those
between synonyms, since synonyms are shown as one node. Sentences about mistakes are texts, which `point` shows.
"""

from typing import Literal, NamedTuple

Whose = Literal["catalogue", "direct", "owner", "record", "derived", "unlimited"]

# The records of students.
RECORDS = ("ActiveDay", "Attempt", "CourseRecord", "ErrorRecord", "Interaction")
# These nodes are shown to everybody who may ask a general query.
CATALOGUE = ("Course", "Group", "Item", "KnowledgePoint")
LABELS = (*CATALOGUE, "CourseContent", "ErrorType", "Student", "Teacher", "Topic", *RECORDS)


class Link(NamedTuple):
    """A type of relationship, with the labels that it starts from and the labels that it leads to.

    `whose` says who may see it. "catalogue": everybody. "direct": whoever may see the student at one end. "owner":
    the same, for relationships between a student and their records. "record": whoever may see the record at its
    start. "derived" and "unlimited": only callers who may see everybody.
    """

    type: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    whose: Whose

    def statement(self, label: str) -> str:
        """Return the name of the statement that reads this link from nodes of a label."""
        other_labels: set[str] = set()
        if label in self.starts:
            other_labels |= set(self.ends)
        if label in self.ends:
            other_labels |= set(self.starts)
        if self.whose == "derived":
            return "to_derived"
        if other_labels & {*RECORDS, "CourseContent"}:
            return "to_records"
        if "Student" in other_labels:
            return "to_students"
        return "to_others"


LINKS = (
    Link("CONTAINS", ("Course",), ("KnowledgePoint",), "catalogue"),
    Link("DEPENDS_ON", ("KnowledgePoint",), ("KnowledgePoint",), "catalogue"),
    Link("TESTS", ("Item",), ("KnowledgePoint",), "catalogue"),
    Link("OF_COURSE", ("Group",), ("Course",), "catalogue"),
    Link("LEARNS", ("Student",), ("Course",), "direct"),
    Link("HAS_ERROR", ("Student",), ("ErrorType",), "direct"),
    Link("PRACTISED", ("Student",), ("Item",), "direct"),
    Link("MEMBER_OF", ("Student",), ("Group",), "direct"),
    Link("CHAT_WITH", ("Student",), ("Student",), "direct"),
    Link("LIKES", ("Student",), ("Student",), "direct"),
    Link("MADE", ("Student",), ("ErrorRecord",), "owner"),
    Link("TRIED", ("Student",), ("Attempt",), "owner"),
    Link("HAS_RECORD", ("Student",), ("CourseRecord",), "owner"),
    Link("ACTIVE_ON", ("Student",), ("ActiveDay",), "owner"),
    Link("SENT", ("Student",), ("Interaction",), "owner"),
    Link("RECEIVED_BY", ("Interaction",), ("Student",), "owner"),
    Link(
        "IN_COURSE",
        ("Attempt", "CourseRecord", "ErrorRecord", "Interaction"),
        ("Course",),
        "record",
    ),
    Link("OF_ITEM", ("Attempt",), ("Item",), "record"),
    Link("OF_TYPE", ("Attempt", "ErrorRecord"), ("ErrorType",), "record"),
    Link("CONCERNS", ("Attempt", "ErrorRecord"), ("KnowledgePoint",), "record"),
    Link("ABOUT", ("Attempt", "Interaction"), ("Topic",), "record"),
    Link("RELATES_TO", ("ErrorType",), ("KnowledgePoint",), "derived"),
    Link("DESCRIBES", ("CourseContent",), ("KnowledgePoint",), "unlimited"),
    Link("IN_COURSE", ("CourseContent",), ("Course",), "unlimited"),
    Link("TEACHES", ("Teacher",), ("Student",), "unlimited"),
    Link("LEADS", ("Teacher",), ("Group",), "unlimited"),
    Link("SENT", ("Teacher",), ("Interaction",), "unlimited"),
)
TYPES = tuple(sorted({link.type for link in LINKS}))
# Sums over all time. They cannot answer for a part of it.
SUMS = frozenset(
    {"CHAT_WITH", "HAS_ERROR", "LEARNS", "LIKES", "PRACTISED", "RELATES_TO", "TEACHES"}
)
# The weights of several such relationships between the same two nodes are added. For other types the largest counts.
ADDED = SUMS - {"RELATES_TO"}
