"""Which relationships the general queries show, and between which labels: a closed list.

Left out are the ledger, reviews and hashes of what was forgotten, which are about the keeping of the graph, and what
is said twice: definitions of items, memberships (MEMBER_OF says it), and the names of one thing, which is one node.
"""

from typing import Literal, NamedTuple

Whose = Literal["catalogue", "direct", "owner", "record", "derived", "unlimited"]

RECORDS = ("ActiveDay", "Attempt", "CourseRecord", "ErrorRecord", "Interaction")  # of students
CATALOGUE = ("Course", "Group", "Item", "KnowledgePoint")  # shown to everybody who may ask at all
LABELS = (*CATALOGUE, "CourseContent", "ErrorType", "Student", "Teacher", "Topic", *RECORDS)


class Link(NamedTuple):
    """A type of relationship from some labels to others.

    `whose` says through whom it is seen. "catalogue": everybody. "direct" and "owner": a student, to what is said of
    them and to their records. "record": a record of a student. "derived", "unlimited": only where nobody is hidden.
    """

    type: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    whose: Whose

    def statement(self, label: str) -> str:
        """Return the name of the statement that goes along this link from nodes of a label."""
        ends = {*(self.ends if label in self.starts else ()), *(self.starts if label in self.ends else ())}
        if self.whose == "derived":
            return "to_derived"
        if ends & {*RECORDS, "CourseContent"}:
            return "to_records"
        return "to_students" if "Student" in ends else "to_others"


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
    Link("IN_COURSE", ("Attempt", "CourseRecord", "ErrorRecord", "Interaction"), ("Course",), "record"),
    Link("OF_ITEM", ("Attempt",), ("Item",), "record"),
    Link("OF_TYPE", ("Attempt", "ErrorRecord"), ("ErrorType",), "record"),
    Link("CONCERNS", ("Attempt", "ErrorRecord"), ("KnowledgePoint",), "record"),
    Link("ABOUT", ("Interaction",), ("Topic",), "record"),
    Link("RELATES_TO", ("ErrorType",), ("KnowledgePoint",), "derived"),
    Link("DESCRIBES", ("CourseContent",), ("KnowledgePoint",), "unlimited"),
    Link("IN_COURSE", ("CourseContent",), ("Course",), "unlimited"),
    Link("TEACHES", ("Teacher",), ("Student",), "unlimited"),
    Link("LEADS", ("Teacher",), ("Group",), "unlimited"),
    Link("SENT", ("Teacher",), ("Interaction",), "unlimited"),
)
TYPES = tuple(sorted({link.type for link in LINKS}))
# What is stored of all time cannot answer for a part of it.
SUMS = frozenset({"CHAT_WITH", "HAS_ERROR", "LEARNS", "LIKES", "PRACTISED", "RELATES_TO", "TEACHES"})
# Of these, several relationships between the same two things add up; of others, the largest weight counts.
ADDED = SUMS - {"RELATES_TO"}
