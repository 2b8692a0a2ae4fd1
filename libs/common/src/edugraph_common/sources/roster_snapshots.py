"""Complete rosters: a person who was in the last roster and is not in this one has left.

A roster is compared with the records of the roster before it. The end of a membership is an ordinary version of the
membership. So it is ordered by its time, independently of the order of imports, and can be undone.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.school_records import MembershipRecord
from edugraph_common.sources.compression import compression_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import Roster
from edugraph_common.sources.read_plan import open_text
from edugraph_common.sources.rows import cut_rows, read_rows

_LATER = timedelta(microseconds=1)


def records_of(path: Path) -> Iterator[Record]:
    """Yield the records of the last roster. The file may be compressed. Raises MalformedFile."""
    with path.open("rb") as file:
        compression = compression_of(file.read(4))
        file.seek(0)
        plan, text = open_text(file, "ndjson", compression)
        for _, row in read_rows(plan.source, cut_rows(plan.source, text)):
            if isinstance(row, Record):
                yield row


def source_of(record: Record) -> str | None:
    """Return the name of the list of a roster's record, or None."""
    return record.record_id.rpartition(":")[0] or None


def end_absent(roster: Roster, last: Iterable[Record], at: datetime, source: str | None = None) -> dict[str, int]:
    """End the memberships of the last roster that are not in this complete roster, which was read `at` that time.

    The ends are added to `roster`. `source` is the name of the list. Memberships of other lists are not changed.

    All records of the roster get a time after those of the last one. So a student who comes back is a member again,
    even if the platform says that the enrollment has not changed. A membership that begins later is kept unchanged,
    so that a later roster can end it. Return outcome -> number of memberships.

    Raises MalformedFile for a roster without people, which would end all memberships, and for a last roster without
    memberships of this list.
    """
    seats_before = [(each, each.data) for each in last if isinstance(each.data, MembershipRecord)]
    before = {record.record_id: (record, data) for record, data in seats_before if source_of(record) == source}
    if not before:
        of = f" of the source {source}" if source else " that came without --source" if seats_before else ""
        raise MalformedFile(f"the last roster has no memberships{of}: name the file that was written of it")
    seats = {normal_id(record["record_id"]) for record in roster.records if record.get("type") == "membership_record"}
    if not seats:
        raise MalformedFile("it names nobody in a class, so as a whole roster it would end every membership")
    moment = max([at, *(record.timestamp + _LATER for record, _ in before.values())])
    for row in roster.records:
        row["timestamp"] = moment.isoformat()
    counts = {"still named": len(before.keys() & seats), "ended now": 0, "over before": 0, "begin later, kept": 0}
    for record_id in sorted(before.keys() - {normal_id(row["record_id"]) for row in roster.records}):
        record, seat = before[record_id]
        kept = record.to_json()
        if seat.ends is not None and seat.ends <= at:
            counts["over before"] += 1
        elif seat.starts is not None and seat.starts >= at:
            counts["begin later, kept"] += 1
            roster.records.append(kept)
        else:
            counts["ended now"] += 1
            data: dict[str, Any] = kept["data"] | {"ends": at.isoformat()}
            roster.records.append(kept | {"timestamp": moment.isoformat(), "data": data})
    return counts
