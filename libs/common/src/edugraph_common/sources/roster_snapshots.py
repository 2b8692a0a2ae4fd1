"""Whole rosters: whoever was in the last one, and is not in this one, has left.

A roster is compared with the records that were made of the one before. So an end is an ordinary version of a
membership, which counts by its time, in whatever order files are imported, and can be undone.
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
    """Yield the records of the last roster, packed or not. Raises MalformedFile."""
    with path.open("rb") as file:
        compression = compression_of(file.read(4))
        file.seek(0)
        plan, text = open_text(file, "ndjson", compression)
        for _, row in read_rows(plan.source, cut_rows(plan.source, text)):
            if isinstance(row, Record):
                yield row


def source_of(record: Record) -> str | None:
    """Return the name of the list that a record of a roster is of."""
    return record.record_id.rpartition(":")[0] or None


def end_absent(roster: Roster, last: Iterable[Record], at: datetime, source: str | None = None) -> dict[str, int]:
    """Add to a whole roster, read at that time, what ends the memberships of the last one that it does not name.

    `source`: the name of the list that both are of. The memberships of other lists are left alone.

    All its records get a time after those of the last one: a student who comes back counts again, though the
    platform says that the enrollment was not changed. A membership that begins later is kept as it was, for the
    roster after it to end. Return how many memberships there were, by what became of them.

    Raises MalformedFile for a roster that names nobody, which would end all, and for a last one without memberships
    of this list.
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
