"""The complete lists of the graph's labels and relationship types, with the labels in groups.

Every node has one of these labels and a property `id`, which a constraint keeps unique within the label. A record
has `RECORD_LABEL` beside its own label.
"""

LEDGER_LABELS = ("FindingsPack", "ImportBatch", "ImportJob")
# ClaimChange: one node for each transaction that changed which prerequisites are claimed. It is deleted when the
# prerequisites have been derived again.
# IdClaimChange and LeaderChange: one node for each change of who claims an id, and of who leads a group. It is
# deleted when the change is in the audit log.
# RecordChange: one node for each transaction that changed records and has no row in the ledger. It is deleted when
# the change is in the stream of changes.
CHANGE_LABELS = ("ClaimChange", "IdClaimChange", "LeaderChange", "RecordChange")
RECORD_LABELS = (
    "Attempt",
    "CourseContent",
    "CourseRecord",
    "Definition",
    "ErrorRecord",
    "Interaction",
    "Membership",
    "PersonRecord",
)
# The second label of each record. Its constraint lets one id have one record, whatever the type of the record.
RECORD_LABEL = "Record"
ENTITY_LABELS = (
    "Course",
    "ErrorType",
    "Group",
    "Item",
    "KnowledgePoint",
    "Misconception",  # what went wrong in mistakes, as one sentence of a model
    "PersonId",  # an id that a PersonRecord names; a student or teacher with this id is another node
    "Student",
    "Teacher",
    "Term",
    "Topic",
)
# The labels whose id is either a canonical name or an id that records state. Several nodes of such a label may mean
# the same: their property `canonical` is the id of the node that represents them.
NAMED_LABELS = ("ErrorType", "KnowledgePoint", "Misconception", "Topic")
# The named labels that records may refer to by an id as well as by a name.
IDENTIFIED_LABELS = ("ErrorType", "KnowledgePoint")
# All reviews, and one node for each reviewed record.
REVIEW_LABELS = ("Review", "ReviewedRecord")
# Hashes of the ids of erased students and of withdrawn records, so that a replay does not bring them back.
TOMBSTONE_LABELS = ("Tombstone", "Withdrawn")
# Nodes that only serve as locks. If several tasks derive prerequisites at once, the task that began last writes them.
LOCK_LABELS = ("Lock",)
# One node, whose `version` is the schema version of the graph. `prepare` brings an older graph to SCHEMA_VERSION.
SCHEMA_LABELS = ("Schema",)
SCHEMA_VERSION = 14
# A student's day in a course. It has the sum of the activity records, and a record cannot be subtracted from it.
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
    "ASSIGNED_TO",
    "CALLED",
    "CHAT_WITH",
    "CLAIMS",
    "CONCERNS",
    "CONTAINS",
    "DECIDES",
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
    "OF_PERSON",
    "OF_TYPE",
    "PRACTISED",
    "PROPOSED_SAME",
    "RECEIVED_BY",
    "RELATES_TO",
    "REQUIRES",
    "REVIEWS",
    "SENT",
    # A prerequisite that would close a cycle, was rejected, or is said by too few: it is shown and not followed
    "SET_ASIDE",
    "SHOWS",
    "TEACHES",
    "TESTS",
    "TRIED",
)
# Pairs of names that an encoder proposes as the same, until somebody decides. Records do not state them, so the
# digest of the graph leaves them out, and they do not keep a node from being deleted.
PROPOSALS = ("PROPOSED_SAME",)
