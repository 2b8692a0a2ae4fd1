"""The closed lists of the graph: labels and relationship types, and which of them are the ledger's.

Every node has exactly one label and one unique key `id`; each label has a constraint on it.
"""

LEDGER_LABELS = ("FindingsPack", "ImportBatch", "ImportJob")
# One node for each transaction that changed which prerequisites are claimed, until they have been derived anew.
CHANGE_LABELS = ("ClaimChange",)
RECORD_LABELS = ("Attempt", "CourseContent", "CourseRecord", "Definition", "ErrorRecord", "Interaction", "Membership")
ENTITY_LABELS = ("Course", "ErrorType", "Group", "Item", "KnowledgePoint", "Student", "Teacher", "Term", "Topic")
# The labels whose id is the canonical name of their spellings, or an id that records state. Several nodes of one of
# them may mean the same: `canonical` says which one stands for all.
NAMED_LABELS = ("ErrorType", "KnowledgePoint", "Topic")
# Those of them whose ids records may state, beside the names by which they call them.
IDENTIFIED_LABELS = ("ErrorType", "KnowledgePoint")
# What people said of the graph, all of it, and the last of it by record.
REVIEW_LABELS = ("Review", "ReviewedRecord")
# Hashes of the ids of forgotten students, and of records that were taken back: a replay does not bring them back.
TOMBSTONE_LABELS = ("Tombstone", "Withdrawn")
# Nodes that only serve as locks: of all who derive prerequisites, the latest one writes them.
LOCK_LABELS = ("Lock",)
# One node, whose `version` says in which form the graph is kept; `prepare` brings an older form to this one.
SCHEMA_LABELS = ("Schema",)
SCHEMA_VERSION = 10
# A student's day in a course: what records of activity add up to, and no record can be taken out of.
DAY_LABELS = ("ActiveDay",)
LABELS = (
    RECORD_LABELS
    + ENTITY_LABELS
    + DAY_LABELS
    + REVIEW_LABELS
    + LEDGER_LABELS
    + CHANGE_LABELS
    + TOMBSTONE_LABELS
    + LOCK_LABELS
    + SCHEMA_LABELS
)

RELATIONSHIPS = (
    "ABOUT",
    "ACTIVE_ON",
    "CALLED",
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
    "JUDGED",
    "JUDGED_NEED",
    "LEADS",
    "LEARNS",
    "LIKES",
    "MADE",
    "MEMBER_OF",
    "NOT_TESTS",
    "OF_COURSE",
    "OF_ITEM",
    "OF_TYPE",
    "PRACTISED",
    "PROPOSED_SAME",
    "RECEIVED_BY",
    "RELATES_TO",
    "REQUIRES",
    "REVIEWS",
    "SENT",
    "SET_ASIDE",  # a prerequisite that would close a cycle, or that people rejected: kept to be seen, never followed
    "TEACHES",
    "TESTS",
    "TRIED",
)
# What an encoder guesses of names, until somebody decides. No record says it, so it is no part of the digest, and it
# keeps no node in the graph.
PROPOSALS = ("PROPOSED_SAME",)
