"""The caller of a request and their rights, as messages carry them."""

from typing import TypedDict

from edugraph_common.contracts.messages import ImportRights, person_mark
from edugraph_common.runtime.shared_state.callers import Caller

# The id of a job that is never made, where rows are only looked at.
MARK_ID = "preview"


class RequestedBy(TypedDict):
    """The fields of `messages.Requested`."""

    client: str
    person: str | None


def requested_by(caller: Caller, request_id: str) -> RequestedBy:
    """Return the caller as a message with this `job_id` names them."""
    return {
        "client": caller.client_id,
        "person": person_mark(request_id, caller.person) if caller.person else None,
    }


def rights_of(caller: Caller, job_id: str, source_name: str) -> ImportRights:
    """Return what the caller may write. It travels with the job, whose rows are read long after the request."""
    return ImportRights(
        learning=caller.may("submit"),
        roster=caller.may("roster"),
        operate=caller.may("operate"),
        source=source_name,
        **requested_by(caller, job_id),
    )
