"""The boundary of a row: whatever goes wrong in one is that row's fault, and is told as such."""

from billiard.exceptions import SoftTimeLimitExceeded

from edugraph_common.contracts.records import InvalidRecord

# These come between two lines of any code, and say nothing of the row that was being read.
_OF_THE_PROCESS = (MemoryError, SoftTimeLimitExceeded)


def of_row(fault: Exception) -> InvalidRecord:
    """What to say of it; never its text, which may hold the row's. Raises it again if it is none of the row's."""
    if isinstance(fault, InvalidRecord):
        return fault
    if isinstance(fault, _OF_THE_PROCESS):
        raise fault
    return InvalidRecord("(row)", "a row that can be read", "", f"cannot be read ({type(fault).__name__})")
