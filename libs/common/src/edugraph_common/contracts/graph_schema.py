"""The closed lists of the graph: labels and relationship types, and which of them are the ledger's.

Every node has exactly one label and one unique key `id`; each label has a constraint on it.
"""

LEDGER_LABELS = ("FindingsPack", "ImportBatch", "ImportJob")
RECORD_LABELS = ("Attempt", "CourseContent", "CourseRecord", "Definition", "ErrorRecord", "Interaction", "Membership")
ENTITY_LABELS = ("Course", "ErrorType", "Group", "Item", "KnowledgePoint", "Student", "Teacher", "Term", "Topic")
# Hashes of the ids of forgotten students, and of records that were taken back: a replay does not bring them back.
TOMBSTONE_LABELS = ("Tombstone", "Withdrawn")
# Nodes that only serve as locks: the prerequisites are written by one transaction at a time.
LOCK_LABELS = ("Lock",)
# One node, whose `version` says in which form the graph is kept; `prepare` brings an older form to this one.
SCHEMA_LABELS = ("Schema",)
SCHEMA_VERSION = 4
LABELS = RECORD_LABELS + ENTITY_LABELS + LEDGER_LABELS + TOMBSTONE_LABELS + LOCK_LABELS + SCHEMA_LABELS

RELATIONSHIPS = (
    "ABOUT",
    "CHAT_WITH",
    "CONCERNS",
    "CONTAINS",
    "DEFINES",
    "DEPENDS_ON",
    "DESCRIBES",
    "HAS_ERROR",
    "HAS_MEMBERSHIP",
    "HAS_RECORD",
    "IN_COURSE",
    "IN_GROUP",
    "LEADS",
    "LEARNS",
    "LIKES",
    "MADE",
    "MEMBER_OF",
    "OF_COURSE",
    "OF_ITEM",
    "OF_TYPE",
    "PRACTISED",
    "RECEIVED_BY",
    "RELATES_TO",
    "SENT",
    "SET_ASIDE",  # a prerequisite that would close a cycle: kept to be seen, never followed
    "TEACHES",
    "TESTS",
    "TRIED",
)
