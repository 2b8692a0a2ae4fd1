"""Whether the caller of an import may write a record."""

from edugraph_common.contracts.messages import ImportRights, person_mark
from edugraph_common.contracts.records import ROSTER_TYPES, InvalidRecord, Record
from edugraph_common.contracts.school_records import MembershipRecord, PersonRecord

OWN_LEADER = (
    "would make the caller of this import the leader of a group; another caller has to import it"
)
ONLY_AS_ACTION = (
    "is written by POST /v1/actions and by no import, so that nobody chooses its author"
)
NEEDS_OPERATE = "needs the scope operate, which the caller of this import does not have"


def check_rights(record: Record, rights: ImportRights, job_id: str) -> None:
    """Raise InvalidRecord for a record that the caller of the import may not write.

    `job_id` is the id with which the mark of the caller's own person was made.
    """
    if record.type == "action_record" and not rights.acts:
        raise InvalidRecord(
            "type", "a type of record that is imported", record.type, ONLY_AS_ACTION
        )
    if not rights.may_write(record.type):
        scope = "roster" if record.type in ROSTER_TYPES else "submit"
        reason = f"needs the scope {scope}, which the caller of this import does not have"
        raise InvalidRecord(
            "type", "a type of record that the caller may import", record.type, reason
        )
    data = record.data
    if isinstance(data, PersonRecord) and data.decides and not rights.operate:
        raise InvalidRecord("data.decides", "a claim without a decision", "true", NEEDS_OPERATE)
    if not rights.marks or not isinstance(data, MembershipRecord) or not data.leads:
        return
    person_id = data.teacher_id or data.student_id or ""
    if person_mark(job_id, person_id) in rights.marks:
        field_name = "data.teacher_id" if data.teacher_id else "data.student_id"
        raise InvalidRecord(field_name, "another person than the caller", "", OWN_LEADER)


def check_withdrawal(rights: ImportRights) -> None:
    """Raise InvalidRecord for a withdrawal by a caller who may write neither learning records nor roster records.

    Which of both a withdrawal is about is known only in the graph.
    """
    if rights.learning or rights.roster:
        return
    reason = "needs the scope submit, which the caller of this import does not have"
    raise InvalidRecord("withdrawn", "a type of record that the caller may import", "true", reason)
